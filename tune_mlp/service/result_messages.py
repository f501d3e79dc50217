"""The messages that say what a study found: pages of its tables, its answers, charts, and its best model's predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from tune_mlp.records import Mode
from tune_mlp.results.journal import Param
from tune_mlp.service.messages import Message, StudyState, StudySummary

MOST_SAMPLES = 1000
"""The number of samples in one request for predictions."""
MOST_TABLE_CHARACTERS = 1_000_000

Cell = bool | int | float | str | None | tuple[bool | int | float | str | None, ...]
"""A value in a table; None where there is none, or where a number isn't finite."""


class TableRows(Message):
    """A page of a study's table."""

    total: int
    """The number of rows that the filter leaves."""
    offset: int
    """The place of the first of these rows."""
    columns: tuple[str, ...]
    """The columns of `rows`."""
    known: tuple[str, ...]
    """All columns that the table has."""
    rows: tuple[tuple[Cell, ...], ...]
    journal: int
    """How many bytes of the study's journal the table knows of."""


class AnswerMessage(Message):
    """What was found out about a study: a sentence, the rows behind it, and how they were worked out."""

    sentence: str
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    method: tuple[str, ...]
    facts: Mapping[str, Any]


class OtherSetting(Message):
    """A parameter that differs between two trials."""

    name: str
    value: Param
    best: Param


class TrialReplay(Message):
    """A replay of a trial: the trial was trained again from its recorded seed, and compared."""

    state: StudyState
    """Where it stands, or how it ended; it has failed where the check failed, too."""
    asked: float
    """When it was asked for, in seconds since 1970."""
    ended: float | None
    detail: str
    """Why it failed, in one line."""
    verdict: str | None
    """What was found of this trial: `the same`, `differs` or `nothing to compare`; None as long as nothing was found."""
    answer: AnswerMessage | None
    """The answer of `tune-mlp replay`, with a row for each trial that was trained again with it."""


class TrialDetail(Message):
    """A trial: its row, its curve, what its settings have other than the best trial's, and why it ended."""

    row: Mapping[str, Cell]
    epochs: tuple[Mapping[str, Cell], ...]
    best_trial: int | None
    differs: tuple[OtherSetting, ...]
    """The settings in which it differs from the best trial."""
    why: AnswerMessage
    replay: TrialReplay | None = None
    """Its last replay, if there was one."""


class ChartName(Message):
    """A chart that a study may have."""

    name: str
    title: str
    caption: str
    """How to read it."""


class ChartMessage(Message):
    """A chart as a Vega-Lite specification with the colours of a look; without one, `finding` says why there is none."""

    name: str
    title: str
    finding: str
    caption: str
    notes: tuple[str, ...]
    specification: Mapping[str, Any] | None


class ModelFacts(Message):
    """The best model of a study: what it takes and what it answers."""

    trial: int
    epoch: int
    final: bool
    """False while the search goes on: it is the best so far."""
    dataset: str
    stand_in_for: str
    task: Literal["classification", "regression"]
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    """The height and the width of a picture; empty where samples aren't pictures."""
    inputs: int
    """The numbers of a sample."""
    columns: tuple[str, ...]
    """The columns of a table's row, by name; empty where samples are arrays of numbers."""
    low: float | None
    high: float | None
    """The least and the largest value of a pixel in training; None where samples aren't pictures or their data can't be read."""


RowText = Annotated[
    str, Field(max_length=MOST_TABLE_CHARACTERS)
]  # pydantic takes half a character where no length is checked
Row = Mapping[RowText, RowText | float | int | bool | None]


class Question(Message):
    """Samples that the best model is to answer for: pixels, rows, or a table as CSV text; one of the three."""

    pixels: (
        Annotated[
            tuple[Annotated[tuple[Annotated[float, Field(strict=True)], ...], Field(max_length=100_000)], ...],
            Field(min_length=1, max_length=MOST_SAMPLES),
        ]
        | None
    ) = None
    """The numbers of each sample, row by row of a picture."""
    rows: Annotated[tuple[Row, ...], Field(min_length=1, max_length=MOST_SAMPLES)] | None = None
    """Rows of a table, each with its columns by name."""
    csv: Annotated[str, Field(min_length=1, max_length=MOST_TABLE_CHARACTERS)] | None = None
    """A table as CSV, its first line naming the columns."""
    gradient: Annotated[bool, Field(strict=True)] = False
    """Also answer which inputs move the answer: the gradient of its score."""


class Prediction(Message):
    """The answer for a sample."""

    answer: str | float | tuple[float, ...]
    """The class, or the number, or numbers where there are several targets."""
    probabilities: tuple[float, ...] | None = None
    """The probability of each class."""
    gradient: tuple[float | None, ...] | None = None
    """How much the score of the answer rises with each pixel or column; of a column of text, how strongly it matters."""


class Predictions(Message):
    """The answers of a study's best model."""

    model: ModelFacts
    predictions: tuple[Prediction, ...]
    notes: tuple[str, ...]
    """What should be known of the samples, such as values that no training row had."""


class BestSoFar(Message):
    """A point of a study's course: the best score once so many trials had ended."""

    trials: int
    seconds: float | None
    """The time since the study began."""
    best: float


class ComparedStudy(Message):
    """A study beside others."""

    summary: StudySummary
    course: tuple[BestSoFar, ...]
    top: tuple[Mapping[str, Cell], ...]
    """Its best trials, as rows of its table."""


class DifferentSetting(Message):
    """A setting of study files that differs between studies."""

    path: str
    values: tuple[str | None, ...]
    """Its value in each study as YAML, in the order of the studies; None where a study doesn't have it."""


class StudiesCompared(Message):
    """Several studies side by side."""

    metric: str | None
    """The metric of all of them; None where they have different ones, and scores can't be compared."""
    mode: Mode | None
    settings: tuple[DifferentSetting, ...]
    studies: tuple[ComparedStudy, ...]
