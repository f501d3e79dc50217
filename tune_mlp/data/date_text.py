"""Dates and times of day that are written as text, in one of the usual forms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

DAYS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y-%m",
    "%Y/%m",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %Y",
    "%B %Y",
)
"""The forms of a day that are recognised, as `strptime` names them."""
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
"""The forms of a time of day that are recognised."""
STARTS = re.compile(r"\d{1,4}[-/.: ]\d?|\d{4}-?\d\d|[A-Za-z]{3,9} \d")
"""The beginning of every text that may be a date or a time; others needn't be tried."""


class DateColumn(NamedTuple):
    """Texts that were read as dates or as times of day."""

    values: NDArray[Any]
    """datetime64[s]; of a time of day, on 1970-01-01."""
    form: str
    """The form of the texts, as `strptime` names it."""
    time_of_day: bool


class AmbiguousDates(NamedTuple):
    """Texts that are dates in two ways."""

    example: str
    forms: tuple[str, str]


def read_dates(texts: Sequence[str]) -> DateColumn | AmbiguousDates | None:
    """Read texts as dates or times of day, all of one form; None if they aren't."""
    if not texts or not all(STARTS.match(text) for text in texts):
        return None
    series = _series([text.replace("T", " ", 1) if text[10:11] == "T" else text for text in texts])
    first = series.iloc[:1]
    found: list[DateColumn] = []
    for clock in CLOCKS:
        if _read(first, clock) is not None and (values := _read(series, clock)) is not None:
            return DateColumn(values - values.astype("datetime64[D]") + np.datetime64(0, "s"), clock, True)
    for day in DAYS:
        for form in (day, *(f"{day} {clock}" for clock in CLOCKS), *_with_zone(day, texts[0])):
            if _read(first, form) is not None and (values := _read(series, form)) is not None:
                found.append(DateColumn(values, form, False))
                break
    if not found:
        return None
    other = next((dates for dates in found[1:] if (dates.values != found[0].values).any()), None)
    if other is not None:
        place = int((other.values != found[0].values).argmax())
        return AmbiguousDates(texts[place], (found[0].form, other.form))
    return found[0]


def read_dates_as(texts: Sequence[str], form: str) -> NDArray[Any] | None:
    """Read texts in the form that a person gave; None if one of them has another form."""
    return _read(_series(texts), form)


def _with_zone(day: str, text: str) -> tuple[str, ...]:
    """Return the forms with a time zone, where the text ends in one."""
    if not re.search(r"\d(Z|[+-]\d\d:?\d\d)$", text):
        return ()
    return tuple(f"{day} {clock}%z" for clock in CLOCKS[:3])


def _series(texts: Sequence[str]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(list(texts), dtype=object)


def _read(series: pd.Series[Any], form: str) -> NDArray[Any] | None:
    import pandas as pd

    try:
        read = pd.to_datetime(series, format=form, errors="coerce", utc="%z" in form)
    except (ValueError, TypeError, OverflowError):
        return None
    if read.isna().any():
        return None
    if "%z" in form:
        read = read.dt.tz_localize(None)
    values: NDArray[Any] = read.to_numpy().astype("datetime64[s]")
    return values
