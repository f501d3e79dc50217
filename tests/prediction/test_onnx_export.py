"""A model as ONNX answers as the model itself does, in ONNX Runtime, with the encoding of its inputs inside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from torch import nn

from tests.builders import config, dataset, pictures, problem
from tests.prediction.test_table_rows import SETTINGS, learnt
from tune_mlp.config import ACTIVATION_NAMES, LOSS_NAMES, TrialConfig
from tune_mlp.data.dataset import Problem
from tune_mlp.data.date_parts import all_date_parts
from tune_mlp.data.encoder import MISSING, TableEncoder
from tune_mlp.data.kinds import read_column
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import UsageError
from tune_mlp.models.average import together
from tune_mlp.models.build import build_model
from tune_mlp.prediction.fitted_model import FittedModel
from tune_mlp.prediction.onnx_export import export_onnx
from tune_mlp.training.description import describe_model


def fitted(on: Problem, trial: TrialConfig, settings: DataSettings | None = None, nets: int = 1) -> FittedModel:
    """Return a model with random weights and moments, whose numbers are as large as those of a trained one."""
    data, fold = on.dataset, on.folds[0]
    made = [build_model(on.inputs(0), data.shape, data.outputs, trial, seed=3 + net) for net in range(nets)]
    model = together(made, trial.loss)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
    return FittedModel(model.eval(), describe_model(trial, data, fold, settings or DataSettings(name="t"), nets))


def run(model: FittedModel, folder: Path, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    path = folder / "model.onnx"
    export_onnx(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert {one.name for one in session.get_inputs()} == inputs.keys()
    found: list[np.ndarray] = session.run(None, inputs)
    return found


def assert_alike(model: FittedModel, folder: Path, inputs: dict[str, np.ndarray], samples: Any) -> None:
    prediction, *shares = run(model, folder, inputs)
    if model.task == "classification":
        np.testing.assert_allclose(shares[0], model.predict_proba(samples), atol=1e-5)
        certain = np.sort(shares[0], axis=1)[:, -1] - np.sort(shares[0], axis=1)[:, -2] > 1e-4
        assert (prediction == model.predict(samples))[certain].all()
        assert certain.any()
    else:
        np.testing.assert_allclose(prediction.reshape(len(prediction), -1)[:, 0], model.predict(samples), rtol=1e-5)


def columns_of(model: FittedModel, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return a table's columns as the ONNX model takes them, by a way of its own."""
    encoder = model.scaler
    assert isinstance(encoder, TableEncoder)
    found: dict[str, np.ndarray] = {}
    for column in encoder.columns:
        kind = f"{column.kind} {column.form}" if column.form else column.kind
        read = read_column(column.source, frame[column.source], kind, model.description["na_values"], column.decimal or None)  # type: ignore[arg-type]  # fmt: skip
        if column.categories:
            values = np.array(["" if value is None else str(value) for value in read.values], dtype=object)
        elif column.part:
            values = all_date_parts(read)[column.part]
        else:
            values = read.values
        found[column.name] = values.reshape(-1, 1)
    return found


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings) or "plain")
def test_a_tables_columns_are_encoded_inside(settings: dict[str, Any], tmp_path: Path) -> None:
    path, given, on = learnt(tmp_path, **settings)
    model = fitted(on, config(width=8), given)
    frame = pd.read_csv(path, sep=";", dtype=str, keep_default_na=False)
    frame.loc[0, "colour"] = "a colour that no training row had"
    assert any(MISSING in column.categories for column in on.dataset.columns)
    assert_alike(model, tmp_path, columns_of(model, frame), frame)


def test_normal_scores_are_exact_in_the_tails_too(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    generator = np.random.default_rng(0)
    values = np.concatenate([generator.lognormal(0, 2, 3000), np.repeat([0.5, 7.0], 500), [0.0] * 200, [1e6] * 50])
    pd.DataFrame({"a": values, "kind": generator.choice(["x", "y"], len(values))}).to_csv(path, index=False)
    settings = DataSettings(name=f"csv:{path}", target="kind", scale="quantile", test=0)
    from tune_mlp.data.sources import load_dataset
    from tune_mlp.data.split import make_problem

    model = fitted(make_problem(load_dataset(settings), settings, seed=0), config(depth=0), settings)
    assert isinstance(model.scaler, TableEncoder)
    quantiles = np.asarray(model.scaler.encodings[0].quantiles)  # type: ignore[union-attr]
    new = np.concatenate([quantiles, quantiles - 1e-9, quantiles + 1e-9, [-1e9, 1e9], values[:500]])
    frame = pd.DataFrame({"a": new})
    assert_alike(model, tmp_path, {"a": new.reshape(-1, 1)}, frame)


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_every_activation_is_the_same(activation: str, batch_norm: bool, tmp_path: Path) -> None:
    on = problem("classification")
    model = fitted(on, config(activation=activation, batch_norm=batch_norm, depth=2, dropout=0.3))
    assert_alike(model, tmp_path, {"samples": on.dataset.x}, on.dataset.x)


@pytest.mark.parametrize("nets", [1, 3])
@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_every_loss_gives_the_same_probabilities(loss: str, nets: int, tmp_path: Path) -> None:
    on = problem("classification")
    assert_alike(fitted(on, config(loss=loss), nets=nets), tmp_path, {"samples": on.dataset.x}, on.dataset.x)


@pytest.mark.parametrize("normalize", ["standard", "unit", "symmetric", "per_sample"])
@pytest.mark.parametrize("trial", [{}, {"model": {"name": "cnn", "channels": (3, 4), "kernel": 3}, "batch_norm": True}])
def test_pictures_are_scaled_inside(normalize: Any, trial: dict[str, Any], tmp_path: Path) -> None:
    on = problem(data=pictures(), normalize=normalize)
    model = fitted(on, config(**trial), nets=2)
    assert_alike(model, tmp_path, {"samples": on.dataset.x.astype(np.float32)}, on.dataset.x)


@pytest.mark.parametrize("outputs", [1, 3])
def test_numbers_come_in_the_targets_own_unit(outputs: int, tmp_path: Path) -> None:
    on = problem(data=dataset("regression", outputs=outputs))
    model = fitted(on, config(loss="mse"), nets=outputs)
    (prediction,) = run(model, tmp_path, {"samples": on.dataset.x})
    np.testing.assert_allclose(prediction.squeeze(), model.predict(on.dataset.x), rtol=1e-5)


def test_without_the_package_one_line_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"--to onnx needs the package onnx: pip install 'tune-mlp\[onnx\]'"):
        export_onnx(fitted(problem("classification"), config()), tmp_path / "model.onnx")


def test_weights_arent_shared_with_the_file(tmp_path: Path) -> None:
    on = problem("classification")
    model = fitted(on, config())
    before = run(model, tmp_path, {"samples": on.dataset.x})[1]
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.zero_()
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"samples": on.dataset.x})[1], before)
