"""The encoding of a table's columns as inputs of a net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.transforms import Floats
from tune_mlp.data_settings import COLUMN_KINDS

OTHER = "(other)"
"""The category of a value that is rare in the training rows or doesn't occur in them."""
MISSING = "(missing)"
"""The category of a missing value."""
TAIL = 5.199337582605575
"""The largest normal score that `scale: quantile` gives: that of one value in ten million."""
ROWS = 8192
"""The number of rows that are encoded together, so that the work stays in the cache."""


@dataclass(frozen=True)
class TableColumn:
    """A column of a table's raw values, [n, columns] in float64: numbers, or the numbers of categories."""

    name: str
    categories: tuple[str, ...] = ()
    """The categories by their number; empty for a column of numbers."""
    source: str = ""
    """The column of the table's file that it comes from; empty if it has the same name."""
    kind: str = "number"
    """The kind of that column."""
    part: str = ""
    """The part of a date, such as `month`; empty for other kinds."""
    form: str = ""
    """The form of dates that were text, as `strptime` names it."""
    decimal: str = ""
    """The sign before the fractions of numbers that were text; empty if nothing told which it is."""


@dataclass(frozen=True, eq=False)
class NumberEncoding:
    """The encoding of a column of numbers as one input, and a second one if missing values are indicated."""

    name: str
    fill: float
    """The number that replaces a missing value: the median of the training rows."""
    centre: float
    """The number that is subtracted, in float64."""
    factor: float
    """The number that is multiplied with afterwards; 0 for a column that doesn't vary in the training rows."""
    quantiles: tuple[float, ...] = ()
    """The training rows' quantiles in equal steps, for `scale: quantile`; empty otherwise."""
    indicate: bool = False
    """True if a second input says whether the value was missing."""

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return (self.name, f"{self.name}={MISSING}") if self.indicate else (self.name,)


@dataclass(frozen=True, eq=False)
class CategoryEncoding:
    """The encoding of a column of text as one input for each category that the training rows have often enough."""

    name: str
    categories: tuple[str, ...]
    """The categories with an input of their own."""
    other: bool
    """True if one more input stands for all other values, since some were too rare in the training rows."""
    centres: tuple[float, ...]
    """The numbers that are subtracted from the inputs' 0 and 1."""
    factors: tuple[float, ...]
    """The numbers that are multiplied with afterwards."""

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the inputs."""
        names = (*self.categories, OTHER) if self.other else self.categories
        return tuple(f"{self.name}={value}" for value in names)

    def places(self, categories: Sequence[str]) -> NDArray[np.int64]:
        """Return the place of the input of each of these categories, and at the end the place for any other value.

        It is beyond the last input if a value has none.
        """
        place = {value: place for place, value in enumerate(self.categories)}
        unknown = len(self.categories)
        return np.array([*(place.get(value, unknown) for value in categories), unknown], dtype=np.int64)


Encoding = NumberEncoding | CategoryEncoding


class _Layout(NamedTuple):
    """Where each column's values go, as arrays, so that all columns of numbers are encoded at once."""

    numbers: NDArray[np.int64]
    """The columns of numbers that are moved and multiplied."""
    number_inputs: NDArray[np.int64]
    """The inputs that they become."""
    fills: NDArray[np.float64]
    centres: NDArray[np.float64]
    factors: NDArray[np.float64]
    indicated: NDArray[np.int64]
    """The columns whose missing values are indicated."""
    indicator_inputs: NDArray[np.int64]
    ranked: list[tuple[int, int, float, NDArray[np.float64]]]
    """The columns that are scaled by rank, each with its input, the number that replaces a missing value, and its quantiles."""
    texts: list[tuple[int, int, int, NDArray[np.int64]]]
    """The columns of categories, each with its first input, the one after its last, and the place of each category."""
    absent: Floats
    """Each input's value where its category isn't there; 0 for numbers."""
    present: Floats
    """Each input's value where its category is there."""

    @classmethod
    def of(cls, columns: Sequence[TableColumn], encodings: Sequence[Encoding]) -> _Layout:
        """Lay out the inputs in the order of the columns."""
        width = sum(len(encoding.features) for encoding in encodings)
        absent, present = np.zeros((2, width), dtype=np.float32)
        numbers: list[tuple[int, int, NumberEncoding]] = []
        indicators: list[tuple[int, int]] = []
        ranked: list[tuple[int, int, float, NDArray[np.float64]]] = []
        texts: list[tuple[int, int, int, NDArray[np.int64]]] = []
        start = 0
        for place, (column, encoding) in enumerate(zip(columns, encodings, strict=True)):
            end = start + len(encoding.features)
            if isinstance(encoding, CategoryEncoding):
                centres, factors = np.asarray(encoding.centres), np.asarray(encoding.factors)
                absent[start:end], present[start:end] = -centres * factors, (1.0 - centres) * factors
                texts.append((place, start, end, encoding.places(column.categories)))
            else:
                if encoding.quantiles:
                    ranked.append((place, start, encoding.fill, np.asarray(encoding.quantiles)))
                else:
                    numbers.append((place, start, encoding))
                if encoding.indicate:
                    indicators.append((place, start + 1))
            start = end
        return cls(
            numbers=np.array([place for place, _, _ in numbers], dtype=np.int64),
            number_inputs=np.array([at for _, at, _ in numbers], dtype=np.int64),
            fills=np.array([encoding.fill for _, _, encoding in numbers]),
            centres=np.array([encoding.centre for _, _, encoding in numbers]),
            factors=np.array([encoding.factor for _, _, encoding in numbers]),
            indicated=np.array([place for place, _ in indicators], dtype=np.int64),
            indicator_inputs=np.array([at for _, at in indicators], dtype=np.int64),
            ranked=ranked,
            texts=texts,
            absent=absent,
            present=present,
        )


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """Encodes the raw values of a table, column by column; engines call it as they call an `InputScaler`."""

    columns: tuple[TableColumn, ...]
    encodings: tuple[Encoding, ...]
    per_sample: bool = False
    """True if each encoded row is scaled to mean 0 and deviation 1 by itself."""

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The names of the inputs of a net."""
        return tuple(name for encoding in self.encodings for name in encoding.features)

    @property
    def width(self) -> int:
        """The number of inputs of a net."""
        return len(self.features)

    def apply(self, x: NDArray[Any]) -> Floats:
        """Return the encoded rows [m, width] of raw values [m, columns]."""
        out = np.empty((len(x), self.width), dtype=np.float32)
        for start in range(0, len(x), ROWS):
            part = slice(start, start + ROWS)
            raw = np.asarray(x[part], np.float64)
            if self.per_sample:
                encoded = np.empty((len(raw), self.width))
                self._apply(raw, encoded)
                out[part] = _scaled_rows(encoded)
            else:
                self._apply(raw, out[part])
        return out

    def _apply(self, x: NDArray[np.float64], out: NDArray[Any]) -> None:
        layout = self._layout
        out[:] = layout.absent
        values = x[:, layout.numbers]
        holes = np.isnan(values)
        if holes.any():
            np.copyto(values, layout.fills, where=holes)
        # An outlier outside of the training rows may overflow; the score is then not finite, and the trial has diverged.
        with np.errstate(over="ignore", invalid="ignore"):
            values -= layout.centres
            values *= layout.factors
            out[:, layout.number_inputs] = values
        if len(layout.indicated):
            out[:, layout.indicator_inputs] = np.isnan(x[:, layout.indicated])
        for place, at, fill, quantiles in layout.ranked:
            column = x[:, place]
            out[:, at] = normal_scores(np.where(np.isnan(column), fill, column), quantiles)
        for place, start, end, places in layout.texts:
            inputs = places[x[:, place].astype(np.int64)] + start
            rows = np.flatnonzero(inputs < end)
            out[rows, inputs[rows]] = layout.present[inputs[rows]]

    @cached_property
    def _layout(self) -> _Layout:
        return _Layout.of(self.columns, self.encodings)

    def describe(self) -> dict[str, Any]:
        """Return the encoding in plain values, for use of the model outside of this package."""
        return {
            "per_sample": self.per_sample,
            "columns": [_described(*both) for both in zip(self.columns, self.encodings, strict=True)],
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> TableEncoder:
        """Return the encoder that `describe` described. Categories are numbered as the encodings number them."""
        parts = description["columns"]
        encodings = tuple(_encoding(part) for part in parts)
        columns = tuple(_column(part, encoding) for part, encoding in zip(parts, encodings, strict=True))
        return cls(columns, encodings, bool(description["per_sample"]))


def _described(column: TableColumn, encoding: Encoding) -> dict[str, Any]:
    common = {
        "name": column.name,
        "source": column.source or column.name,
        "kind": column.kind,
        "part": column.part,
        "form": column.form,
        "decimal": column.decimal,
    }
    if isinstance(encoding, CategoryEncoding):
        return {
            **common,
            "categories": list(encoding.categories),
            "other": encoding.other,
            "centres": list(encoding.centres),
            "factors": list(encoding.factors),
        }
    return {
        **common,
        "fill": encoding.fill,
        "centre": encoding.centre,
        "factor": encoding.factor,
        "quantiles": list(encoding.quantiles),
        "indicate": encoding.indicate,
    }


def _column(part: Mapping[str, Any], encoding: Encoding) -> TableColumn:
    categories = encoding.categories if isinstance(encoding, CategoryEncoding) else ()
    texts = [part[name] for name in ("source", "kind", "part", "form", "decimal")]
    if not all(isinstance(text, str) for text in texts) or part["kind"] not in COLUMN_KINDS:
        raise ValueError(
            f"column {encoding.name!r:.40}: source, kind, part, form and decimal must be text as a run writes it"
        )
    column = TableColumn(encoding.name, categories, *texts)
    if bool(column.part) != (column.kind in ("date", "time")) or bool(categories) != (column.kind == "category"):
        raise ValueError(f"column {encoding.name!r:.40}: a date has a part, and a category has categories")
    return column


def _encoding(part: Mapping[str, Any]) -> Encoding:
    if "categories" in part:
        return CategoryEncoding(
            str(part["name"]),
            tuple(map(str, part["categories"])),
            bool(part["other"]),
            tuple(map(float, part["centres"])),
            tuple(map(float, part["factors"])),
        )
    return NumberEncoding(
        str(part["name"]),
        float(part["fill"]),
        float(part["centre"]),
        float(part["factor"]),
        tuple(map(float, part["quantiles"])),
        bool(part["indicate"]),
    )


def _scaled_rows(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each row scaled to mean 0 and deviation 1; a row of equal numbers becomes 0."""
    size = np.abs(x).max(axis=1, keepdims=True)  # the square of a large number would be infinite
    part = np.divide(x, size, out=np.zeros_like(x), where=size > 0)
    flat = part.max(axis=1, keepdims=True) == part.min(axis=1, keepdims=True)
    part -= part.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.square(part).mean(axis=1, keepdims=True))
    scaled: NDArray[np.float64] = np.divide(part, deviation, out=np.zeros_like(part), where=~flat & (deviation > 0))
    return scaled


def normal_scores(values: NDArray[np.float64], quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return normal scores of values by their place among quantiles in equal steps, as scikit-learn's QuantileTransformer does."""
    steps = np.linspace(0, 1, len(quantiles))
    # The mean of both directions, so that equal quantiles give the middle of their steps.
    places = 0.5 * (np.interp(values, quantiles, steps) - np.interp(-values, -quantiles[::-1], -steps[::-1]))
    return np.clip(_inverse_normal(places), -TAIL, TAIL)


def _inverse_normal(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import ndtri

    found: NDArray[np.float64] = ndtri(shares)
    return found
