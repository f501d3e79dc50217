"""MNIST, Fashion-MNIST and KMNIST: found on disk, checked and read, or downloaded from torchvision's mirrors.

The files are read here, since torchvision takes longer to import than MNIST to read, and can't read compressed files.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from tune_mlp.data.arrays import frozen
from tune_mlp.data.dataset import Dataset
from tune_mlp.data.download import download
from tune_mlp.data.torchvision_cpu import mnist_module
from tune_mlp.errors import DataError, one_line
from tune_mlp.regular_files import read_regular

FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
"""The name of torchvision's class, which is also that of its folder of files, by our name."""
PARTS = ("train", "t10k")
FILES = tuple(f"{part}-{kind}-ubyte" for part in PARTS for kind in ("images-idx3", "labels-idx1"))
MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""The checksums of MNIST's uncompressed files. For the other two datasets only those of the archives are published."""
CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}
MAGIC = {"images": 2051, "labels": 2049}
PIXELS = 28
MAX_BYTES = 50_000_000
"""A little more than the size of the largest file, which holds 60,000 pictures."""


@dataclass(frozen=True)
class MissingDataset:
    """A dataset that was not found; `reason` says where it was looked for."""

    reason: str


def cache_folder() -> Path:
    return Path(platformdirs.user_cache_dir("tune-mlp"))


def load_mnist(
    name: str, data_dir: Path | None, allow_download: bool, say: Callable[[str], None]
) -> Dataset | MissingDataset:
    """Read the first complete set of files in `data_dir`, $TUNE_MLP_DATA or the cache folder, or else download it."""
    roots = [data_dir, os.environ.get("TUNE_MLP_DATA"), cache_folder()]
    places = [Path(os.path.expanduser(root)) for root in roots if root]
    incomplete = ""
    for folder in (folder for root in places for folder in _layouts(root, name)):
        files = [_find(folder, file) for file in FILES]
        found = [file for file in files if file is not None]
        if len(found) == len(FILES) and not (name != "mnist" and _is_plain_mnist(found[1])):
            return _read(name, found)
        if found and len(found) < len(FILES) and not incomplete:
            incomplete = f"; {folder} lacks {FILES[files.index(None)]}"
    looked = f"looked in {', '.join(str(root) for root in places)}{incomplete}"
    if not allow_download:
        return MissingDataset(looked)
    reason = _download(name, cache_folder() / FOLDERS[name] / "raw", say)
    if reason:
        return MissingDataset(f"{looked}; download failed: {reason}")
    return load_mnist(name, None, False, say)


def not_found(name: str, absent: MissingDataset) -> DataError:
    """Return the error for a missing dataset, which says what the user can do."""
    raw = f"{FOLDERS[name]}/raw"
    return DataError(
        f"dataset {name} not found: give --data-dir DIR or $TUNE_MLP_DATA with {raw}/*-ubyte[.gz] inside, or put {raw} into"
        f" {cache_folder()}, or run once with internet, or use --dataset digits ({absent.reason})"
    )


def _layouts(root: Path, name: str) -> Iterator[Path]:
    yield root / FOLDERS[name] / "raw"
    yield root / "raw"
    yield root


def _find(folder: Path, file: str) -> Path | None:
    return next((path for path in (folder / file, folder / f"{file}.gz") if os.path.isfile(path)), None)


def _is_plain_mnist(labels: Path) -> bool:
    """Tell if labels are MNIST's own. All three datasets have the same file names, and a folder's name need not say which it is."""
    return _md5(_bytes(labels)) == MNIST_MD5[FILES[1]]


def _download(name: str, folder: Path, say: Callable[[str], None]) -> str:
    source = getattr(mnist_module(), FOLDERS[name])
    said = False
    for archive, md5 in source.resources:
        if _find(folder, archive.removesuffix(".gz")) is None:
            if not said:
                say(f"downloading {name} to {folder}")
                said = True
            reason = download([f"{mirror}{archive}" for mirror in source.mirrors], folder / archive, md5)
            if reason:
                return reason
    return ""


def _read(name: str, files: Sequence[Path]) -> Dataset:
    arrays = [
        _read_file(path, MNIST_MD5[file] if name == "mnist" else "") for path, file in zip(files, FILES, strict=True)
    ]
    for images, labels, path in ((arrays[0], arrays[1], files[1]), (arrays[2], arrays[3], files[3])):
        if len(images) != len(labels) or labels.max() > 9:
            raise DataError(
                f"{path}: expected {len(images)} labels from 0 to 9, got {len(labels)} with a highest of {labels.max()}"
            )
    x, y, x_test, y_test = (frozen(array) for array in arrays)
    return Dataset(name, "classification", x, y, x_test, y_test, classes=CLASSES[name], shape=(PIXELS, PIXELS))


def _read_file(path: Path, md5: str) -> NDArray[Any]:
    """Read pictures as uint8 [n, 784] or labels as int64 [n]."""
    content = _bytes(path)
    if md5 and _md5(content) != md5:
        raise DataError(f"{path}: damaged: expected MD5 {md5} of its uncompressed content, got {_md5(content)}")
    kind = "images" if "images" in path.name else "labels"
    numbers = np.frombuffer(content, np.uint8, offset=_header_size(path, content, kind))
    return numbers.reshape(-1, PIXELS * PIXELS) if kind == "images" else numbers.astype(np.int64)


def _header_size(path: Path, content: bytes, kind: str) -> int:
    """Return the size that a file has by its header, which must fit its kind."""
    fields = 4 if kind == "images" else 2
    header = np.frombuffer(content[: 4 * fields], dtype=">i4").tolist() if len(content) >= 4 * fields else []
    if not header or header[0] != MAGIC[kind]:
        got = header[0] if header else f"{len(content)} bytes"
        raise DataError(f"{path}: not a file of {kind}: expected it to begin with {MAGIC[kind]}, got {got}")
    if kind == "images" and header[2:] != [PIXELS, PIXELS]:
        raise DataError(f"{path}: expected pictures of {PIXELS}x{PIXELS}, got {header[2]}x{header[3]}")
    size = 4 * fields + header[1] * (PIXELS * PIXELS if kind == "images" else 1)
    if header[1] < 1 or size != len(content):
        raise DataError(f"{path}: damaged: expected {size} bytes for {header[1]} {kind}, got {len(content)}")
    return 4 * fields


def _bytes(path: Path) -> bytes:
    """Read the uncompressed content, up to a limit, since a small archive can hold more than fits into memory."""
    try:
        content = read_regular(path, MAX_BYTES)
        return _unpacked(content) if path.suffix == ".gz" else content
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: a damaged or cut off gzip file: {one_line(error)}") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or one_line(error)}") from error


def _unpacked(archive: bytes) -> bytes:
    """Unpack gzip's format, up to the limit.

    A part is unpacked in one call. The gzip module takes a thousand calls, after each of which it waits for the thread that
    imports Ray Tune meanwhile, and that made the start a second longer.
    """
    content = b""
    while archive:
        part = zlib.decompressobj(wbits=31)  # 31 is gzip's header and checksum
        content += part.decompress(archive, MAX_BYTES - len(content))
        if len(content) == MAX_BYTES:
            break
        if not part.eof:
            raise EOFError("Compressed file ended before the end-of-stream marker was reached")
        archive = part.unused_data.lstrip(b"\0")  # a part may be followed by zeros, and by another part
    return content


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
