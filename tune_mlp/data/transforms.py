"""The scaling of inputs and targets, which is fitted to the training part alone: `x * scale + shift`, or each sample by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data_settings import Normalize

Floats = NDArray[np.float32]

ROWS = 4096
"""The number of rows that are read together, so that fitting never needs a second copy of a large dataset."""


@dataclass(frozen=True, eq=False)
class InputScaler:
    """Scales inputs: missing values are filled, then `x * scale + shift`, or per sample each row to mean 0 and deviation 1."""

    scale: Floats
    """The factors, [1] for pictures or [features] for columns."""
    shift: Floats
    """The numbers that are added after scaling, with the shape of `scale`."""
    fill: Floats | None = None
    """The values that replace NaN, [features]; None if no value can be missing."""
    per_sample: bool = False
    """True if each row is scaled by itself; `scale` is 1 and `shift` is 0 then."""

    def describe(self) -> dict[str, Any]:
        """Return the scaling in plain values, for use of the model outside of this package."""
        return {
            "per_sample": self.per_sample,
            "scale": self.scale.tolist(),
            "shift": self.shift.tolist(),
            "fill": None if self.fill is None else self.fill.tolist(),
        }

    def apply(self, x: NDArray[Any]) -> Floats:
        """Return scaled inputs [n, features] in a new array, since `x` may be shared and read-only."""
        scaled = np.empty(x.shape, dtype=np.float32)
        # An outlier outside of the training part may overflow; the score is then not finite, and the trial has diverged.
        with np.errstate(over="ignore", invalid="ignore"):
            if self.fill is not None or self.per_sample:
                np.copyto(scaled, x, casting="unsafe")
                if self.fill is not None:
                    _fill(scaled, self.fill)
                if self.per_sample:
                    return _scale_rows(scaled)
                scaled *= self.scale
            else:
                np.multiply(x, self.scale, out=scaled, dtype=np.float32, casting="same_kind")
            scaled += self.shift
        return scaled


@dataclass(frozen=True, eq=False)
class TargetScaler:
    """Scales regression targets to mean 0 and deviation 1, and back; classes are not changed."""

    mean: Floats
    """The means, [outputs] or [1] for classes."""
    std: Floats
    """The standard deviations, with the shape of `mean`."""

    def apply(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return the targets that a network is trained on, in a new array."""
        if y.dtype.kind in "iu":
            return y.astype(np.int64)
        return ((y - self.mean) / self.std).astype(np.float32)

    def invert(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return outputs or scaled targets in the target's own unit."""
        if y.dtype.kind in "iu":
            return y.astype(np.int64)
        return (y * self.std + self.mean).astype(np.float32)


def fit_inputs(x_train: NDArray[Any], normalize: Normalize, missing: bool = True) -> InputScaler:
    """Fit the scaling to a training part; `missing` says if NaN may occur in it or in inputs that are scaled later."""
    pictures = x_train.dtype == np.uint8
    fill = None if pictures or not missing else _medians(x_train)
    if normalize == "per_sample":
        return InputScaler(_floats([1.0]), _floats([0.0]), fill, per_sample=True)
    if normalize == "standard":
        mean, std = _picture_moments(x_train) if pictures else _column_moments(x_train, fill)
        scale = _inverse(std)
        return InputScaler(scale, _floats(-mean * scale), fill)
    low, high = (np.zeros(1), np.full(1, 255.0)) if pictures else _column_range(x_train, fill)
    scale = _inverse(high - low)
    shift = -low * scale
    if normalize == "symmetric":
        scale, shift = scale * np.float32(2), shift * 2 - 1
    return InputScaler(_floats(scale), _floats(shift), fill)


def fit_targets(y_train: NDArray[Any], enabled: bool) -> TargetScaler:
    """Fit the scaling to a training part's targets; it changes nothing for classes, or if it isn't enabled."""
    outputs = 1 if y_train.dtype.kind in "iu" else int(y_train.shape[1])
    if not enabled or y_train.dtype.kind in "iu":
        return TargetScaler(np.zeros(outputs, np.float32), np.ones(outputs, np.float32))
    mean, std = _column_moments(y_train, None)
    usable = _inverse(std) > 0
    return TargetScaler(_floats(mean), _floats(np.where(usable, std, 1.0)))


def _floats(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float32)


def _inverse(spread: NDArray[np.float64]) -> Floats:
    """Return 1/spread; 0 for a column that doesn't vary, or varies so little that float32 can't hold the factor."""
    with np.errstate(divide="ignore", over="ignore"):
        inverse = (1.0 / spread).astype(np.float32)
    inverse[~np.isfinite(inverse)] = 0
    return inverse


def _fill(x: Floats, fill: Floats) -> None:
    holes = np.isnan(x)
    if holes.any():
        np.copyto(x, fill, where=holes)


def _scale_rows(x: Floats) -> Floats:
    flat = x.max(axis=1) == x.min(axis=1)  # by its range, since the deviation of a constant row need not round to 0
    x -= x.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    std = np.sqrt(np.einsum("ij,ij->i", x, x) / np.float32(x.shape[1]))
    x *= np.where(flat, np.float32(0), _inverse(std.astype(np.float64)))[:, None]
    return x


def _pieces(x: NDArray[Any], fill: Floats | None) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(x), ROWS):
        piece = x[start : start + ROWS].astype(np.float32)
        if fill is not None:
            _fill(piece, fill)
        yield piece.astype(np.float64)


def _medians(x: NDArray[Any]) -> Floats:
    """Return the median of each column's values, missing ones left out; 0 for a column that has no values."""
    medians = np.zeros(x.shape[1], dtype=np.float32)
    for column in range(x.shape[1]):
        values = x[:, column]
        values = values[~np.isnan(values)]
        if len(values):
            medians[column] = np.median(values.astype(np.float64))
    return medians


def _column_range(x: NDArray[Any], fill: Floats | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lows, highs = zip(*((piece.min(axis=0), piece.max(axis=0)) for piece in _pieces(x, fill)), strict=True)
    return np.min(lows, axis=0), np.max(highs, axis=0)


def _column_moments(x: NDArray[Any], fill: Floats | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each column's mean and deviation; the deviation of a constant column is exactly 0."""
    low, high = _column_range(x, fill)
    mean = np.sum([piece.sum(axis=0) for piece in _pieces(x, fill)], axis=0) / len(x)
    square = np.sum([((piece - mean) ** 2).sum(axis=0) for piece in _pieces(x, fill)], axis=0) / len(x)
    return mean, np.where(low == high, 0.0, np.sqrt(square))


def _picture_moments(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return one mean and deviation over all pixels, exactly, from a histogram of the 256 values."""
    counts = np.zeros(256, dtype=np.int64)
    for start in range(0, len(x), ROWS):
        counts += np.bincount(x[start : start + ROWS].ravel(), minlength=256)
    values = np.arange(256, dtype=np.float64)
    mean = counts @ values / counts.sum()
    return np.atleast_1d(mean), np.atleast_1d(np.sqrt(counts @ (values - mean) ** 2 / counts.sum()))
