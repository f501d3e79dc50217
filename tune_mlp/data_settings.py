"""The settings of the data: the dataset, how a table is read, and how samples are split and scaled."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from tune_mlp.config import MAX_SAMPLES, Settings

Normalize = Literal["unit", "symmetric", "standard", "per_sample"]
NORMALIZE: tuple[Normalize, ...] = get_args(Normalize)


class Head(Settings):
    """A split in the order of the samples, without shuffling."""

    head: Annotated[int, Field(ge=1, le=MAX_SAMPLES)]
    """The number of samples at the start that are kept for training; the rest is held out."""


class Folds(Settings):
    """K-fold cross-validation."""

    folds: Annotated[int, Field(ge=2, le=100)]
    """The number of folds; each sample is in the validation part of one of them, and a trial's metric is their mean."""


def _split_kind(raw: Any) -> str:
    """Tell which kind of split a value means, so that an error speaks of that kind alone."""
    if isinstance(raw, dict):
        return "by folds" if any(str(name).startswith("fold") for name in raw) else "by head"
    return "by head" if isinstance(raw, Head) else "by folds" if isinstance(raw, Folds) else "by share"


def _test_split_kind(raw: Any) -> str:
    return "by head" if isinstance(raw, dict | Head) else "by share"


Split = Annotated[
    Annotated[float, Field(gt=0, lt=1), Tag("by share")]
    | Annotated[Head, Tag("by head")]
    | Annotated[Folds, Tag("by folds")],
    Discriminator(_split_kind),
]
TestSplit = Annotated[
    Annotated[float, Field(ge=0, lt=1), Tag("by share")] | Annotated[Head, Tag("by head")],
    Discriminator(_test_split_kind),
]


def _check_kind(kind: str) -> str:
    word, _, form = kind.partition(" ")
    if word not in COLUMN_KINDS or (form and word not in ("date", "time")):
        raise ValueError(
            f"must be one of {', '.join(COLUMN_KINDS)}, or a date with its form such as 'date %d.%m.%Y', got {kind!r}"
        )
    return kind


Kind = Literal["number", "boolean", "category", "date", "time"]
TABLE_KINDS = ("csv", "parquet", "xlsx")
"""The kinds of a table's file, as the first part of `data.name` names them."""
COLUMN_KINDS: tuple[Kind, ...] = get_args(Kind)
"""The kinds of a table's columns."""
ColumnKind = Annotated[str, AfterValidator(_check_kind)]
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]


def _separates(character: str) -> str:
    if len(character) != 1 or character in '"\r\n\0 ':
        raise ValueError(f"must be one character that isn't a quote, a blank or the end of a line, got {character!r}")
    return character


class CsvFormat(Settings):
    """The format of a CSV file, where it isn't recognised."""

    separator: Annotated[str, AfterValidator(_separates)] | None = None
    """The character between fields; left out, it is found in the first line: a comma, a semicolon, a tab or |."""
    decimal: Literal[".", ","] | None = None
    """The character before a number's fraction; left out, it is found from the numbers."""
    encoding: str | None = None
    """The encoding of the text, as Python names it; left out, it is UTF-8, UTF-16 or Latin-1, whichever fits."""


class DataSettings(Settings):
    """The settings of the data: the dataset, and how it is split and scaled."""

    name: Annotated[str, Field(min_length=1)]
    """The dataset: mnist, fashion_mnist, kmnist, digits, noisy_curve, csv:FILE, parquet:FILE, xlsx:FILE or package.module:function. FILE may be a folder of parts, or an address such as s3://bucket/table.csv."""
    normalize: Normalize = "standard"
    """How inputs are scaled. unit: to [0, 1]; symmetric: to [-1, 1]; standard: to mean 0 and deviation 1 over the training part; per_sample: each sample to mean 0 and deviation 1."""
    validation: Split = 0.2
    """The validation part, by which trials are compared: a share, {head: N} to train on the first N samples, or {folds: K}."""
    test: TestSplit = 0.2
    """The test part that is cut off for the winner where the dataset has none of its own: a share, or {head: N} to test on all but the first N samples; 0 for no test part."""
    samples: Annotated[int, Field(ge=2, le=MAX_SAMPLES)] | None = None
    """The largest number of samples for training and validation together, chosen at random by the seed; the test part stays whole. Left out, all are used."""
    stratify: bool = False
    """Give each class the same share in all parts of a split."""
    offline: str | None = None
    """The dataset that stands in where the first one is not found and can't be downloaded."""
    target: str | None = None
    """The column to predict, for csv: and parquet:."""
    task: Literal["auto", "classification", "regression"] = "auto"
    """The kind of target in a table; auto takes text and few different whole numbers for classes."""
    inputs: Names | None = None
    """The columns of a table to learn from, by name or by a pattern such as sensor_*; left out, they are all columns but the target."""
    ignore: Names = ()
    """The columns of a table to leave out, by name or by a pattern such as id_*."""
    group: str | None = None
    """The column of a table whose equal values stay together: no group is in two parts of a split, and the column isn't an input."""
    order: str | None = None
    """The column of a table by which rows are split: earlier rows train, later ones validate, and the latest are the test part."""
    kinds: dict[str, ColumnKind] = Field(default_factory=dict)
    """The kinds of columns where the inferred ones are wrong: number, boolean, category, date or time; a date may name its form, such as date %d.%m.%Y."""
    dates: Literal["parts", "cyclic", "ordinal", "ignore"] = "parts"
    """What becomes of dates and times: parts (year, month, day, weekday, hour and minute as they vary), cyclic (parts as sine and cosine), ordinal (one number, in days), or ignore."""
    missing: Literal["refuse", "fill", "indicate", "drop"] = "refuse"
    """What to do where a table's values are missing: refuse the table, fill in the training part's median (for text, a category of its own), indicate (fill, and add an input that says so), or drop the row. A row without a target is always refused or left out."""
    na_values: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    """The words that stand for a missing value beside an empty field; left out, they are NA, N/A, NaN, None, null and the like."""
    max_categories: Annotated[int, Field(ge=2, le=10_000)] = 50
    """The largest number of inputs of a column of text; the categories that are rarest in the training part share one."""
    scale: Literal["standard", "robust", "quantile"] | None = None
    """How a table's numbers are scaled: standard to mean 0 and deviation 1, robust by median and quartiles, quantile by rank to a normal distribution; left out, as normalize says."""
    csv: CsvFormat = CsvFormat()
    """The format of a CSV file, where it isn't recognised."""
    scale_target: bool = True
    """Scale regression targets to mean 0 and deviation 1 for training; rmse is given in the target's own unit."""

    @model_validator(mode="after")
    def _one_way_to_split(self) -> Self:
        if self.order and self.group:
            raise ValueError(
                f"rows are split by group or by order, not by both, got group={self.group}, order={self.order}"
            )
        if self.order and self.stratify:
            raise ValueError(f"rows that are split by order can't be stratified, got order={self.order}, stratify=true")
        if self.group and (isinstance(self.validation, Head) or isinstance(self.test, Head)):
            raise ValueError(f"a split by groups can't be one at a row, got group={self.group} with head")
        return self
