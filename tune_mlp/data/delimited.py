"""A CSV file as a table. Its text is checked line by line first, since pandas silently repairs, renames and pads."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tune_mlp.data.columns import clean
from tune_mlp.errors import DataError, one_line
from tune_mlp.regular_files import read_regular

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {",": "", ";": " separated by semicolons", "\t": " separated by tabs", "|": " separated by |"}
"""The separators of fields that are recognised, each with its name in messages; a comma needs no mention."""
MAX_TABLE_BYTES = 10 * 10**9
"""The largest size of a table's file, since a table is read into memory as a whole."""


def read_csv(path: Path) -> tuple[pd.DataFrame, str]:
    """Return the table, whose columns are named by the file's first line, and the name of its separator."""
    import pandas as pd

    try:
        text = _text(path)
        separator, names = _check(path, text)
        frame = pd.read_csv(io.StringIO(text), sep=separator, skipinitialspace=True, index_col=False, low_memory=False)
    except (ValueError, OverflowError) as error:  # pandas' own parser errors are ValueErrors
        raise DataError(f"{path}: can't be read as CSV: {one_line(error)}") from error
    frame.columns = pd.Index(names)
    return frame, SEPARATORS[separator]


def _text(path: Path) -> str:
    try:
        content = read_regular(path, MAX_TABLE_BYTES)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error
    if not content.strip():
        raise DataError(f"{path}: the file is empty")
    if b"\0" in content:
        raise DataError(f"{path}: not a text file: it holds zero bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: not UTF-8 text: byte 0x{content[error.start]:02x}; save the file as UTF-8"
        ) from error


def _check(path: Path, text: str) -> tuple[str, list[str]]:
    """Check that all rows are as long as the first, and return the separator and the columns' names."""
    first = re.sub('"[^"]*"', "", text.lstrip("\r\n").split("\n", 1)[0])  # a quoted name may hold any separator
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    names: list[str] = []
    try:
        for row in reader:
            if not row:
                continue  # a blank line, which pandas skips too
            if not names:
                names = [clean(name) for name in row]
            elif len(row) != len(names):
                raise DataError(
                    f"{path}:{reader.line_num}: each row must have as many fields as the first line,"
                    f" got {len(row)} with {len(names)} columns{SEPARATORS[separator]}"
                )
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: can't be read as CSV: {error}") from error
    return separator, names
