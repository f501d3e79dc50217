"""The kind of a column: what is inferred from its values, what a person may say instead, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tune_mlp.data.kinds import Column, read_column
from tune_mlp.errors import DataError


def read(values: Any, kind: str | None = None, **given: Any) -> Column:
    return read_column("a", pd.Series(values), kind, **given)


@pytest.mark.parametrize(
    ("values", "kind", "first"),
    [
        (["1", "2.5"], "number", 1.0),
        (["1,5", "2"], "number", 1.5),
        (["$1", "$2.50"], "number", 1.0),
        (["true", "FALSE"], "boolean", 1.0),
        (["yes", "no"], "category", "yes"),
        (["01234", "98765"], "category", "01234"),
        (["0", "0.5"], "number", 0.0),
        (["2024-01-31", "2023-05-06"], "date", np.datetime64("2024-01-31", "s")),
        (["07:30", "18:00"], "time", np.datetime64(27000, "s")),
        (["  a  b ", "c"], "category", "a b"),
        ([1, 2], "number", 1.0),
        ([True, False], "boolean", 1.0),
        (pd.Categorical([3, 4]), "number", 3.0),
        (pd.Categorical(["x", "y"]), "category", "x"),
        (pd.to_datetime(["2024-01-31", "2023-05-06"]), "date", np.datetime64("2024-01-31", "s")),
        (pd.to_datetime(["2024-01-31T01:00+02:00"]), "date", np.datetime64("2024-01-30T23:00", "s")),
        (pd.to_timedelta(["1h", "2h"]), "number", 3600.0),
    ],
    ids=repr,
)
def test_the_kind_is_inferred(values: Any, kind: str, first: Any) -> None:
    column = read(values)
    assert column.kind == kind
    assert column.values[0] == first


@pytest.mark.parametrize(
    ("values", "kind", "first"),
    [
        (["1", "2"], "category", "1"),
        ([1.0, 2.5], "category", "1"),
        (["1", "0"], "boolean", 1.0),
        (["Yes", "no"], "boolean", 1.0),
        (["01", "02"], "number", 1.0),
        (["01/02/2024"], "date %m/%d/%Y", np.datetime64("2024-01-02", "s")),
        (["20240131"], "date %Y%m%d", np.datetime64("2024-01-31", "s")),
        (["2024-01-31"], "date", np.datetime64("2024-01-31", "s")),
        (["0730"], "time %H%M", np.datetime64("1900-01-01T07:30", "s")),
        ([True, False], "number", 1.0),
    ],
    ids=repr,
)
def test_a_person_may_say_the_kind(values: Any, kind: str, first: Any) -> None:
    column = read(values, kind)
    assert column.kind == kind.partition(" ")[0] or (kind == "number" and column.kind == "boolean")
    assert column.values[0] == first


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        (["1", "x"], "number", "data.kinds says number, got text such as 'x'"),
        (["1", "x"], "boolean", "data.kinds says boolean, got 'x'"),
        (["x"], "date", "data.kinds says date, got text such as 'x'"),
        (["2024-01-31"], "date %d.%m.%Y", "not every value has that form"),
        ([1.5], "date", "data.kinds says date, got a column of type number"),
        (["01/02/2024"], None, "can be read in two ways: set data.kinds to {a: date %d/%m/%Y} or {a: date %m/%d/%Y}"),
        (["1,234"], None, "can be read in two ways: set data.csv.decimal to '.' or ','"),
        ([*map(str, range(20)), "?"], None, "holds numbers but for '?' in row 21"),
        ([str(2**53 + i) for i in range(9)], None, "some become equal: leave it out with data.ignore"),
        ([2**53 + i for i in range(9)], None, "some become equal: leave it out with data.ignore"),
        ([1j], None, "holds complex numbers"),
        ([b"x"], None, "holds values of type bytes"),
    ],
    ids=repr,
)
def test_what_cannot_be_read_is_refused(values: Any, kind: str | None, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read(values, kind)
    assert said in str(caught.value)


def test_missing_values_and_the_words_for_them() -> None:
    column = read(["1", "", "NA", "nan", " ", "4"])
    assert column.missing.tolist() == [False, True, True, True, True, False]
    assert column.words == {"NA": 1, "nan": 1}
    assert read(["1", "", "NA", "4"], na_values=("NA",)).words == {"NA": 1}
    kept = read(["US", "NA", ""], na_values=())
    assert kept.values.tolist() == ["US", "NA", None]
    assert not kept.words
    for values in (["2024-01-31", "", "2024-02-01"], ["07:30", "", "08:00"], ["x", "", "y"], ["true", "", "false"]):
        assert read(values).missing.tolist() == [False, True, False]


def test_numbers_are_read_alike_fast_and_one_by_one() -> None:
    texts = ["1", "-2.5", "1e3", ".5", "+4", "0", "", "NA"]
    fast = read(texts)
    slow = read([*texts, "1,000.0"])
    np.testing.assert_array_equal(fast.values, slow.values[:-1])
