"""The files of a table: one file or a folder of parts, on this machine or on an object store, read as one data frame."""

from __future__ import annotations

import io
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tune_mlp.data.delimited import MAX_TABLE_BYTES, MAX_UNPACKED_BYTES, read_csv
from tune_mlp.data.kinds import clean
from tune_mlp.data_settings import TABLE_KINDS, CsvFormat
from tune_mlp.errors import DataError, one_line
from tune_mlp.regular_files import in_bytes, read_regular
from tune_mlp.results.storage import ObjectStore, location, without_secrets

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = {
    "csv": "csv",
    "tsv": "csv",
    "txt": "csv",
    "tab": "csv",
    "parquet": "parquet",
    "pq": "parquet",
    "xlsx": "xlsx",
    "xlsm": "xlsx",
}
"""The kinds of tables by the endings of their files' names."""
PACKED_ENDINGS = (".gz", ".bz2", ".xz", ".zip")
"""The endings that a compressed file's name has beside its own."""
MAX_PARTS = 100_000
"""The largest number of files in a folder of parts."""


class Address(str):
    """The address of a table on an object store."""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return urlsplit(self).path.rstrip("/").rpartition("/")[2]


Where = Path | Address
"""Where a table lies, as messages name it."""


def read_frame(name: str, base: Path | None, form: CsvFormat) -> tuple[Where, pd.DataFrame, str]:
    """Return where the table of `csv:FILE` lies, its contents, and what was found of the file's format.

    A path is relative to `base`, the study file's folder, or else to the working directory.
    """
    kind, _, file = name.partition(":")
    if not file:
        raise DataError(f"data.name: expected {kind}:FILE, got {name!r}")
    if "://" in file:
        if without_secrets(file) != file:
            raise DataError(
                "data.name: an address is kept with the run, so it can't hold keys: set them in the environment, such as "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        where = location(file)
        if isinstance(where, ObjectStore):
            return _read_stored(kind, Address(file), form)
        file = str(where)
    path = _find(file, base)
    if not os.path.isdir(path):
        return path, *READERS[kind](path, _content(path), form)
    parts = _local_parts(kind, path)
    return path, *_joined(kind, path, parts, (_content(path / part) for part in parts), form)


def kind_of_file(name: str) -> str:
    """Return the kind of a table by the ending of its file's name, or of the files in a folder; empty for any other."""
    kind = _kind_by_ending(name)
    if kind or "\0" in name or not os.path.isdir(name):
        return kind
    kinds = {_kind_by_ending(part) for part in os.listdir(name) if part[0] not in "._"}
    return kinds.pop() if len(kinds) == 1 else ""


def _kind_by_ending(name: str) -> str:
    path = Path(name.partition("?")[0] if "://" in name else name)
    ending = path.suffix if path.suffix not in PACKED_ENDINGS else path.with_suffix("").suffix
    return ENDINGS.get(ending.lower().lstrip("."), "")


def _find(file: str, base: Path | None) -> Path:
    folders = list(dict.fromkeys([*([base.absolute()] if base else []), Path.cwd()]))
    paths = [folder / os.path.expanduser(file) for folder in folders]
    for path in paths:
        if os.path.exists(path):  # Path.exists raises for some names
            return path
    raise DataError(f"{file}: no such file (looked in {', '.join(dict.fromkeys(str(path.parent) for path in paths))})")


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_TABLE_BYTES)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or one_line(error)}") from error


def _local_parts(kind: str, folder: Path) -> list[str]:
    """Return the names of the files in a folder of parts; what begins with a dot or an underscore doesn't count."""
    try:
        names = sorted(name for name in os.listdir(folder) if name[0] not in "._")
    except OSError as error:
        raise DataError(f"{folder}: can't be read: {error.strerror or one_line(error)}") from error
    if within := [name for name in names if os.path.isdir(folder / name)]:
        raise DataError(
            f"{folder}: the parts of a table must lie side by side, got the folder {within[0]!r} among them"
        )
    return _parts(kind, folder, names)


def _parts(kind: str, where: Where, names: list[str]) -> list[str]:
    found = [name for name in names if _kind_by_ending(name) == kind]
    if not found or len(found) > MAX_PARTS:
        raise DataError(f"{where}: a folder must hold 1 to {MAX_PARTS:,} files of the kind {kind}, got {len(found):,}")
    return found


def _read_stored(kind: str, address: Address, form: CsvFormat) -> tuple[Where, pd.DataFrame, str]:
    """Read a file on an object store, or a folder of parts, whose address ends with a slash or without an ending."""
    path, mark, options = address.partition("?")
    parent, _, last = path.rpartition("/")
    if _kind_by_ending(last):
        content = ObjectStore(f"{parent}{mark}{options}").read(last)
        if content is None:
            raise DataError(f"{address}: no such file")
        return address, *READERS[kind](address, content, form)
    store = ObjectStore(address)
    parts = _parts(kind, address, store.names("*"))
    return address, *_joined(kind, address, parts, (store.read(part) or b"" for part in parts), form)


def _joined(
    kind: str, where: Where, parts: list[str], contents: Iterator[bytes], form: CsvFormat
) -> tuple[pd.DataFrame, str]:
    """Return the parts one below the other; all must have the same columns, in any order."""
    import pandas as pd

    frames: list[pd.DataFrame] = []
    form_of_first, size = "", 0
    for part, content in zip(parts, contents, strict=True):
        size += len(content)
        if size > MAX_TABLE_BYTES:
            raise DataError(f"{where}: is larger than {in_bytes(MAX_TABLE_BYTES)}, the most that is read of a table")
        at: Where = where / part if isinstance(where, Path) else Address(f"{where.rstrip('/')}/{part}")
        frame, said = READERS[kind](at, content, form)
        if not frames:
            form_of_first = said
        elif sorted(frame.columns) != sorted(frames[0].columns):
            differing = sorted({*frame.columns} ^ {*frames[0].columns}) or ["one that is there twice"]
            raise DataError(f"{at}: its columns differ from those of {parts[0]}: {differing[0]!r}")
        frames.append(frame if not frames else frame[list(frames[0].columns)])
    counted = f"in {len(frames)} files" if len(frames) > 1 else ""
    return pd.concat(frames, ignore_index=True), ", ".join(filter(None, (counted, form_of_first)))


def read_parquet(where: Where, content: bytes, form: CsvFormat) -> tuple[pd.DataFrame, str]:
    """Return the table, whose index is made a column if it has a name, and an empty text for its format."""
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(io.BytesIO(content))
        for name in frame.columns[[isinstance(dtype, pd.StringDtype) for dtype in frame.dtypes]]:
            pa.array(frame[name]).validate(full=True)  # a damaged file may hold bytes that are no text
    except Exception as error:  # pyarrow's errors have no common base
        raise DataError(f"{where}: can't be read as Parquet: {one_line(error)}") from error
    named = [name for name in frame.index.names if name is not None]
    taken = Counter(map(str, [*named, *frame.columns]))
    if twice := [name for name in named if taken[str(name)] > 1]:
        raise DataError(
            f"{where}: the index has the name of a column, {str(twice[0])!r}: rename one of the two, or write the file"
            " with index=False"
        )
    frame = frame.reset_index(level=[i for i, name in enumerate(frame.index.names) if name is not None])
    frame.columns = pd.Index([clean(str(name)) for name in frame.columns])
    return frame, ""


def read_xlsx(where: Where, content: bytes, form: CsvFormat) -> tuple[pd.DataFrame, str]:
    """Return the first sheet of an Excel file, whose columns are named by its first row, and the sheet's name if there are more."""
    import pandas as pd

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_UNPACKED_BYTES:
            raise ValueError(
                f"is larger than {in_bytes(MAX_UNPACKED_BYTES)} when it is unpacked, the most that is read"
            )
        with pd.ExcelFile(io.BytesIO(content), engine="openpyxl") as book:
            sheets = [str(name) for name in book.sheet_names]
            cells = pd.read_excel(book, header=None, dtype=object, keep_default_na=False, na_values=[""])
    except Exception as error:  # openpyxl's errors have no common base
        raise DataError(f"{where}: can't be read as an Excel file: {one_line(error)}") from error
    cells = cells.dropna(how="all").dropna(how="all", axis=1)
    if not len(cells):
        raise DataError(f"{where}: the first sheet, {sheets[0]!r}, is empty")
    frame = cells.iloc[1:].reset_index(drop=True).infer_objects()
    frame.columns = pd.Index(["" if pd.isna(name) else clean(str(name)) for name in cells.iloc[0]])
    return frame, f"in the first of {len(sheets)} sheets, {sheets[0]!r}" if len(sheets) > 1 else ""


READERS: dict[str, Callable[[Where, bytes, CsvFormat], tuple[pd.DataFrame, str]]] = {
    "csv": read_csv,
    "parquet": read_parquet,
    "xlsx": read_xlsx,
}
"""The readers of tables by the first part of `data.name`; each also returns what was found of the file's format."""
assert tuple(READERS) == TABLE_KINDS
