"""Files of samples to predict: a table, or arrays as NumPy and MNIST's IDX files hold them."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.delimited import MAX_TABLE_BYTES
from tune_mlp.data.sources import table_name
from tune_mlp.data.table_files import kind_of_file, read_frame
from tune_mlp.data_settings import CsvFormat
from tune_mlp.errors import DataError, one_line
from tune_mlp.regular_files import read_regular

IDX_TYPES = {8: np.dtype(np.uint8)}
"""The types of numbers in an IDX file that are read, by their code."""


def read_samples(source: str, form: CsvFormat) -> Any:
    """Return a table's rows as a data frame, or an array of samples."""
    path = Path(source)
    name = path.name.lower()
    if name.endswith(".npy"):
        return _read_numpy(path)
    if "idx" in name and not kind_of_file(source):
        return _read_idx(path)
    return read_frame(table_name(source), None, form)[1]


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_TABLE_BYTES)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error


def _read_numpy(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(io.BytesIO(_content(path)), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: can't be read as a NumPy array: {one_line(error)}") from error
    return array


def _read_idx(path: Path) -> NDArray[Any]:
    content = _content(path)
    try:
        if content.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(MAX_TABLE_BYTES)
        zero, kind, dimensions = int.from_bytes(content[:2], "big"), content[2], content[3]
        shape = np.frombuffer(content, ">i4", dimensions, 4).astype(np.int64)
        if zero or kind not in IDX_TYPES:
            raise ValueError("its first bytes aren't those of an IDX file of bytes")
        return np.frombuffer(content, IDX_TYPES[kind], offset=4 + 4 * dimensions).reshape(shape)
    except (ValueError, IndexError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: can't be read as an IDX file: {one_line(error)}") from error
