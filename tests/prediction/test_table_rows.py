"""New rows are encoded as the training rows were: the same columns in any order, unknown categories counted, faults in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tune_mlp.data.dataset import Problem
from tune_mlp.data.encoder import TableEncoder
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.data.table_files import READERS
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import DataError
from tune_mlp.prediction.table_rows import EncodedRows, encode_rows

N = 90
generator = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "size": generator.normal(10, 3, N).round(3),
        "price": [f"{i % 7}.{i % 10}00,{i % 10}" for i in range(N)],
        "share": [f"{i % 50}%" for i in range(N)],
        "colour": generator.choice(["red", "green", "blue", "grün"], N),
        "zip": generator.choice(["01067", "10115", "80331"], N),
        "old": generator.choice(["true", "false"], N),
        "day": pd.date_range("2024-01-01", periods=N, freq="31h").strftime("%d.%m.%Y %H:%M"),
        "clock": [f"{i % 24}:{i % 60:02d}" for i in range(N)],
        "serial": 10**15 + generator.integers(0, 10**6, N),
        "holes": [None if i % 5 == 0 else i * 1.5 for i in range(N)],
        "word": [None if i % 4 == 0 else "ab"[i % 2] for i in range(N)],
        "kind": ["x", "y"] * (N // 2),
    }
)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"missing": "indicate", "dates": "cyclic", "scale": "robust"},
    {"dates": "ordinal", "scale": "quantile", "max_categories": 2},
    {"normalize": "unit", "kinds": {"day": "category", "size": "number"}, "max_categories": 5},
    {"normalize": "per_sample", "na_values": ("blue",)},
]


def learnt(folder: Path, kind: str = "csv", **settings: Any) -> tuple[Path, DataSettings, Problem]:
    path = folder / f"t.{kind}"
    if kind == "csv":
        FRAME.to_csv(path, index=False, sep=";")
    else:
        FRAME.to_parquet(path)
    given = DataSettings(name=f"{kind}:{path}", target="kind", test=0, **{"missing": "fill", **settings})
    return path, given, make_problem(load_dataset(given), given, seed=0)


def encoder_of(problem: Problem) -> TableEncoder:
    """Return the encoder as it comes back from best/trial.json."""
    described = problem.folds[0].inputs.describe()
    return TableEncoder.from_description(json.loads(json.dumps(described)))


def encoded(frame: pd.DataFrame, problem: Problem, na_values: tuple[str, ...] | None = None) -> EncodedRows:
    return encode_rows(frame, encoder_of(problem), na_values)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_rows_are_encoded_as_in_training_column_by_column(tmp_path: Path, kind: str, settings: dict[str, Any]) -> None:
    path, given, problem = learnt(tmp_path, kind, **settings)
    trained = problem.folds[0].inputs.apply(problem.dataset.x)
    frame, _ = READERS[kind](path, path.read_bytes(), given.csv)
    shuffled = frame[list(frame.columns[::-1])].assign(more=1)
    for new in (frame, shuffled, frame.drop(columns="kind")):
        rows = encoded(new, problem, given.na_values)
        for place, name in enumerate(problem.features()):
            np.testing.assert_array_equal(rows.inputs[:, place], trained[:, place], err_msg=name)
    single = encoded(frame.iloc[[7]], problem, given.na_values)
    np.testing.assert_array_equal(single.inputs[0], trained[7])


def test_a_frame_of_typed_columns_is_encoded_as_its_texts_are(tmp_path: Path) -> None:
    path, given, problem = learnt(tmp_path)
    frame, _ = READERS["csv"](path, path.read_bytes(), given.csv)
    typed = frame.assign(
        size=FRAME["size"],
        old=FRAME["old"] == "true",
        day=pd.to_datetime(FRAME["day"], format="%d.%m.%Y %H:%M"),
        serial=FRAME["serial"],
        holes=FRAME["holes"],
    )
    np.testing.assert_array_equal(encoded(typed, problem).inputs, encoded(frame, problem).inputs)


def test_unknown_categories_and_missing_values_are_counted(tmp_path: Path) -> None:
    path, given, problem = learnt(tmp_path)
    frame, _ = READERS["csv"](path, path.read_bytes(), given.csv)
    new = frame.head(6).assign(colour=["red", "pink", "pink", "teal", "", "red"], size=["1", "", "2", "", "3", "4"])
    rows = encoded(new, problem)
    assert rows.unknown == {"colour": 3}
    assert rows.filled["size"] == 2
    assert rows.notes()[0] == "categories that no training row had: colour (3)"
    assert np.isfinite(rows.inputs).all()
    assert encoded(frame, problem).notes() == ["missing values filled as in training: holes (18)"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="size"), "columns are missing that the model was trained with: size"),
        (lambda f: f.rename(columns={"size": "sise"}), "trained with: size (did you mean 'sise'?)"),
        (
            lambda f: f.assign(size="big"),
            "column 'size': the model was trained with a column of kind number, got text such as 'big'",
        ),
        (
            lambda f: f.assign(old="maybe"),
            "column 'old': the model was trained with a column of kind boolean, got 'maybe'",
        ),
        (
            lambda f: f.assign(day="2024"),
            "column 'day': the model was trained with a column of kind 'date %d.%m.%Y %H:%M'",
        ),
        (lambda f: f.assign(size=np.inf), "column 'size': has an infinite value in row 1"),
        (lambda f: f.assign(size="x", old="maybe"), "'x'; column 'old'"),
        (lambda f: pd.concat([f, f[["size"]]], axis=1), "column names must differ, got 'size' more than once"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(tmp_path: Path, change: Any, said: str) -> None:
    path, given, problem = learnt(tmp_path)
    frame, _ = READERS["csv"](path, path.read_bytes(), given.csv)
    with pytest.raises(DataError) as caught:
        encoded(change(frame), problem)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_rows_give_no_answers(tmp_path: Path) -> None:
    path, given, problem = learnt(tmp_path)
    frame, _ = READERS["csv"](path, path.read_bytes(), given.csv)
    assert encoded(frame.head(0), problem).inputs.shape == (0, problem.inputs())
