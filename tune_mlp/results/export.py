"""A table as a file of another kind; a file appears whole or not at all."""

from __future__ import annotations

import csv
import json
import math
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from tune_mlp.errors import StorageError, UsageError, did_you_mean
from tune_mlp.results.plain_text import FORMULA

Writer = Callable[[pd.DataFrame, Path], None]


def export(frame: pd.DataFrame, path: str | Path, fmt: str) -> None:
    """Write the table. The old file is replaced at once, or kept if anything fails."""
    if fmt not in EXPORTS:
        raise UsageError(f"no format {fmt!r} to export to{did_you_mean(fmt, EXPORTS)}")
    write_aside(path, lambda aside: EXPORTS[fmt](frame, aside))


def write_aside(path: str | Path, write: Callable[[Path], object]) -> None:
    """Call `write` with another path in the same folder, and then move the file from there to `path`."""
    path = Path(path)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe, /dev/null: not ours to replace
            write(path)
            return
        # The end of the name is kept, as writers choose by it; the file's mode is left to the umask, unlike tempfile's.
        aside = path.with_name(f".{secrets.token_hex(8)}.{path.name[-64:]}")
        try:
            write(aside)
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(f"{path}: can't be written: {error.strerror or error}") from None


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write all digits of floats. A plain `pandas.read_csv` reads everything back, except that it takes empty text and words
    like NA for missing."""
    # Python's csv leaves a lone carriage return unquoted, and then it would end the row.
    returns = any("\r" in cell for name in frame.columns for cell in frame[name] if isinstance(cell, str))
    frame.to_csv(
        path,
        index=False,
        lineterminator="\n",
        quoting=csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL,
        encoding="utf-8",
    )


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False, engine="pyarrow")


def write_json(frame: pd.DataFrame, path: Path) -> None:
    """Write one object for each row. JSON has no NaN and no infinity; they become null."""
    rows = [json.dumps(row, allow_nan=False, ensure_ascii=False) for row in _records(frame)]
    path.write_bytes(("[" + ",".join(f"\n{row}" for row in rows) + "\n]\n").encode())


def write_xlsx(frame: pd.DataFrame, path: Path) -> None:
    """Write one sheet. Text stays text, even if it looks like a formula, and a whole number with too many digits becomes text."""
    import openpyxl  # here, since it takes 0.2 s and no other format needs it
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, WriteOnlyCell

    with path.open("wb") as file:  # first: an unfinished book can't be dropped without a warning
        book = openpyxl.Workbook(write_only=True)  # row by row: the other way takes twice as long and far more memory
        sheet = book.create_sheet("trials" if "state" in frame.columns else "table")
        sheet.freeze_panes = "A2"

        def cell(value: Any) -> Any:
            if isinstance(value, int) and abs(value) > 2**53:
                value = str(value)  # a cell's number is a double, and a rounded seed is another seed
            if not isinstance(value, str):
                return value
            text = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", value))
            text.data_type = "s"  # openpyxl takes "=1+1" for a formula and "#N/A" for an error
            if value.startswith(FORMULA):
                text.quotePrefix = True  # Excel would take it for a formula, too, once the cell is edited
            return text

        sheet.append([cell(str(name)) for name in frame.columns])
        for row in _records(frame, keep_infinity=True):
            sheet.append([cell(value) for value in row.values()])
        book.save(file)


def write_markdown(frame: pd.DataFrame, path: Path) -> None:
    """Write a table for people, with six digits for each number."""
    records = _records(frame, keep_infinity=True)
    numeric = [pd.api.types.is_numeric_dtype(frame[name].dtype) for name in frame.columns]
    text = tabulate(
        [[_markdown_cell(value) for value in row.values()] for row in records],
        headers=[_markdown_cell(str(name)) for name in frame.columns],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["right" if right else "left" for right in numeric] if records else None,
    )
    path.write_bytes(f"{text}\n".encode())


def _markdown_cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    return text.replace("|", "\\|").replace("<", "&lt;")


def _records(frame: pd.DataFrame, keep_infinity: bool = False) -> list[dict[str, Any]]:
    """Return the rows as plain Python values, with None for a missing value, and "inf" or None for an infinite one."""
    columns = [[_plain(value, keep_infinity) for value in frame[name].astype(object)] for name in frame.columns]
    names = [str(name) for name in frame.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain(value: Any, keep_infinity: bool) -> Any:
    if value is pd.NA or value is pd.NaT or value is None:
        return None
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value) if keep_infinity and not math.isnan(value) else None
    return value


EXPORTS: dict[str, Writer] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "json": write_json,
    "xlsx": write_xlsx,
    "markdown": write_markdown,
}
