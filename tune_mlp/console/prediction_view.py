"""`tune-mlp predict`: the winner's answers for new samples, on the screen or in a file."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from rich.console import Console

from tune_mlp.console.answers import show_answer
from tune_mlp.data_settings import CsvFormat
from tune_mlp.errors import DataError, UsageError
from tune_mlp.prediction.fitted_model import FittedModel
from tune_mlp.prediction.sample_files import read_samples
from tune_mlp.results.export import export
from tune_mlp.results.results import Results

SHOWN = 20
"""The largest number of answers that are shown as text; a file or a format for programs has all of them."""
FILE_FORMATS = {".csv": "csv", ".parquet": "parquet", ".json": "json", ".xlsx": "xlsx", ".md": "markdown"}
"""The format of an output by the ending of its name."""


def predict(console: Console, run: str, data: str, output: Path | None, proba: bool, to: str) -> None:
    """Answer for the samples in a file with a run's winner, and write or show the answers."""
    if output is not None and output.suffix.lower() not in FILE_FORMATS:
        raise UsageError(f"--output {output}: its name must end in {', '.join(FILE_FORMATS)}")
    if output is not None and not output.absolute().parent.is_dir():
        raise UsageError(f"--output {output}: there is no folder {output.parent}")
    model = FittedModel.load(Results.load(run).path / "best")
    if proba and model.task != "classification":
        raise UsageError("--proba: the model answers with numbers, which have no probabilities")
    samples = read_samples(data, CsvFormat.model_validate(model.description.get("csv", {})))
    try:
        answers, notes = answer(model, samples, proba)
    except DataError as error:
        raise DataError(f"{data}: {error}") from None
    for note in notes:
        print(f"{data}: {note}", file=sys.stderr)
    if output is not None:
        export(answers, output, FILE_FORMATS[output.suffix.lower()])
        console.print(f"{output}: {len(answers)} answers", soft_wrap=True, highlight=False)
        return
    more = len(answers) - SHOWN if to == "text" else 0
    below = [f"and {more} more; --output FILE.csv writes all"] if more > 0 else []
    show_answer(console, answers.head(SHOWN) if more > 0 else answers, to, below)


def answer(model: FittedModel, samples: pd.DataFrame, proba: bool) -> tuple[pd.DataFrame, list[str]]:
    """Return a row for each sample with its prediction, and lines about the samples for a person."""
    inputs, notes = model.inputs(samples)
    outputs = model.outputs(inputs)
    answers = pd.DataFrame({"prediction": model.answers(outputs)})
    if proba:
        shares = model.probabilities(outputs)
        for place, name in enumerate(model.classes_):
            answers[f"probability_{name}"] = shares[:, place]
    return answers, notes
