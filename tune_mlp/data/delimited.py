"""A CSV file as a table of texts. Its format is found by looking, and its lines are checked, since pandas silently repairs, renames and pads."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import csv
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from tune_mlp.data.kinds import clean
from tune_mlp.data_settings import CsvFormat
from tune_mlp.errors import DataError, clipped, one_line
from tune_mlp.regular_files import in_bytes

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {",": "", ";": "separated by semicolons", "\t": "separated by tabs", "|": "separated by |"}
"""The separators of fields that are recognised, each with its name in messages; a comma needs no mention."""
MAX_TABLE_BYTES = 10 * 10**9
"""The largest size of a table's file, since a table is read into memory as a whole."""
MAX_UNPACKED_BYTES = 2 * 10**9
"""The largest size that a compressed table may have when it is unpacked: a small file can hold any number of zeros."""
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The marks at the start of a text that say its encoding. UTF-32 comes before UTF-16, whose mark its own begins with."""
ENCODING_NAMES = {"utf-8": "", "utf-8-sig": "", "cp1252": "read as Latin-1"}
"""The encodings with their names in messages; UTF-8 needs no mention."""
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""The bytes that no text in Latin-1 holds."""
FEW_CELLS = 300_000
"""So many cells are kept as they were checked; pandas reads more of them anew, and takes long where they are many columns."""
LOOKED_AT = 100_000
"""The number of bytes in which zero bytes of UTF-16 are counted."""


def read_csv(path: Path | str, content: bytes, form: CsvFormat) -> tuple[pd.DataFrame, str]:
    """Return the table of texts, whose columns are named by the file's first line, and what was found of its format."""
    import pandas as pd

    content, packed = _unpacked(path, content)
    text, encoding = _decoded(path, content, form.encoding)
    separator, names, rows = _check(path, text, form.separator)
    if rows is not None:
        cells = np.array(rows, dtype=object).reshape(len(rows), len(names))
        frame = pd.DataFrame(cells, columns=pd.Index(names), dtype=object)
    else:
        frame = _read_many(path, text, separator)
        frame.columns = pd.Index(names)
    return frame, ", ".join(filter(None, (_separated(separator), encoding, packed)))


def _read_many(path: Path | str, text: str, separator: str) -> pd.DataFrame:
    """Read many cells, which pandas holds in a fraction of the memory that Python's lists take."""
    import pandas as pd

    try:
        return pd.read_csv(
            io.StringIO(text),
            sep=separator,
            skipinitialspace=True,
            index_col=False,
            dtype="str",
            na_filter=False,
            low_memory=False,
        )
    except (ValueError, OverflowError) as error:  # pandas' own parser errors are ValueErrors
        raise DataError(f"{path}: can't be read as CSV: {one_line(error)}") from error


def _separated(separator: str) -> str:
    return SEPARATORS.get(separator, f"separated by {clipped(separator)}")


def _zipped(file: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(file)
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) != 1:
        raise ValueError(f"the archive must hold one file, got {len(members)}")
    return archive.open(members[0])


PACKED: dict[bytes, tuple[str, Callable[..., Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\x00": ("xz", lzma.open),
    b"PK\x03\x04": ("zip", _zipped),
}
"""The kinds of compression by the first bytes of a file, each with its name and its reader."""


def _unpacked(path: Path | str, content: bytes) -> tuple[bytes, str]:
    """Return the content of a compressed file and the name of its compression; any other content as it is."""
    known = next((PACKED[start] for start in PACKED if content.startswith(start)), None)
    if known is None:
        return content, ""
    name, open_packed = known
    try:
        with open_packed(io.BytesIO(content)) as file:
            unpacked = file.read(MAX_UNPACKED_BYTES + 1)
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: can't be unpacked as {name}: {one_line(error)}") from error
    if len(unpacked) > MAX_UNPACKED_BYTES:
        raise DataError(
            f"{path}: is larger than {in_bytes(MAX_UNPACKED_BYTES)} when it is unpacked, the most that is read"
        )
    return unpacked, f"unpacked from {name}"


def _decoded(path: Path | str, content: bytes, encoding: str | None) -> tuple[str, str]:
    """Return the text, and its encoding in words unless it is UTF-8."""
    if not content.strip():
        raise DataError(f"{path}: the file is empty")
    found = encoding or _encoding(path, content)
    try:
        text = content.decode(found)
    except LookupError:
        raise DataError(
            f"{path}: data.csv.encoding: unknown encoding {encoding!r}; for example utf-8, utf-16 or latin-1"
        ) from None
    except (UnicodeError, ValueError) as error:
        if encoding:
            raise DataError(f"{path}: data.csv.encoding: the text isn't {encoding}: {one_line(error)}") from error
        text, found = content.decode("latin-1"), "cp1252"  # a byte that Windows' form of Latin-1 doesn't have
    if "\0" in text:
        raise DataError(f"{path}: not a text file: it holds zero bytes")
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    return text.removeprefix("\ufeff"), ENCODING_NAMES.get(found, f"read as {found.upper()}")


def _encoding(path: Path | str, content: bytes) -> str:
    """Find the encoding: by the mark at the start, by UTF-16's zero bytes, else UTF-8 if all bytes fit, else Latin-1."""
    for mark, name in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return name
    start = content[:LOOKED_AT]
    even, odd = start[::2].count(0), start[1::2].count(0)
    # Every other byte of ASCII in UTF-16 is zero.
    if max(even, odd) > len(start) / 5 and min(even, odd) < max(even, odd) / 10:
        return "utf-16-be" if even > odd else "utf-16-le"
    if b"\0" in content:
        raise DataError(f"{path}: not a text file: it holds zero bytes")
    with contextlib.suppress(UnicodeDecodeError):
        content.decode("utf-8")
        return "utf-8"
    if found := CONTROL.search(content):
        line = content.count(b"\n", 0, found.start()) + 1
        raise DataError(f"{path}: not a text file: line {line} holds the control character 0x{found.group()[0]:02x}")
    return "cp1252"


def _check(path: Path | str, text: str, separator: str | None) -> tuple[str, list[str], list[list[str]] | None]:
    """Check that all rows are as long as the first, and return the separator, the columns' names, and the rows if they are few."""
    if separator is None:
        first = re.sub('"[^"]*"', "", text.lstrip("\r\n").split("\n", 1)[0])  # a quoted name may hold any separator
        separator = max(SEPARATORS, key=first.count)
    between = f" {said}" if (said := _separated(separator)) else ""
    names: list[str] = []
    rows: list[list[str]] | None = []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
        for row in reader:
            if not row:
                continue  # a blank line, which pandas skips too
            if not names:
                names = [clean(name) for name in row]
            elif len(row) != len(names):
                raise DataError(
                    f"{path}:{reader.line_num}: each row must have as many fields as the first line,"
                    f" got {len(row)} with {len(names)} columns{between}"
                )
            elif rows is not None:
                rows.append(row)
                if len(rows) * len(names) > FEW_CELLS:
                    rows = None
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: can't be read as CSV: {error}") from error
    return separator, names, rows
