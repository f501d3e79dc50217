"""Predictions over HTTP: the answers are those of the model, with what it looked at, also while the search goes on."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
import torch

from tests.builders import problem
from tests.explain.nets import numbers_net, shapes_net, trained
from tests.service.apps import client_of, trained_runs
from tune_mlp.explain.input_gradient import by_column, by_pixel, input_gradient
from tune_mlp.prediction.fitted_model import FittedModel
from tune_mlp.results.results import Results
from tune_mlp.service.result_messages import ModelFacts, Predictions
from tune_mlp.training import checkpoint


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root with a run that learnt digits, the same run as it was before its end, and one that learnt a table."""
    folder = tmp_path_factory.mktemp("root")
    trained_runs(folder)
    shutil.copytree(folder / "digits", folder / "open")
    weights = checkpoint.load(folder / "digits" / "best" / "model.pt")
    described = json.loads((folder / "digits" / "best" / "trial.json").read_text())
    shutil.rmtree(folder / "open" / "best")
    (folder / "open" / "checkpoints").mkdir(exist_ok=True)
    name = f"best-{described['trial']:05d}-{described['epoch']:06d}.pt"
    checkpoint.save(folder / "open" / "checkpoints" / name, {"epoch": described["epoch"], "folds": [weights]})
    return folder


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[httpx.Client]:
    with client_of(root, data_dir=root) as asked:
        yield asked


def facts(client: httpx.Client, name: str) -> ModelFacts:
    answer = client.get(f"/api/studies/{name}/model")
    assert answer.status_code == 200, answer.text
    return ModelFacts.model_validate(answer.json())


def ask(client: httpx.Client, name: str, **question: Any) -> Predictions:
    answer = client.post(f"/api/studies/{name}/predict", json=question)
    assert answer.status_code == 200, answer.text
    return Predictions.model_validate(answer.json())


def digits(count: int = 5) -> Any:
    from sklearn.datasets import load_digits

    return np.rint(load_digits().data[:count] * 255 / 16)


def test_the_model_says_what_it_takes(client: httpx.Client) -> None:
    found = facts(client, "digits")
    assert (found.task, found.shape, found.inputs, found.low, found.high) == ("classification", (8, 8), 64, 0, 255)
    assert found.classes == tuple("0123456789")
    assert found.final
    table = facts(client, "iris")
    assert set(table.columns) == {
        "sepal length (cm)",
        "sepal width (cm)",
        "petal length (cm)",
        "petal width (cm)",
        "colour",
    }
    assert table.shape == ()


def test_pixels_are_answered_as_the_model_answers_them(client: httpx.Client, root: Path) -> None:
    model, samples = FittedModel.load(root / "digits" / "best"), digits()
    found = ask(client, "digits", pixels=samples.tolist())
    assert [one.answer for one in found.predictions] == model.predict(samples).tolist()
    shares = np.array([one.probabilities for one in found.predictions])
    np.testing.assert_allclose(shares, model.predict_proba(samples), rtol=1e-6)
    assert found.predictions[0].gradient is None


def test_while_a_search_goes_on_its_best_so_far_answers_the_same(client: httpx.Client) -> None:
    so_far, final = facts(client, "open"), facts(client, "digits")
    assert not so_far.final
    assert (so_far.trial, so_far.epoch, so_far.high) == (final.trial, final.epoch, 255)
    samples = digits().tolist()
    assert ask(client, "open", pixels=samples).predictions == ask(client, "digits", pixels=samples).predictions


def test_rows_and_csv_are_answered_alike(client: httpx.Client, root: Path) -> None:
    import pandas as pd

    frame = pd.read_csv(root / "iris.csv").drop(columns="kind").iloc[::30]
    by_rows = ask(client, "iris", rows=frame.to_dict("records"), gradient=True)
    by_csv = ask(client, "iris", csv=frame.to_csv(index=False), gradient=True)
    assert by_rows.predictions == by_csv.predictions
    assert [one.answer for one in by_rows.predictions] == FittedModel.load(root / "iris" / "best").predict(
        frame
    ).tolist()
    assert by_rows.predictions[0].gradient is not None
    assert len(by_rows.predictions[0].gradient) == 5
    noted = ask(client, "iris", rows=[{**frame.to_dict("records")[0], "colour": "green"}])
    assert "colour (1)" in noted.notes[0]


def test_the_gradient_over_http_is_that_of_the_net(client: httpx.Client, root: Path) -> None:
    samples = digits(3)
    found = ask(client, "digits", pixels=samples.tolist(), gradient=True)
    model = FittedModel.load(root / "digits" / "best")
    inputs = model.inputs(samples)[0]
    wanted = by_pixel(model, samples.astype(np.float32), input_gradient(model, inputs))
    np.testing.assert_allclose([one.gradient for one in found.predictions], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("digits", {}),
        ("digits", {"pixels": [[0.0] * 64], "rows": [{"a": 1}]}),
        ("digits", {"pixels": [[0.0] * 63]}),
        ("digits", {"pixels": [[0.0] * 64, [0.0]]}),
        ("digits", {"pixels": []}),
        ("digits", {"pixels": [["a"] * 64]}),
        ("digits", {"pixels": [[1e300] * 64]}),
        ("digits", {"pixels": [[0.0] * 64] * 1001}),
        ("digits", {"rows": [{"a": "b"}]}),
        ("digits", {"rows": [{"a": 10**400}]}),
        ("digits", {"rows": [{"\ud800": 1}]}),
        ("digits", {"rows": [{"a": 1}, {"a": "\ud800"}]}),
        ("digits", {"csv": "a,b\n1,x\n"}),
        ("iris", {"pixels": [[0.0] * 4]}),
        ("iris", {"rows": [{"colour": "red"}]}),
        ("iris", {"rows": [{"colour": "\ud800"}]}),
        ("iris", {"rows": [{f"{row} {column}": 1 for column in range(100)} for row in range(200)]}),
        ("iris", {"csv": "colour\nred\n"}),
        ("iris", {"csv": '"'}),
        ("iris", {"csv": "\x00"}),
        ("digits", {"pickle": "gASV"}),
    ],
)
def test_samples_that_the_model_can_t_take_are_refused_in_one_line(
    client: httpx.Client, name: str, question: Any
) -> None:
    json_type = {"Content-Type": "application/json"}
    answer = client.post(f"/api/studies/{name}/predict", content=json.dumps(question), headers=json_type)
    assert answer.status_code == 422, answer.text
    assert "\n" not in answer.json()["error"]


def test_numbers_that_json_doesn_t_know_are_refused(client: httpx.Client) -> None:
    body = '{"pixels": [[' + ", ".join(["NaN"] * 64) + "]]}"
    answer = client.post("/api/studies/digits/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "part", ["bytes=0-5", "bytes=9-1", "bytes=-", "lines=1-2", "bytes=999999999-", "bytes=0-0,2-3"]
)
def test_a_file_of_a_model_is_always_whole(client: httpx.Client, root: Path, part: str) -> None:
    answer = client.get("/api/studies/digits/best/model.pt", headers={"Range": part})
    assert answer.status_code == 200
    assert answer.content == (root / "digits" / "best" / "model.pt").read_bytes()
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_the_model_s_files_are_the_run_s(client: httpx.Client, root: Path) -> None:
    weights = client.get("/api/studies/digits/best/model.pt")
    assert weights.content == (root / "digits" / "best" / "model.pt").read_bytes()
    assert 'filename="digits.pt"' in weights.headers["Content-Disposition"]
    onnx.checker.check_model(onnx.load(io.BytesIO(client.get("/api/studies/digits/best/model.onnx").content)))


class Canary:
    """A pickle that leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_in_a_run_s_folder_is_never_opened(tmp_path: Path, root: Path, kind: str) -> None:
    run, canary = tmp_path / "runs" / "evil", tmp_path / "canary"
    shutil.copytree(root / "digits", run)
    path = run / "best" / "model.pt"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Canary(canary)))
    else:
        torch.save({"layers": Canary(canary)}, path)
    with client_of(tmp_path / "runs") as client:
        answer = client.post("/api/studies/evil/predict", json={"pixels": [[0.0] * 64]})
        assert answer.status_code == 409, answer.text
        assert client.get("/api/studies/evil/model").status_code == answer.status_code
    assert not canary.exists()


def test_the_gradient_is_what_a_small_change_of_a_pixel_does() -> None:
    for net in (shapes_net(), trained(problem(data=net_data(), normalize="per_sample"))):
        model = net.model
        samples = net.dataset.x[:4].astype(np.float32)
        gradient = by_pixel(model, samples, input_gradient(model, model.inputs(samples)[0]))
        answers = model.outputs(model.inputs(samples)[0]).argmax(axis=1)
        for pixel in (3, 20, 41):
            moved = np.zeros_like(samples)
            moved[:, pixel] = 0.5
            up, down = (model.outputs(model.inputs(samples + sign * moved)[0]) for sign in (1, -1))
            slope = (up - down)[np.arange(4), answers]
            np.testing.assert_allclose(gradient[:, pixel], slope, atol=2e-3, rtol=0.05)


def net_data() -> Any:
    from tests.builders import pictures

    return pictures()


def test_of_a_regression_the_gradient_is_that_of_its_numbers() -> None:
    net = numbers_net()
    samples = net.dataset.x[:3]
    inputs = net.model.inputs(samples)[0]
    gradient = input_gradient(net.model, inputs)
    moved = np.zeros_like(inputs)
    moved[:, 1] = 1e-3
    slope = (net.model.outputs(inputs + moved) - net.model.outputs(inputs - moved)).sum(axis=1) / 2e-3
    np.testing.assert_allclose(gradient[:, 1], slope, atol=1e-2)


def test_a_column_s_strength_is_the_norm_over_its_inputs(root: Path) -> None:
    import pandas as pd

    model = FittedModel.load(root / "iris" / "best")
    frame = pd.read_csv(root / "iris.csv").drop(columns="kind").head(2)
    inputs = model.inputs(frame)[0]
    gradient = input_gradient(model, inputs)
    strength = by_column(model, gradient)
    assert strength.shape == (2, len(model.feature_names_in_))
    np.testing.assert_allclose((strength**2).sum(axis=1), (gradient**2).sum(axis=1))
    assert Results.load(root / "iris").best is not None
