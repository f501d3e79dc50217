"""The kind of a table's column, inferred from its values or given by `data.kinds`, and the values as arrays of that kind."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.date_text import AmbiguousDates, read_dates, read_dates_as
from tune_mlp.data.number_text import Ambiguous, Decimal, NumberColumn, read_numbers
from tune_mlp.data_settings import COLUMN_KINDS, Kind
from tune_mlp.errors import DataError, clipped

if TYPE_CHECKING:
    import pandas as pd

MISSING_WORDS = frozenset(
    ["#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "-nan", "-NaN"]
)
"""The words that stand for a missing value unless `data.na_values` says otherwise; an empty field is always missing."""
TRUTH = {"true": 1.0, "false": 0.0}
"""The words that are read as true and false, in any case."""
MOST_SPELLINGS = 8
"""The largest number of spellings of true and false that a column may mix."""
GIVEN_TRUTH = TRUTH | {
    "yes": 1.0,
    "no": 0.0,
    "y": 1.0,
    "n": 0.0,
    "t": 1.0,
    "f": 0.0,
    "on": 1.0,
    "off": 0.0,
    "1": 1.0,
    "0": 0.0,
}
"""The words that are read as true and false where a person says that a column is boolean."""
EVERY_ROW = 0.8
"""A column of text with more different values than this share of its rows is an identifier or free text."""
LEAST_TO_IDENTIFY = 10
"""The smallest number of values in which an identifier is recognised."""
LOOKED_AT = 200
"""The number of values that are looked at first, to save the time for all of a large column."""
SHOWN = 10
"""The largest number of columns or classes that a message names."""


def clean(text: str) -> str:
    """Return a name or a text value in one line, and in the form of Unicode in which texts that look equal are equal (NFC)."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


def some(names: list[str], limit: int = SHOWN) -> str:
    """List the first names, and say how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(clipped, names[:limit])) + more


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table with its kind."""

    name: str
    kind: Kind
    values: NDArray[Any]
    """float64 with NaN for numbers and booleans, str with None for categories, datetime64[s] with NaT for dates and times."""
    words: Counter[str] = field(default_factory=Counter)
    """The words that were read as missing values, with their counts."""
    read_as: str = ""
    """How text was read that isn't written plainly, such as `decimal commas`; empty otherwise."""
    decimal: Decimal | None = None
    """The sign before the fractions of numbers that were text; None if nothing tells which it is."""
    form: str = ""
    """The form of dates that were text, as `strptime` names it."""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """True where the value is missing."""
        values = self.values
        if values.dtype == object:
            return np.array([value is None for value in values], dtype=bool)
        found: NDArray[np.bool_] = np.isnan(values) if values.dtype.kind == "f" else np.isnat(values)
        return found

    def part(self, rows: NDArray[np.int64]) -> Column:
        """Return the column with these rows alone."""
        return replace(self, values=self.values[rows])


def read_column(
    name: str,
    column: pd.Series[Any],
    kind: str | None = None,
    na_values: tuple[str, ...] | None = None,
    decimal: Decimal | None = None,
    given_by: str = "data.kinds says",
) -> Column:
    """Return a column with its kind, which is inferred unless it is given. A DataError names neither file nor column.

    `given_by` begins the message if a column isn't of the given kind.
    """
    typed = _typed(name, column)
    if typed is not None:
        return _as_kind(typed, kind, given_by)
    values, words = _texts(column, na_values)
    present = np.array([value is not None for value in values], dtype=bool)
    if not present.any():
        return Column(name, "number", np.full(len(values), np.nan), words)
    texts: list[str] = values[present].tolist()
    read = _given(name, texts, kind, decimal, given_by) if kind else _inferred(name, texts, decimal)
    if read.values.dtype == object:
        filled = np.full(len(values), None, dtype=object)
    else:
        filled = np.full(
            len(values), np.nan if read.values.dtype.kind == "f" else np.datetime64("NaT"), read.values.dtype
        )
    filled[present] = read.values
    return Column(name, read.kind, filled, words, read.read_as, read.decimal, read.form)


def _texts(column: pd.Series[Any], na_values: tuple[str, ...] | None) -> tuple[NDArray[Any], Counter[str]]:
    """Return the texts cleaned, with None for missing ones, and the words that were taken for missing."""
    import pandas as pd

    missing = MISSING_WORDS if na_values is None else frozenset(na_values)
    codes, different = pd.factorize(column)  # each different text is cleaned once
    counts = np.bincount(codes[codes >= 0], minlength=len(different))
    words: Counter[str] = Counter()
    cleaned = np.full(len(different) + 1, None, dtype=object)  # the last stands for the code -1, a missing value
    for place, text in enumerate(different.tolist()):
        text = clean(text)
        if text in missing:
            words[text] += int(counts[place])
        elif text:
            cleaned[place] = text
    values: NDArray[Any] = cleaned[codes]
    return values, words


def _inferred(name: str, texts: list[str], decimal: Decimal | None) -> Column:
    """Infer the kind of texts of which none is missing."""
    different = list(dict.fromkeys(texts))
    if len(different) <= MOST_SPELLINGS and {text.lower() for text in different} <= TRUTH.keys():
        return Column(name, "boolean", np.array([TRUTH[text.lower()] for text in texts]))
    # 01234 is a code, of which no digit may be lost.
    if not any(text[0] == "0" and len(text) > 1 and text.isdecimal() for text in different):
        numbers = _plain_numbers(different) if decimal != "," else None
        read: NumberColumn | Ambiguous | None = numbers or read_numbers(different, decimal)
        if isinstance(read, Ambiguous):
            raise DataError(
                f"holds numbers such as {read.example}, which can be read in two ways: set data.csv.decimal to '.' or ','"
            )
        if read is not None:
            _refuse_collapsed(different, read.values)
            known = dict(zip(different, read.values.tolist(), strict=True))
            notes = ["decimal commas"] if read.decimal == "," else []
            notes += [f"{read.sign} taken away"] if read.sign else []
            values = np.array([known[text] for text in texts])
            return Column(name, "number", values, read_as=", ".join(notes), decimal=read.decimal)
    dates = read_dates(different)
    if isinstance(dates, AmbiguousDates):
        first, second = dates.forms
        raise DataError(
            f"holds dates such as {dates.example}, which can be read in two ways: set data.kinds to"
            f" {{{name}: date {first}}} or {{{name}: date {second}}}"
        )
    if dates is not None:
        when = dict(zip(different, dates.values, strict=True))
        values = np.array([when[text] for text in texts], dtype="datetime64[s]")
        return Column(
            name, "time" if dates.time_of_day else "date", values, read_as=f"written as {dates.form}", form=dates.form
        )
    _refuse_stray(different, texts)
    return Column(name, "category", np.array(texts, dtype=object))


def _plain_numbers(texts: list[str]) -> NumberColumn | None:
    """Read numbers as programs write them, in a fraction of the time that `read_numbers` takes."""
    import pandas as pd

    if _share_of_numbers(texts[:LOOKED_AT]) < 1:
        return None
    values = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(values).any():
        return None
    return NumberColumn(values, "." if any("." in text for text in texts[:1000]) else None, "")


def _share_of_numbers(texts: list[str]) -> float:
    """Return the share of texts that Python reads as numbers, to tell early that most of a column are none."""
    count = 0
    for text in texts:
        with contextlib.suppress(ValueError):
            float(text)
            count += 1
    return count / len(texts)


def _refuse_collapsed(texts: list[str], values: NDArray[np.float64]) -> None:
    """Refuse whole numbers of so many digits that different ones become equal."""
    if np.abs(values).max(initial=0) < 2.0**53 or len(np.unique(values)) == len(values):
        return
    if len({text.lstrip("+") for text in texts}) > len(np.unique(values)) and all(
        re.fullmatch(r"[+-]?\d+", text) for text in texts
    ):
        raise DataError("holds whole numbers of so many digits that some become equal: leave it out with data.ignore")


def _refuse_stray(different: list[str], texts: list[str]) -> None:
    """Refuse a column of numbers with a few other texts in it."""
    import pandas as pd

    if _share_of_numbers(different[:: max(1, len(different) // LOOKED_AT)]) < 0.25:
        return
    numbers = pd.to_numeric(pd.Series(different, dtype=object), errors="coerce").notna().to_numpy()
    if numbers.sum() > 10 and 0.5 < numbers.mean() < 1:
        odd = [text for text, is_number in zip(different, numbers, strict=True) if not is_number]
        raise DataError(
            f"holds numbers but for {some([repr(text) for text in odd], 3)} in row {texts.index(odd[0]) + 1}: if that means"
            f" a missing value, set data.na_values to {[*odd[:3]]}"
        )


def _given(name: str, texts: list[str], kind: str, decimal: Decimal | None, given_by: str) -> Column:
    """Read texts as the kind that was given: a name of COLUMN_KINDS, or `date FORM` or `time FORM`."""
    word, _, form = kind.partition(" ")
    if word == "category":
        return Column(name, "category", np.array(texts, dtype=object))
    if word == "boolean":
        odd = next((text for text in texts if text.lower() not in GIVEN_TRUTH), None)
        if odd is not None:
            raise DataError(f"{given_by} boolean, got {clipped(odd)!r}: give {', '.join(GIVEN_TRUTH)}")
        return Column(name, "boolean", np.array([GIVEN_TRUTH[text.lower()] for text in texts]))
    if word == "number":
        read = (_plain_numbers(texts) if decimal != "," else None) or read_numbers(texts, decimal)
        if read is None or isinstance(read, Ambiguous):
            raise DataError(f"{given_by} number, got text such as {clipped(_first_stray(texts, decimal))!r}")
        return Column(name, "number", read.values)
    if form:
        values = read_dates_as(texts, form)
        if values is None:
            raise DataError(f"{given_by} {kind!r}, and not every value has that form")
        return Column(name, "time" if word == "time" else "date", values, form=form)
    dates = read_dates(texts)
    if isinstance(dates, AmbiguousDates):
        raise DataError(
            f"holds dates such as {dates.example}, which can be read in two ways: name the form, as 'date %d/%m/%Y'"
        )
    if dates is None:
        raise DataError(
            f"{given_by} {word}, got text such as {clipped(texts[0])!r}: name its form, as '{word} %d.%m.%Y'"
        )
    return Column(name, "time" if word == "time" else "date", dates.values, form=dates.form)


def _first_stray(texts: list[str], decimal: Decimal | None) -> str:
    return next((text for text in texts if read_numbers([text], decimal or ".") is None), texts[0])


def _typed(name: str, column: pd.Series[Any]) -> Column | None:
    """Return a column whose type says its kind, as a Parquet file's does; None for a column of text."""
    import pandas as pd

    types = pd.api.types
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
        column = column.infer_objects() if not column.isna().any() else column
    if types.is_complex_dtype(column.dtype):
        raise DataError("holds complex numbers: give numbers, text, dates or true/false")
    if types.is_bool_dtype(column.dtype):
        return Column(name, "boolean", column.to_numpy(dtype=np.float64, na_value=np.nan))
    if types.is_timedelta64_dtype(column.dtype):
        seconds = column.dt.total_seconds().to_numpy(dtype=np.float64)
        return Column(name, "number", seconds, read_as="spans of time in seconds")
    if types.is_datetime64_any_dtype(column.dtype):
        if getattr(column.dtype, "tz", None) is not None:
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
        return Column(name, "date", column.to_numpy().astype("datetime64[s]"))
    if types.is_numeric_dtype(column.dtype):
        return Column(name, "number", _numbers(column))
    holes = column.isna().to_numpy()
    present = column[~holes].to_numpy(dtype=object)
    if len(present) == 0:
        return Column(name, "number", np.full(len(column), np.nan))
    if isinstance(column.dtype, pd.StringDtype) or all(isinstance(value, str) for value in present):
        return None
    return _objects(name, column.to_numpy(dtype=object), holes, present)


def _numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if column.dtype.kind in "iu" and np.abs(values).max(initial=0) >= 2.0**53:
        whole = column.dropna()
        if whole.nunique() > len(np.unique(values[~np.isnan(values)])):
            raise DataError(
                "holds whole numbers of so many digits that some become equal: leave it out with data.ignore"
            )
    return values


def _objects(name: str, values: NDArray[Any], holes: NDArray[np.bool_], present: NDArray[Any]) -> Column:
    """Return a column of Python objects: dates, times, true and false with gaps, or decimal numbers."""
    kinds = {type(value).__name__ for value in present}
    if kinds <= {"date", "datetime", "Timestamp"}:
        when = np.full(len(values), np.datetime64("NaT"), "datetime64[s]")
        when[~holes] = [
            np.datetime64(value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value, "s") for value in present
        ]
        return Column(name, "date", when)
    if kinds == {"time"}:
        when = np.full(len(values), np.datetime64("NaT"), "datetime64[s]")
        when[~holes] = [np.datetime64(t.hour * 3600 + t.minute * 60 + t.second, "s") for t in present]
        return Column(name, "time", when)
    try:
        if any(isinstance(value, str | bytes) for value in present):
            raise TypeError
        numbers = np.array([np.nan if hole else float(value) for value, hole in zip(values, holes, strict=True)])
    except OverflowError:
        raise DataError("has a value beyond the largest number") from None
    except (TypeError, ValueError):
        odd = next((value for value in present if not isinstance(value, str)), present[0])
        raise DataError(f"holds values of type {type(odd).__name__}: give numbers, text, dates or true/false") from None
    return Column(name, "boolean" if kinds <= {"bool"} else "number", numbers)


def _as_kind(column: Column, kind: str | None, given_by: str) -> Column:
    """Return a typed column as the kind that was given."""
    word = (kind or column.kind).partition(" ")[0]
    if kind and column.missing.all():  # a column without values is of any kind
        empty: dict[str, Any] = {
            "category": (None, object),
            "date": ("NaT", "datetime64[s]"),
            "time": ("NaT", "datetime64[s]"),
        }
        value, dtype = empty.get(word, (np.nan, np.float64))
        return Column(
            column.name, next(name for name in COLUMN_KINDS if name == word), np.full(len(column.values), value, dtype)
        )
    if word == column.kind or (word == "number" and column.kind == "boolean"):
        return column
    if word == "category" and column.kind in ("number", "boolean"):
        texts = np.array([None if np.isnan(value) else _plain(value) for value in column.values], dtype=object)
        return Column(column.name, "category", texts)
    if word == "boolean" and column.kind == "number" and set(column.values[~column.missing]) <= {0.0, 1.0}:
        return replace(column, kind="boolean")
    raise DataError(f"{given_by} {word}, got a column of type {column.kind}")


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(float(value))


def is_identifier(values: list[str] | NDArray[Any], different: int) -> bool:
    """Tell if a column of text differs in nearly every row, as identifiers and free text do."""
    return len(values) >= LEAST_TO_IDENTIFY and different > EVERY_ROW * len(values)
