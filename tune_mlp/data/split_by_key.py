"""Splits by a column: no group is in two parts, or earlier samples train and later ones validate."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
from numpy.typing import NDArray

from tune_mlp.errors import DataError

Index = NDArray[np.int64]


def cut_by_time(times: Index, kept: int, where: str) -> tuple[Index, Index]:
    """Return the indices of the earlier samples, about `kept` of them, and of the later ones; equal times stay together."""
    order = np.argsort(times, kind="stable")
    boundary = _first_of_its_time(times[order], kept)
    if not 0 < boundary < len(times):
        raise DataError(
            f"{where}: too many rows have the same time to split them there: {kept} of {len(times)} were to train"
        )
    return np.sort(order[:boundary]), np.sort(order[boundary:])


def folds_by_time(times: Index, folds: int, where: str) -> list[tuple[Index, Index]]:
    """Return folds that train on all earlier samples and validate on those that follow, as scikit-learn's TimeSeriesSplit."""
    order = np.argsort(times, kind="stable")
    steps = np.linspace(0, len(times), folds + 2)[1:]
    ends = [_first_of_its_time(times[order], round(step)) for step in steps[:-1]] + [len(times)]
    if any(low >= high for low, high in zip([0, *ends], ends, strict=False)):
        raise DataError(
            f"{where}: too few different times for folds={folds}: {len(np.unique(times))} in {len(times)} rows"
        )
    return [(np.sort(order[:low]), np.sort(order[low:high])) for low, high in itertools.pairwise(ends)]


def _first_of_its_time(in_order: Index, place: int) -> int:
    """Return the first place whose time is that of `place`, so that a boundary there parts no equal times."""
    if place >= len(in_order):
        return len(in_order)
    return int(np.searchsorted(in_order, in_order[place], side="left"))


def cut_by_group(groups: Index, share: float, classes: Index, seed: int, where: str) -> tuple[Index, Index]:
    """Return the indices of the samples that stay and of about this share that is held out, whole groups each."""
    smaller = min(share, 1 - share)
    parts = folds_by_group(groups, max(2, round(1 / smaller)), classes, seed, where, all_of_them=False)
    stay, held = parts[0]
    return (stay, held) if share <= 0.5 else (held, stay)


def folds_by_group(
    groups: Index, folds: int, classes: Index, seed: int, where: str, all_of_them: bool = True
) -> list[tuple[Index, Index]]:
    """Return folds of whole groups of about equal sizes, and with about equal shares of the classes."""
    from sklearn.model_selection import StratifiedGroupKFold  # over a second, which other splits needn't wait for

    different = len(np.unique(groups))
    if different < 2 or (all_of_them and different < folds):
        raise DataError(f"{where}: a split by groups needs {max(2, folds)} groups, got {different}")
    splitter = StratifiedGroupKFold(min(folds, different), shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # of a class with fewer samples than folds, which needn't be in each
        try:
            parts = [(train, held) for train, held in splitter.split(np.zeros((len(groups), 1)), classes, groups)]
        except ValueError as error:
            raise DataError(f"{where}: {error}") from None
    if any(len(train) == 0 or len(held) == 0 for train, held in parts):
        raise DataError(f"{where}: one group holds so many rows that a part would be empty")
    return [(train.astype(np.int64), held.astype(np.int64)) for train, held in parts]
