"""Columns of numbers as programs write them, read many at once: most of the columns of most large tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.kinds import MISSING_WORDS, Column
from tune_mlp.data.number_text import Decimal

if TYPE_CHECKING:
    import pandas as pd

CELLS = 100_000
"""The number of cells that are read together: in a tall table one column at a time, as a try that fails is lost time."""
MANY_DIGITS = 2.0**53
"""From here on whole numbers lose digits in float64, and are looked at one by one."""


def read_plain_numbers(
    frame: pd.DataFrame, names: Sequence[str], na_values: tuple[str, ...] | None
) -> dict[str, Column]:
    """Return those of a table's columns of text that hold nothing but plain numbers and missing values.

    Any other column is left for `read_column`, which would read these in the same way and take many times as long.
    """
    import pandas as pd

    types = dict(zip(frame.columns, frame.dtypes, strict=True))
    names = [
        name for name in names if pd.api.types.is_object_dtype(types[name]) or isinstance(types[name], pd.StringDtype)
    ]
    words = sorted(MISSING_WORDS if na_values is None else na_values)
    together = max(1, CELLS // max(1, len(frame)))
    found: dict[str, Column] = {}
    for start in range(0, len(names), together):
        found |= {column.name: column for column in _read(frame, names[start : start + together], words)}
    return found


def _read(frame: pd.DataFrame, names: Sequence[str], words: list[str]) -> Iterator[Column]:
    """Yield the columns of plain numbers among these."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = frame[names].to_numpy(dtype=object).T
    texts = _as_text(cells.ravel())
    if texts is None:  # a column holds something else beside text
        if len(names) > 1:
            for half in (names[: len(names) // 2], names[len(names) // 2 :]):
                yield from _read(frame, half, words)
        return
    word = pc.fill_null(pc.is_in(texts, pa.array(words, pa.large_string())), False)
    kept = pc.if_else(pc.or_(word, pc.equal(texts, "")), None, texts)
    for part, values in _cast(kept, slice(0, len(names)), len(frame)):
        rows = slice(part.start * len(frame), part.stop * len(frame))
        yield from _plain(names[part], cells[part], word[rows], kept[rows], values)


def _as_text(cells: NDArray[Any]) -> Any:
    """Return cells of text as an Arrow array; None if one of them is something else, such as bytes, which Arrow takes for text."""
    import pandas as pd
    import pyarrow as pa

    if pd.api.types.infer_dtype(cells, skipna=True) != "string":
        return None
    try:
        return pa.array(cells, pa.large_string(), from_pandas=True)
    except (pa.ArrowInvalid, UnicodeError):  # half of a surrogate pair
        return None


def _cast(kept: Any, part: slice, rows: int) -> Iterator[tuple[slice, Any]]:
    """Yield runs of columns with their values as numbers; where a column is something else, the halves are tried."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        yield part, pc.cast(kept[part.start * rows : part.stop * rows], pa.float64())
    except pa.ArrowInvalid:
        middle = (part.start + part.stop) // 2
        if middle > part.start:
            yield from _cast(kept, slice(part.start, middle), rows)
            yield from _cast(kept, slice(middle, part.stop), rows)


def _plain(names: Sequence[str], cells: NDArray[Any], word: Any, kept: Any, values: Any) -> Iterator[Column]:
    """Yield those of these columns of numbers that are read rightly as they are."""
    import pyarrow.compute as pc

    shape = (len(names), -1)
    numbers: NDArray[np.float64] = values.to_numpy(zero_copy_only=False).reshape(shape)
    codes = _flags(pc.match_substring_regex(kept, "^0[0-9]+$"), shape)
    points = _flags(pc.match_substring(kept, "."), shape)
    holes, missing = _flags(pc.is_null(kept), shape), _flags(word, shape)
    by_word = [Counter[str]()] * len(names)
    for place in map(int, np.flatnonzero(missing.any(axis=1))):
        by_word[place] = Counter(cells[place][missing[place]].tolist())
    with np.errstate(invalid="ignore"):
        many_digits = (np.abs(numbers) >= MANY_DIGITS).any(axis=1)
    odd = (np.isnan(numbers) & ~holes).any(axis=1)  # a word such as nan
    plain = ~(codes.any(axis=1) | many_digits | odd | holes.all(axis=1))
    for place in map(int, np.flatnonzero(plain)):
        decimal: Decimal | None = "." if points[place].any() else None
        yield Column(names[place], "number", numbers[place], by_word[place], decimal=decimal)


def _flags(answers: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    import pyarrow.compute as pc

    found: NDArray[np.bool_] = pc.fill_null(answers, False).to_numpy(zero_copy_only=False).reshape(shape)
    return found
