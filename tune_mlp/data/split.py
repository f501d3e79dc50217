"""Splits of a dataset into samples that train, validate and test, which depend on the seed alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.dataset import Dataset, Fold, Problem
from tune_mlp.data.encoder_fit import EncodingSettings, fit_table
from tune_mlp.data.split_by_key import cut_by_group, cut_by_time, folds_by_group, folds_by_time
from tune_mlp.data.transforms import fit_inputs, fit_targets
from tune_mlp.data_settings import DataSettings, Folds, Head
from tune_mlp.errors import DataError
from tune_mlp.seeds import derive

Index = NDArray[np.int64]


def make_problem(dataset: Dataset, settings: DataSettings, seed: int) -> Problem:
    """Split off a test part, make the folds, and fit the scaling of each fold to its training part alone."""
    dataset = hold_out_test(dataset, settings.test, settings.stratify, seed)
    dataset = fewer(dataset, settings.samples, seed)
    folds = make_folds(dataset, settings, seed)
    if dataset.columns and (note := _repeated_rows(dataset, folds)):
        dataset = replace(dataset, notes=(*dataset.notes, note))
    return Problem(dataset, folds)


def hold_out_test(dataset: Dataset, test: float | Head, stratify: bool, seed: int) -> Dataset:
    """Return the dataset with a test part; unchanged if it has one of its own or none is wanted."""
    if len(dataset.x_test) or test == 0:
        return dataset
    keep, held_out = _cut(dataset, test, stratify, derive(seed, "test"), "data.test")
    tested = dataset.part(held_out)
    return replace(dataset.part(keep), x_test=tested.x, y_test=tested.y)


def fewer(dataset: Dataset, samples: int | None, seed: int) -> Dataset:
    """Return the dataset with at most so many samples to learn from, in their order; a larger number keeps all of a smaller one's."""
    if samples is None or samples >= len(dataset.x):
        return dataset
    kept = np.sort(np.random.default_rng(derive(seed, "samples")).permutation(len(dataset.x))[:samples])
    return dataset.part(kept)


def make_folds(dataset: Dataset, settings: DataSettings, seed: int) -> tuple[Fold, ...]:
    """Return one fold for a hold-out or K folds for cross-validation, with indices in rising order."""
    where, split_seed = "data.validation", derive(seed, "split")
    if isinstance(settings.validation, Folds):
        parts = _cross(dataset, settings.validation.folds, settings.stratify, split_seed, where)
    else:
        parts = [_cut(dataset, settings.validation, settings.stratify, split_seed, where)]
    missing = may_be_missing(dataset)
    return tuple(fit_fold(dataset, train, validation, settings, missing) for train, validation in parts)


def may_be_missing(dataset: Dataset) -> bool:
    """Tell if an input of any sample is missing."""
    return dataset.x.dtype != np.uint8 and bool(np.isnan(dataset.x).any() or np.isnan(dataset.x_test).any())


def fit_fold(dataset: Dataset, train: Index, validation: Index, settings: DataSettings, missing: bool) -> Fold:
    """Return a fold whose scaling is fitted to its training samples alone; `missing` says if values may be missing in any."""
    targets = fit_targets(dataset.y[train], settings.scale_target)
    if dataset.columns:
        encoding = EncodingSettings(
            settings.normalize, settings.scale, settings.missing == "indicate", settings.max_categories
        )
        return Fold(
            train, validation, fit_table(np.asarray(dataset.x, np.float64), train, dataset.columns, encoding), targets
        )
    return Fold(train, validation, fit_inputs(dataset.x[train], settings.normalize, missing), targets)


def _cut(dataset: Dataset, part: float | Head, stratify: bool, seed: int, where: str) -> tuple[Index, Index]:
    """Return the indices of the samples that stay and of those that are held out."""
    n = len(dataset.x)
    if stratify:
        _check_stratify(dataset, 2, where)
    if dataset.times is not None:
        return cut_by_time(
            dataset.times, part.head if isinstance(part, Head) else n - math.floor(n * part + 0.5), where
        )
    if dataset.groups is not None and not isinstance(part, Head):
        return cut_by_group(dataset.groups, part, _classes(dataset, stratify), seed, where)
    if isinstance(part, Head):
        if stratify:
            raise DataError(f"{where}: a split by order can't be stratified, got head={part.head} with stratify=true")
        if part.head >= n:
            raise DataError(f"{where}: head must be below the number of samples, got head={part.head} with {n} samples")
        return np.arange(part.head, dtype=np.int64), np.arange(part.head, n, dtype=np.int64)
    count = math.floor(n * part + 0.5)
    if not 0 < count < n:
        raise DataError(f"{where}: both parts of a split need a sample, got a share of {part:g} of {n} samples")
    generator = np.random.default_rng(seed)
    if not stratify:
        order = generator.permutation(n)
        return np.sort(order[count:]), np.sort(order[:count])
    held = np.zeros(n, dtype=bool)
    members = _by_class(dataset.y)
    for those, wanted in zip(members, _shares([len(those) for those in members], part, count), strict=True):
        held[generator.permutation(those)[:wanted]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _cross(dataset: Dataset, folds: int, stratify: bool, seed: int, where: str) -> list[tuple[Index, Index]]:
    """Return the training and validation indices of each fold. Sizes differ by one at most, with stratify also within each class."""
    n = len(dataset.x)
    if folds > n:
        raise DataError(f"{where}: there must be a sample for each fold, got folds={folds} with {n} samples")
    if dataset.times is not None:
        return folds_by_time(dataset.times, folds, where)
    if dataset.groups is not None:
        return folds_by_group(dataset.groups, folds, _classes(dataset, stratify), seed, where)
    generator = np.random.default_rng(seed)
    if stratify:
        _check_stratify(dataset, folds, where)
        order = np.concatenate([generator.permutation(members) for members in _by_class(dataset.y)])
    else:
        order = generator.permutation(n)
    fold_of = np.empty(n, dtype=np.int64)
    # Samples are dealt like cards, class after class; each class begins where the one before it ended.
    fold_of[order] = np.arange(n) % folds
    return [(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(folds)]


def _shares(sizes: list[int], part: float, count: int) -> list[int]:
    """Return how many of each class are held out: `count` in all, by largest remainder, at least one of each class and never all."""
    exact = np.array(sizes) * part
    shares = np.floor(exact).astype(np.int64)
    missing = max(0, count - int(shares.sum()))
    shares[np.argsort(shares - exact, kind="stable")[:missing]] += 1
    return [int(share) for share in np.clip(shares, 1, np.array(sizes) - 1)]


def _check_stratify(dataset: Dataset, least: int, where: str) -> None:
    if dataset.task != "classification":
        raise DataError(f"{where}: stratify needs classes, got the {dataset.task} dataset {dataset.name}")
    for members in _by_class(dataset.y):
        if len(members) < least:
            name = dataset.classes[int(dataset.y[members[0]])]
            raise DataError(
                f"{where}: stratify needs {least} samples of each class, got {len(members)} of class {name!r}"
            )


def _by_class(y: NDArray[Any]) -> list[Index]:
    """Return the indices of each class that occurs."""
    order = np.argsort(y, kind="stable")
    return [members for members in np.split(order, np.flatnonzero(np.diff(y[order])) + 1) if len(members)]


def _classes(dataset: Dataset, stratify: bool) -> NDArray[np.int64]:
    """Return the classes whose shares a split by groups keeps; all equal if it needn't."""
    return dataset.y.astype(np.int64) if stratify else np.zeros(len(dataset.x), dtype=np.int64)


def _repeated_rows(dataset: Dataset, folds: tuple[Fold, ...]) -> str:
    """Say how many rows of the validation and test parts equal a row that trains; nothing if none does."""
    train = _as_bytes(dataset.x[folds[0].train])
    said = []
    for name, rows in (("validation", dataset.x[folds[0].validation]), ("test", dataset.x_test)):
        count = int(np.isin(_as_bytes(rows), train).sum())
        if count:
            said.append(f"{count} of {len(rows)} rows of the {name} part")
    return f"the inputs of {' and '.join(said)} equal those of a row that trains" if said else ""


def _as_bytes(rows: NDArray[Any]) -> NDArray[Any]:
    """Return each row as one value, which can be compared with others."""
    rows = np.ascontiguousarray(rows) + 0.0  # -0.0 equals 0.0
    return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
