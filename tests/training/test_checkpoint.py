from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.builders import config
from tune_mlp.errors import RunError
from tune_mlp.models.average import together
from tune_mlp.models.build import build_model
from tune_mlp.training.checkpoint import load, load_model, save, save_model

STATE: dict[str, Any] = {"epoch": 3, "best": None, "weights": [{"a": torch.arange(100.0)}], "nan": math.nan}


def test_a_state_comes_back(tmp_path: Path) -> None:
    save(tmp_path / "state.pt", STATE)
    back = load(tmp_path / "state.pt")
    assert torch.equal(back["weights"][0]["a"], STATE["weights"][0]["a"])
    assert (back["epoch"], back["best"]) == (3, None)
    assert os.listdir(tmp_path) == ["state.pt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.pt"
    save(path, {"epoch": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"state\.pt can't be written: .*No space left on device"):
        save(path, {"epoch": 2})
    assert load(path) == {"epoch": 1}
    assert os.listdir(tmp_path) == ["state.pt"]


def test_a_folder_that_isnt_there_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="can't be written") as error:
        save(tmp_path / "no" / "state.pt", STATE)
    assert "\n" not in str(error.value)


def test_a_missing_checkpoint_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"can't be read: .*nothing\.pt") as error:
        load(tmp_path / "nothing.pt")
    assert "\n" not in str(error.value)


def test_damage_anywhere_is_said_in_one_line_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save(path, STATE)
    whole = path.read_bytes()
    said: list[str] = []
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            back = load(path)
        except RunError as error:
            said.append(str(error))
        else:
            assert torch.equal(back["weights"][0]["a"], STATE["weights"][0]["a"])
    assert len(said) > 50
    assert not any("\n" in line for line in said)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04"])
def test_what_isnt_a_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(RunError, match=r"checkpoint is damaged: .*state\.pt"):
        load(tmp_path / "state.pt")


def test_a_cut_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save(path, STATE)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(RunError, match="checkpoint is damaged"):
        load(path)


class Surprise:
    pass


@pytest.mark.parametrize("value", [{"x": Surprise()}, [1, 2]], ids=["code", "list"])
def test_a_checkpoint_with_anything_else_in_it_isnt_run(tmp_path: Path, value: Any) -> None:
    torch.save(value, tmp_path / "state.pt")
    with pytest.raises(RunError, match="checkpoint is damaged"):
        load(tmp_path / "state.pt")


SETTINGS: list[dict[str, Any]] = [
    {"depth": 0, "loss": "nll"},
    {"widths": [5, 7], "batch_norm": True, "dropout": 0.5, "activation": "gelu"},
    {"optimizer": {"name": "sgd", "momentum": 0.9}, "init": {"name": "xavier", "gain": 2.0}},
]


def stored(folder: Path, settings: dict[str, Any], shape: tuple[int, ...] = (2, 2)) -> nn.Module:
    trial = config(**settings)
    model = build_model(math.prod(shape), shape, 3, trial, seed=1)
    description = {
        "trial": 2,
        "config": trial.model_dump(),
        "inputs": math.prod(shape),
        "shape": shape,
        "outputs": 3,
        "val_loss": np.float32("nan"),
        "epoch": np.int64(4),
    }
    save_model(folder, model.state_dict(), description)
    return model


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_stored_model_comes_back_ready_to_use(tmp_path: Path, settings: dict[str, Any]) -> None:
    model = stored(tmp_path / "best", settings)
    x = torch.randn(6, 4)
    back = load_model(str(tmp_path / "best"))
    assert not back.training
    assert torch.equal(back(x), model.eval()(x))
    back.train()(x)  # its dropout works without a generator


@pytest.mark.parametrize("shape", [(8, 8), (6, 9, 3)], ids=str)
def test_a_stored_cnn_comes_back_ready_to_use(tmp_path: Path, shape: tuple[int, ...]) -> None:
    model = stored(tmp_path / "best", {"model": {"name": "cnn"}, "batch_norm": True, "dropout": 0.5}, shape)
    x = torch.randn(6, math.prod(shape))
    back = load_model(tmp_path / "best")
    assert torch.equal(back(x), model.eval()(x))
    back.train()(x)


@pytest.mark.parametrize("shape", [(), (8, 8)], ids=["mlp", "cnn"])
def test_an_average_comes_back_as_one(tmp_path: Path, shape: tuple[int, ...]) -> None:
    trial = config(model={"name": "cnn" if shape else "mlp"}, batch_norm=True, dropout=0.5, loss="nll")
    inputs = math.prod(shape) if shape else 4
    average = together([build_model(inputs, shape, 3, trial, seed) for seed in range(3)], trial.loss).eval()
    description = {"config": trial.model_dump(), "inputs": inputs, "shape": shape, "outputs": 3, "nets": 3}
    save_model(tmp_path, average.state_dict(), description)
    x = torch.randn(6, inputs)
    back = load_model(tmp_path)
    assert not any(module.training for module in back.modules())
    assert torch.equal(back(x), average(x))
    for nets in (0, 2, 4, 21, 10**9, 3.0, True, "3", None):
        edited(tmp_path, lambda described, nets=nets: described.update(nets=nets))
        with pytest.raises(RunError, match=r"model can't be built from .*trial\.json") as error:
            load_model(tmp_path)
        assert "\n" not in str(error.value)


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    description = json.loads((folder / "trial.json").read_text())
    change(description)
    (folder / "trial.json").write_text(json.dumps(description))


def without_news(description: dict[str, Any]) -> None:
    """Return the state as version 0.1 wrote it."""
    del description["shape"]
    for name in ("model", "rotation", "noise"):
        del description["config"][name]


def test_a_description_from_before_there_were_shapes_still_loads(tmp_path: Path) -> None:
    model = stored(tmp_path, {"batch_norm": True})
    edited(tmp_path, without_news)
    x = torch.randn(6, 4)
    assert torch.equal(load_model(tmp_path)(x), model.eval()(x))


@pytest.mark.parametrize(
    "change",
    [
        lambda description: description.pop("shape"),
        lambda description: description.update(shape=[8]),
        lambda description: description.update(shape=[2, 2]),
        lambda description: description.update(shape=[16, 16]),
        lambda description: description.update(shape=["a", "b"]),
        lambda description: description.update(shape=8),
        lambda description: description["config"].update(model={"name": "rnn"}),
    ],
    ids=["none", "one side", "too small", "too large", "words", "no list", "no such model"],
)
def test_a_cnns_description_that_doesnt_fit_is_said_in_one_line(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    stored(tmp_path, {"model": {"name": "cnn"}}, (8, 8))
    edited(tmp_path, change)
    with pytest.raises(RunError, match=r"model can't be built from .*trial\.json") as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


def test_a_stored_model_is_a_plain_state_dict_and_strict_json(tmp_path: Path) -> None:
    model = stored(tmp_path / "best", {})
    assert sorted(os.listdir(tmp_path / "best")) == ["model.pt", "trial.json"]
    plain = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    plain.load_state_dict(torch.load(tmp_path / "best" / "model.pt", weights_only=True))
    assert torch.equal(plain[0].weight, model.state_dict()["0.weight"])

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    description = json.loads((tmp_path / "best" / "trial.json").read_text(), parse_constant=refuse)
    assert description["val_loss"] is None
    assert description["epoch"] == 4
    assert description["config"]["optimizer"] == {"name": "sgd", "momentum": 0.0, "nesterov": False, "dampening": 0.0}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"config": {"depth": -1}, "inputs": 4, "outputs": 3}',
        '{"config": {}, "inputs": 4, "outputs": 3}',
    ],
)
def test_a_description_that_doesnt_fit_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    stored(tmp_path, {})
    (tmp_path / "trial.json").write_text(text)
    with pytest.raises(RunError, match=r"model can't be built from .*trial\.json") as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["model.pt", "trial.json"])
def test_a_model_of_which_half_is_missing_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    stored(tmp_path, {})
    (tmp_path / name).unlink()
    with pytest.raises(RunError, match="can't be read") as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)
