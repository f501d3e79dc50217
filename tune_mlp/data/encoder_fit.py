"""The fit of a table's encoding to its training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.encoder import CategoryEncoding, Encoding, NumberEncoding, TableColumn, TableEncoder
from tune_mlp.data_settings import Normalize

QUANTILES = 256
"""The largest number of quantiles that `scale: quantile` keeps of a column."""


@dataclass(frozen=True)
class EncodingSettings:
    """The settings of a table's encoding."""

    normalize: Normalize = "standard"
    scale: Literal["standard", "robust", "quantile"] | None = None
    """How numbers are scaled; None for what `normalize` says."""
    indicate: bool = False
    """True if a further input says of each column with missing values whether its value is missing."""
    max_categories: int = 50


def fit_table(
    x: NDArray[np.float64], train: NDArray[np.int64], columns: Sequence[TableColumn], settings: EncodingSettings
) -> TableEncoder:
    """Fit the encoding to the training rows of the raw values [n, columns]."""
    encodings: list[Encoding] = []
    for place, column in enumerate(columns):
        values = x[train, place]
        if column.categories:
            encodings.append(_fit_categories(column, values.astype(np.int64), settings))
        else:
            # Whether a column has an input for missing values depends on the whole table, whose rows may all be scaled later.
            indicate = settings.indicate and bool(np.isnan(x[:, place]).any())
            encodings.append(_fit_numbers(column.name, values, indicate, settings))
    return TableEncoder(tuple(columns), tuple(encodings), settings.normalize == "per_sample")


def _fit_numbers(name: str, values: NDArray[np.float64], indicate: bool, settings: EncodingSettings) -> NumberEncoding:
    present = values[~np.isnan(values)]
    if not len(present):
        return NumberEncoding(name, 0.0, 0.0, 0.0, indicate=indicate)
    fill = float(np.median(present))
    filled = np.where(np.isnan(values), fill, values)
    if settings.scale == "quantile":
        steps = np.linspace(0, 1, min(QUANTILES, len(present)))
        return NumberEncoding(name, fill, 0.0, 1.0, tuple(np.quantile(present, steps).tolist()), indicate)
    centre, spread = _centre_and_spread(filled, settings)
    with np.errstate(divide="ignore", over="ignore"):
        factor = float(np.float64(1.0) / spread) if spread > 0 else 0.0
    return NumberEncoding(name, fill, centre, factor if np.isfinite(factor) else 0.0, indicate=indicate)


def _centre_and_spread(values: NDArray[np.float64], settings: EncodingSettings) -> tuple[float, float]:
    """Return the numbers that training values are moved by and divided by."""
    low, high = float(values.min()), float(values.max())
    if settings.scale == "robust":
        first, middle, third = np.quantile(values, [0.25, 0.5, 0.75])
        if third > first:
            return float(middle), float(third - first)
    if settings.scale is None and settings.normalize == "unit":
        return low, high - low
    if settings.scale is None and settings.normalize == "symmetric":
        return low / 2 + high / 2, high / 2 - low / 2
    if settings.scale is None and settings.normalize == "per_sample":
        return 0.0, 1.0
    if low == high:
        return low, 0.0
    # Between 0 and 1, where no square is infinite or 0, and no difference of large numbers is lost.
    part = (values - low) / (high - low)
    centre = part.mean()
    return float(low + centre * (high - low)), float(np.sqrt(np.square(part - centre).mean()) * (high - low))


def _fit_categories(column: TableColumn, values: NDArray[np.int64], settings: EncodingSettings) -> CategoryEncoding:
    counts = np.bincount(values, minlength=len(column.categories))
    seen = np.flatnonzero(counts)
    kept = seen
    if other := len(seen) > settings.max_categories:
        by_count = seen[np.argsort(-counts[seen], kind="stable")]
        kept = np.sort(by_count[: settings.max_categories - 1])
    shares = counts[kept] / len(values)
    if other:
        shares = np.append(shares, 1.0 - shares.sum())
    if settings.normalize in ("unit", "per_sample"):
        centres, factors = np.zeros(len(shares)), np.ones(len(shares))
    elif settings.normalize == "symmetric":
        centres, factors = np.full(len(shares), 0.5), np.full(len(shares), 2.0)
    else:
        deviation = np.sqrt(shares * (1.0 - shares))
        centres, factors = shares, np.divide(1.0, deviation, out=np.zeros_like(shares), where=deviation > 0)
    names = tuple(column.categories[place] for place in kept)
    return CategoryEncoding(column.name, names, other, tuple(centres.tolist()), tuple(factors.tolist()))
