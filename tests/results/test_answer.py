"""Tests of answers: their JSON form is strict, and their frame carries what was said."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.results.journals import a_study, write
from tune_mlp.errors import UsageError
from tune_mlp.results.answer import Answer
from tune_mlp.results.results import Results

ANSWER = Answer(
    "Trial 3 is best.",
    pd.DataFrame({"trial": np.array([3, 1]), "score": [0.5, np.nan], "name": ["a", None]}),
    ("It was read from a table.",),
    notes=("One trial has no score.",),
    facts={"metric": "val_loss", "means": np.array([1.0, np.inf]), "at": {1: np.float32(0.5)}},
)


def test_the_json_form_is_strict_and_holds_plain_values() -> None:
    said = json.loads(json.dumps(ANSWER.to_dict(), allow_nan=False))
    assert said == {
        "sentence": "Trial 3 is best.",
        "metric": "val_loss",
        "means": [1.0, None],
        "at": {"1": 0.5},
        "rows": [{"trial": 3, "score": 0.5, "name": "a"}, {"trial": 1, "score": None, "name": None}],
        "notes": ["One trial has no score."],
        "method": ["It was read from a table."],
    }


def test_the_top_of_an_answer_says_how_many_rows_are_left_out() -> None:
    top = ANSWER.top(1)
    assert list(top.table["trial"]) == [3]
    assert top.notes == (
        "... and 1 more: --to json or --to csv has all of them.",
        "One trial has no score.",
    )
    assert ANSWER.top(2) is ANSWER


def test_the_frame_carries_the_sentence_and_leaves_the_answer_as_it_was() -> None:
    frame = ANSWER.to_frame()
    assert list(frame["trial"]) == [3, 1]
    assert (frame.attrs["sentence"], frame.attrs["metric"]) == ("Trial 3 is best.", "val_loss")
    frame["trial"] = 0
    assert list(ANSWER.table["trial"]) == [3, 1]


def test_a_run_is_judged_by_another_metric_and_some_of_its_parameters(tmp_path: Path) -> None:
    write(tmp_path / "journal.jsonl", a_study())
    results = Results.load(tmp_path)
    other = results.judged_by("val_loss", params=["lr"])
    assert (other.metric, other.mode, other.parameters) == ("val_loss", "min", ["lr"])
    assert (results.judged_by().metric, results.judged_by().mode) == (results.metric, results.mode)
    assert results.judged_by("val_accuracy", "min").mode == "min"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"metric": "val_acuracy"}, "no metric 'val_acuracy' to rank the trials by (did you mean 'val_accuracy'?)"),
        ({"mode": "best"}, "mode: must be min or max, got 'best'"),
        ({"params": ["lrr"]}, "params: the run has no parameter 'lrr' (did you mean 'lr'?)"),
    ],
)
def test_what_a_run_lacks_is_refused(asked: dict, said: str, tmp_path: Path) -> None:
    write(tmp_path / "journal.jsonl", a_study())
    with pytest.raises(UsageError) as caught:
        Results.load(tmp_path).judged_by(**asked)
    assert str(caught.value) == said
