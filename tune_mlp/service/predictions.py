"""Predictions: a study's best model answers for pixels or rows, and says what it looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.data.delimited import read_csv
from tune_mlp.data.encoder import TableEncoder
from tune_mlp.data_settings import CsvFormat
from tune_mlp.errors import DataError, UsageError
from tune_mlp.explain.input_gradient import by_column, by_pixel, input_gradient
from tune_mlp.prediction.fitted_model import FittedModel
from tune_mlp.service.best_model import BestModel
from tune_mlp.service.faults import Refused
from tune_mlp.service.result_messages import MOST_SAMPLES, ModelFacts, Prediction, Predictions, Question, Row

Floats = NDArray[np.float64]
MOST_CELLS = 1_000_000
"""The cells of a request's rows. Rows with a column of their own each would need a table of as many columns as rows."""


def facts_of(best: BestModel) -> ModelFacts:
    """Say what a model takes and what it answers."""
    model, described = best.model, best.model.description
    return ModelFacts(
        trial=best.trial,
        epoch=best.epoch,
        final=best.final,
        dataset=str(described.get("dataset") or ""),
        stand_in_for=str(described.get("stand_in_for") or ""),
        task="classification" if model.task == "classification" else "regression",
        classes=tuple(described["classes"]),
        shape=tuple(described.get("shape", ())),
        inputs=model.n_features_in_,
        columns=tuple(map(str, model.feature_names_in_)),
        low=best.low,
        high=best.high,
    )


def answer(best: BestModel, question: Question) -> Predictions:
    """Answer for the samples of a question."""
    model = best.model
    samples = _samples(model, question)
    try:
        inputs, notes = model.inputs(samples)
    except (DataError, UsageError) as error:
        raise Refused(str(error)) from None
    outputs = model.outputs(inputs)
    if not np.isfinite(outputs).all():
        raise Refused("the model has no finite answer for these samples: their numbers are too large")
    shares = model.probabilities(outputs) if model.task == "classification" else None
    gradient = _gradient(model, samples, inputs) if question.gradient else None
    predictions = tuple(
        Prediction(
            answer=_said(answered),
            probabilities=None if shares is None else tuple(shares[place].tolist()),
            gradient=None if gradient is None else tuple(_finite(value) for value in gradient[place].tolist()),
        )
        for place, answered in enumerate(model.answers(outputs))
    )
    return Predictions(model=facts_of(best), predictions=predictions, notes=tuple(notes))


def _samples(model: FittedModel, question: Question) -> pd.DataFrame | NDArray[np.float32]:
    given = [name for name in ("pixels", "rows", "csv") if getattr(question, name) is not None]
    if len(given) != 1:
        raise Refused(f"give one of pixels, rows and csv, got {' and '.join(given) or 'none'}")
    takes_table = isinstance(model.scaler, TableEncoder)
    if takes_table and question.pixels is not None:
        raise Refused(f"the model takes rows with the columns {', '.join(model.feature_names_in_[:10])}")
    if question.pixels is not None:
        return _array([list(sample) for sample in question.pixels], model)
    if question.rows is not None:
        frame = _frame(question.rows)
    else:
        assert question.csv is not None
        frame = _table(question.csv, model)
    return frame if takes_table else _array(_numbers(frame), model)


def _frame(rows: Sequence[Row]) -> pd.DataFrame:
    columns = len({name for row in rows for name in row})
    if columns * len(rows) > MOST_CELLS:
        raise Refused(
            f"rows: {len(rows)} rows of {columns} columns in all are too many; rows of one table have the same columns"
        )
    return pd.DataFrame([dict(row) for row in rows])


def _table(text: str, model: FittedModel) -> pd.DataFrame:
    """Read a table's text as the file of the study's own table was read."""
    form = CsvFormat.model_validate(model.description.get("csv", {}))
    try:
        frame = read_csv("csv", text.encode("utf-8", "replace"), form)[0]
    except (DataError, UsageError) as error:
        raise Refused(str(error)) from None
    if len(frame) > MOST_SAMPLES:
        raise Refused(f"csv: may have at most {MOST_SAMPLES} rows, got {len(frame)}")
    return frame


def _numbers(frame: pd.DataFrame) -> list[list[float]]:
    try:
        numbers: list[list[float]] = frame.astype(np.float64).to_numpy().tolist()
    except (ValueError, TypeError, OverflowError):
        raise Refused("the model takes numbers alone, and a row holds something else") from None
    return numbers


def _array(samples: list[list[float]], model: FittedModel) -> NDArray[np.float32]:
    wanted = int(model.description["inputs"])
    wrong = next((len(sample) for sample in samples if len(sample) != wanted), None)
    if wrong is not None:
        raise Refused(f"each sample must have {wanted} numbers, as in training, got {wrong}")
    with np.errstate(over="ignore"):
        return np.asarray(samples, np.float32)  # what is too large becomes infinite, which the model refuses


def _gradient(model: FittedModel, samples: pd.DataFrame | NDArray[np.float32], inputs: NDArray[np.float32]) -> Floats:
    by_input = input_gradient(model, inputs)
    if isinstance(samples, pd.DataFrame):
        return by_column(model, by_input)
    return by_pixel(model, samples, by_input)


def _said(answered: object) -> str | float | tuple[float, ...]:
    if isinstance(answered, np.ndarray):
        return tuple(float(value) for value in answered)
    return answered if isinstance(answered, str) else float(answered)  # type: ignore[arg-type]  # a NumPy number


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
