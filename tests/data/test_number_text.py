"""Numbers that are written as text are read in the one way that fits all of them, or not at all."""

from __future__ import annotations

import pytest

from tune_mlp.data.number_text import Ambiguous, Decimal, read_numbers


@pytest.mark.parametrize(
    ("texts", "values", "decimal", "sign"),
    [
        (["1,5", "2,25"], [1.5, 2.25], ",", ""),
        (["1.234,5", "7"], [1234.5, 7], ",", ""),
        (["1,234.5", "7"], [1234.5, 7], ".", ""),
        (["1,234,567", "1"], [1234567, 1], ".", ""),
        (["1,234", "5,6"], [1.234, 5.6], ",", ""),
        (["1 234", "5"], [1234, 5], None, ""),
        (["1\u202f234,5", "5"], [1234.5, 5], ",", ""),
        (["1'234.5", "-2"], [1234.5, -2], ".", ""),
        (["$3.50", "$1,200"], [3.5, 1200], ".", "$"),
        (["-$3.50", "$2"], [-3.5, 2], ".", "$"),
        (["3,50 €", "1.200,00 €"], [3.5, 1200], ",", "€"),
        (["5%", "7.5%", "10"], [5, 7.5, 10], ".", "%"),
        (["1.5e3", "+2", ".5", "1."], [1500, 2, 0.5, 1], ".", ""),
    ],
)
def test_numbers_are_read(texts: list[str], values: list[float], decimal: Decimal | None, sign: str) -> None:
    read = read_numbers(texts, None)
    assert not isinstance(read, Ambiguous)
    assert read is not None
    assert read.values.tolist() == values
    assert (read.decimal, read.sign) == (decimal, sign)


@pytest.mark.parametrize(
    "texts",
    [
        ["x", "1"],
        [""],
        ["-"],
        ["e5"],
        ["$"],
        ["1,2,3"],
        ["1.5", "2,5"],
        ["$1", "€2"],
        ["1$2"],
        ["12,34,567"],
        ["1 23"],
        ["1,234 567"],
        ["0x10"],
        ["1_000"],
        ["nan"],
        ["inf"],
        ["٣"],
    ],
    ids=ascii,
)
def test_what_is_no_number_in_one_way_is_not_read(texts: list[str]) -> None:
    assert read_numbers(texts, None) is None


def test_a_number_with_two_meanings_needs_the_decimal_sign() -> None:
    assert read_numbers(["1,234", "5,678"], None) == Ambiguous("1,234")
    firsts: dict[Decimal, float] = {",": 1.234, ".": 1234.0}
    for decimal, first in firsts.items():
        read = read_numbers(["1,234", "5,678"], decimal)
        assert not isinstance(read, Ambiguous)
        assert read is not None
        assert read.values[0] == first
