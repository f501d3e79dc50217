"""Numbers that people and spreadsheets write as text: decimal commas, thousands, percent and currency signs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Decimal = Literal[".", ","]
DECIMALS: dict[Decimal, str] = {".": "decimal points", ",": "decimal commas"}
"""The signs before a number's fraction, each with its name in messages."""
SIGNS = "$€£¥%"
"""The currency and percent signs that may stand before or after a number."""
SPACES = " \u00a0\u2009\u202f'\u2019"
"""The blanks and apostrophes that may stand between thousands."""

LOOKED_AT = 50
"""The number of texts that are looked at first."""

_OTHER: dict[Decimal, str] = {".": ",", ",": "."}
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_WRITTEN: dict[Decimal, re.Pattern[str]] = {
    sign: re.compile(
        rf"[+-]?(?:\d+|\d{{1,3}}(?:([{re.escape(other)}{SPACES}])\d{{3}})(?:\1\d{{3}})*)?(?:{re.escape(sign)}\d*)?{_EXPONENT}",
        re.ASCII,
    )
    for sign, other in _OTHER.items()
}
_AMBIGUOUS = re.compile(r"[+-]?\d{1,3}[.,]\d{3}", re.ASCII)
"""One separator with three digits after it: `1,234` is a number above a thousand or one below two."""
_REMOVED = {sign: str.maketrans("", "", other + SPACES) for sign, other in _OTHER.items()}


class NumberColumn(NamedTuple):
    """Texts that were read as numbers."""

    values: NDArray[np.float64]
    """One number for each text."""
    decimal: Decimal | None
    """The sign before the fractions; None if nothing tells which it is."""
    sign: str
    """The currency or percent sign that was taken away; empty if there was none."""


class Ambiguous(NamedTuple):
    """Texts that are numbers in two ways."""

    example: str


def read_numbers(texts: Sequence[str], decimal: Decimal | None) -> NumberColumn | Ambiguous | None:
    """Read texts as numbers, all of them written in one way and in one unit; None if they aren't such numbers.

    `decimal` is the sign before fractions if it is known. Otherwise it is found from the texts themselves.
    """
    if not all(_may_be_number(text) for text in texts[:LOOKED_AT]):
        return None  # before all of a large column is looked at
    signs = "".join(sorted({sign for text in texts for sign in text if sign in SIGNS}))
    if len(signs) > 1:
        return None
    plain = [_without_signs(text) for text in texts] if signs else list(texts)
    if any(text is None for text in plain):
        return None
    numbers = [text for text in plain if text is not None]
    able = [sign for sign in DECIMALS if all(_is_number(text, sign) for text in numbers)]
    if decimal is not None:
        able = [sign for sign in able if sign == decimal]
    if not able:
        return None
    if len(able) == 1:
        return NumberColumn(_values(numbers, able[0]), able[0] if _tells(numbers) else None, signs)
    example = next((text for text in numbers if _AMBIGUOUS.fullmatch(text)), None)
    if example is not None:
        return Ambiguous(example)
    return NumberColumn(_values(numbers, "."), None, signs)


def _may_be_number(text: str) -> bool:
    plain = _without_signs(text)
    return plain is not None and any(_is_number(plain, decimal) for decimal in DECIMALS)


def _tells(numbers: Sequence[str]) -> bool:
    """Tell if the numbers hold a comma or a point at all."""
    return any("," in text or "." in text for text in numbers)


def _without_signs(text: str) -> str | None:
    """Return the number without its currency or percent sign; None if it has more than one."""
    kept = text.strip(SIGNS + " \u00a0\u202f")
    if len(text) > 1 and text[0] in "+-" and text[1] in SIGNS:  # -$3.50
        kept = text[0] + text[1:].strip(SIGNS + " \u00a0\u202f")
    return kept if sum(sign in SIGNS for sign in text) <= 1 and not any(sign in SIGNS for sign in kept) else None


def _is_number(text: str, decimal: Decimal) -> bool:
    return bool(_WRITTEN[decimal].fullmatch(text)) and any(sign.isdigit() for sign in text.lower().partition("e")[0])


def _values(texts: Sequence[str], decimal: Decimal) -> NDArray[np.float64]:
    removed = _REMOVED[decimal]
    return np.array([float(text.translate(removed).replace(",", ".")) for text in texts], dtype=np.float64)
