"""The sources of datasets: each name with its loader."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.arrays import frozen
from tune_mlp.data.custom import load_custom
from tune_mlp.data.dataset import Dataset, Inputs
from tune_mlp.data.mnist import PIXELS, MissingDataset, load_mnist, not_found
from tune_mlp.data.table_files import ENDINGS, READERS, kind_of_file
from tune_mlp.data.tabular import load_table
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import DataError, did_you_mean
from tune_mlp.seeds import derive


@dataclass(frozen=True)
class LoadRequest:
    """The arguments of a loader."""

    settings: DataSettings
    data_dir: Path | None = None
    base: Path | None = None
    """The folder of the study file, to which a table's path is relative."""
    allow_download: bool = True
    say: Callable[[str], None] = print


Loader = Callable[[LoadRequest], Dataset | MissingDataset]


def load_dataset(
    settings: DataSettings,
    data_dir: Path | None = None,
    base: Path | None = None,
    allow_download: bool = True,
    say: Callable[[str], None] = print,
) -> Dataset:
    """Load the dataset with the name `settings.name`, or its stand-in, which then says what it stands in for."""
    request = LoadRequest(settings, data_dir, base, allow_download, say)
    loader = _loader(settings.name, "data.name")
    # Looked up even if it isn't needed, so that a misspelt stand-in is found before the day without internet.
    stand_in = _loader(settings.offline, "data.offline") if settings.offline else None
    found = loader(request)
    if isinstance(found, Dataset):
        return found
    if stand_in is None or settings.offline is None:
        raise not_found(settings.name, found)
    other = stand_in(replace(request, settings=settings.model_copy(update={"name": settings.offline, "offline": None})))
    if isinstance(other, MissingDataset):
        raise not_found(settings.name, found)
    if other.shape == DIGITS_SHAPE:  # the dataset that it stands in for has 28x28 pictures
        other = replace(other, x=_enlarge(other.x), x_test=_enlarge(other.x_test), shape=(PIXELS, PIXELS))
    return replace(other, stand_in_for=settings.name)


def calls_code(settings: DataSettings) -> list[str]:
    """Return the functions of a user that are called for these data."""
    names = (settings.name, settings.offline or "")
    return [name for name in names if ":" in name and name.partition(":")[0] not in FILE_SOURCES]


def _loader(name: str, where: str) -> Loader:
    if name in SOURCES:
        return SOURCES[name]
    kind, colon, _ = name.partition(":")
    if colon:
        return FILE_SOURCES.get(kind, lambda request: load_custom(request.settings.name, request.settings.task))
    if kind := kind_of_file(name):
        raise DataError(f"{where}: unknown dataset {name!r} (did you mean '{kind}:{name}'?)")
    known = [*SOURCES, *(f"{kind}:FILE" for kind in FILE_SOURCES), "package.module:function"]
    raise DataError(f"{where}: unknown dataset {name!r}{did_you_mean(name, known)}")


def table_name(file: str) -> str:
    """Return `csv:FILE` or `parquet:FILE` for a table's file, by the ending of its name; a name that has a kind is kept."""
    if file.partition(":")[0] in READERS:
        return file
    kind = kind_of_file(file)
    if not kind:
        endings = ", ".join(f".{ending}" for ending in ENDINGS)
        raise DataError(f"{file}: not a table by its name, which may end in {endings}; or write csv:{file}")
    return f"{kind}:{file}"


def _mnist(request: LoadRequest) -> Dataset | MissingDataset:
    return load_mnist(request.settings.name, request.data_dir, request.allow_download, request.say)


DIGITS_SHAPE = (8, 8)


def _digits(request: LoadRequest) -> Dataset:
    """Read scikit-learn's 1797 handwritten digits from its file, since importing sklearn.datasets takes over a second."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("dataset digits: comes with scikit-learn, which isn't installed")
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.array([[int(float(field)) for field in row] for row in csv.reader(file)])
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: scikit-learn's digits can't be read: {error}") from error
    x = frozen(np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8))
    y = frozen(table[:, -1].astype(np.int64))
    classes = tuple(str(digit) for digit in range(10))
    return Dataset("digits", "classification", x, y, x[:0], y[:0], classes=classes, shape=DIGITS_SHAPE)


def _enlarge(x: Inputs) -> NDArray[np.uint8]:
    """Enlarge pictures from 8x8 to 28x28 by bilinear interpolation."""
    small = DIGITS_SHAPE[0]
    # The centres of the large picture's pixels, in coordinates of the small picture.
    at = np.clip((np.arange(PIXELS) + 0.5) * small / PIXELS - 0.5, 0, small - 1)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(small)))
    large = np.einsum("ai,nij,bj->nab", weights, x.reshape(-1, small, small), weights, optimize=True)
    enlarged: NDArray[np.uint8] = frozen(np.rint(large).astype(np.uint8).reshape(len(x), PIXELS * PIXELS))
    return enlarged


def _noisy_curve(request: LoadRequest) -> Dataset:
    """Make 100 points of a sine with a trend: training points at random places with noise, test points at even steps without."""
    # The data are always the same, whatever the study's seed.
    generator = np.random.default_rng(derive(0, "noisy_curve"))
    x = generator.uniform(-5, 5, size=(CURVE_POINTS, 1))
    y = _curve(x) + generator.normal(0, CURVE_NOISE, size=x.shape)
    x_test = np.linspace(-5, 5, CURVE_POINTS)[:, None]
    parts = [frozen(part.astype(np.float32)) for part in (x, y, x_test, _curve(x_test))]
    return Dataset("noisy_curve", "regression", parts[0], parts[1], parts[2], parts[3], features=("x",))


CURVE_POINTS, CURVE_NOISE = 100, 0.5


def _curve(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sin(x) + 0.2 * x


SOURCES: dict[str, Loader] = {
    "mnist": _mnist,
    "fashion_mnist": _mnist,
    "kmnist": _mnist,
    "digits": _digits,
    "noisy_curve": _noisy_curve,
}
FILE_SOURCES: dict[str, Loader] = {kind: lambda request: load_table(request.settings, request.base) for kind in READERS}
