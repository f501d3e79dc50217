"""The winner of a real search answers for new samples, by the command and in Python."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from sklearn.base import clone

from tests.conftest import Training
from tests.studies import Memory, study
from tune_mlp import Results
from tune_mlp.cli import main
from tune_mlp.data.sources import load_dataset
from tune_mlp.errors import DataError, RunFolderError, TuneMlpError, UsageError
from tune_mlp.models.average import Average
from tune_mlp.prediction.fitted_model import FittedModel
from tune_mlp.tuning.run import Request, run_study

N = 200
generator = np.random.default_rng(3)
COLOUR = generator.choice(["red", "green", "blue"], N)
SIZE = generator.normal(100, 30, N)
TABLE = pd.DataFrame(
    {
        "id": [f"user{i}" for i in range(N)],
        "size": SIZE.round(2),
        "colour": COLOUR,
        "kind": np.where(SIZE + 20 * (COLOUR == "red") > 105, "large", "small"),
        "price": (3 * SIZE + 50 * (COLOUR == "blue")).round(2),
    }
)
SPACE = {"lr": 0.03, "batch_size": 8, "depth": 1, "width": 16, "optimizer": "adam"}


def searched(folder: Path, target: str, **settings: Any) -> Results:
    TABLE.to_csv(folder / "t.csv", index=False)
    ignored = {"kind": ["id", "price"], "price": ["id", "kind"]}[target]
    data = {"name": f"csv:{folder / 't.csv'}", "target": target, "ignore": ignored}
    anew = {"kind": False, "price": 3}[target]
    asked = study(data=data, space={**SPACE, **settings}, trials=1, epochs=15, engine="compiled", retrain=anew)
    return run_study(asked, Request(out=folder, name=target), Memory())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, training: Training) -> Path:  # a folder for either way
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def classifier(folder: Path, training: Training) -> Results:
    with training():
        return searched(folder, "kind")


@pytest.fixture(scope="module")
def regressor(folder: Path, training: Training) -> Results:
    """Return a search whose winner is an average of three nets."""
    with training():
        return searched(folder, "price")


def test_the_classifier_answers_with_names_and_probabilities(classifier: Results, in_process_and_on_ray: None) -> None:
    model = classifier.model()
    assert model.classes_.tolist() == ["large", "small"]
    assert model.feature_names_in_.tolist() == ["size", "colour"]
    assert model.n_features_in_ == 2
    answers, shares = model.predict(TABLE), model.predict_proba(TABLE)
    assert (answers == TABLE["kind"]).mean() > 0.9
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_array_equal(model.classes_[shares.argmax(axis=1)], answers)


def test_its_answers_on_the_test_part_have_the_tables_test_accuracy(
    classifier: Results, in_process_and_on_ray: None
) -> None:
    from tune_mlp.data.split import make_problem
    from tune_mlp.study.study import Study

    asked = Study.load(classifier.path / "study.yaml")
    dataset = load_dataset(asked.data)
    held_out = make_problem(dataset, asked.data, asked.seed).dataset
    rows = [int(np.flatnonzero((dataset.x == row).all(axis=1))[0]) for row in held_out.x_test]
    answers = classifier.model().predict(TABLE.iloc[rows])
    assert classifier.best is not None
    assert (answers == TABLE["kind"].iloc[rows]).mean() == pytest.approx(classifier.best["test_accuracy"])


def test_the_regressor_answers_in_the_targets_own_unit(regressor: Results, in_process_and_on_ray: None) -> None:
    model = regressor.model()
    assert np.corrcoef(model.predict(TABLE), TABLE["price"])[0, 1] > 0.9
    assert abs(model.predict(TABLE).mean() - TABLE["price"].mean()) < 50
    assert not hasattr(model, "predict_proba")
    assert isinstance(model.module, Average)
    assert len(model.module.nets) == model.nets == model.model_.description["nets"] == 3
    with pytest.raises(UsageError, match="it has no classes"):
        model.model_.predict_proba(TABLE)


@pytest.mark.parametrize("loss", ["nll", "multi_margin", "mse"])
def test_every_loss_gives_probabilities_that_rank_as_the_outputs_do(loss: str, classifier: Results) -> None:
    model = classifier.model().model_
    model.description["config"]["loss"] = loss
    outputs = generator.normal(0.5, 0.3, (50, 2)).clip(0.01)
    if loss == "nll":
        outputs = np.log(outputs / outputs.sum(axis=1, keepdims=True))
    shares = model.probabilities(outputs)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_array_equal(shares.argmax(axis=1), outputs.argmax(axis=1))
    if loss == "nll":
        np.testing.assert_allclose(shares, np.exp(outputs))


def test_the_winner_is_an_estimator_that_trains_again(
    classifier: Results, regressor: Results, in_process_and_on_ray: None
) -> None:
    inputs = TABLE[["size", "colour"]]
    for results, target in ((classifier, "kind"), (regressor, "price")):
        model = results.model()
        assert results.best is not None
        assert (model.epochs, model.seed) == (results.best["best_epoch"], results.best["seed"])
        assert model.params == results.params[0]
        again = clone(model).fit(inputs, TABLE[target])
        assert isinstance(again.module, Average) == (again.nets == 3) == (results is regressor)
        assert again.score(inputs, TABLE[target]) > 0.85
        assert abs(again.score(inputs, TABLE[target]) - model.score(inputs, TABLE[target])) < 0.1


def test_the_word_predict_shows_writes_and_counts(
    classifier: Results, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = TABLE.drop(columns=["kind", "price"]).assign(colour=["pink", *COLOUR[1:]])
    new.to_csv(folder / "new.csv", index=False, sep=";")
    assert main(["predict", str(classifier.path), str(folder / "new.csv")]) == 0
    shown = capsys.readouterr()
    assert "and 180 more; --output FILE.csv writes all" in shown.out
    assert shown.err == f"{folder}/new.csv: categories that no training row had: colour (1)\n"
    assert main(["predict", str(classifier.path), str(folder / "new.csv"), "--proba", "--to", "csv"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(table.columns) == ["prediction", "probability_large", "probability_small"]
    assert len(table) == N
    output = folder / "answers.parquet"
    assert main(["predict", str(classifier.path), str(folder / "new.csv"), "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"{output}: 200 answers\n"
    assert pd.read_parquet(output)["prediction"].tolist() == table["prediction"].tolist()


def test_the_script_of_the_docs_answers_without_this_package(
    classifier: Results, regressor: Results, folder: Path
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    script = text.partition("<!-- standalone:begin -->\n```python\n")[2].partition("```\n<!-- standalone:end -->")[0]
    assert 20 <= len([line for line in script.splitlines() if line]) <= 25
    assert "tune_mlp" not in script
    new = TABLE.assign(colour=["pink", None, *COLOUR[2:]]).drop(columns=["kind", "price"])
    new.to_csv(folder / "new.csv", index=False)
    for results in (classifier, regressor):
        done = subprocess.run(
            [sys.executable, "-c", script, str(folder / "new.csv")],
            cwd=results.path,
            capture_output=True,
            text=True,
            check=True,
        )
        answers = pd.read_csv(io.StringIO(done.stdout))
        model = results.model()
        if results is classifier:
            assert list(answers.columns) == model.classes_.tolist()
            np.testing.assert_allclose(answers, model.predict_proba(new), atol=1e-5)
        else:
            np.testing.assert_allclose(answers.iloc[:, 0], model.predict(new), rtol=1e-5)


def test_the_word_export_writes_the_winner_as_onnx(
    classifier: Results, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = folder / "winner.onnx"
    for where in ([], ["--output", str(output)]):
        assert main(["export", str(classifier.path), "--to", "onnx", *where]) == 0
    usual = classifier.path / "best" / "model.onnx"
    said = "the winner's model, with an input for each column that it scales itself"
    assert capsys.readouterr().out == f"{usual}: {said}\n{output}: {said}\n"
    session = onnxruntime.InferenceSession(usual, providers=["CPUExecutionProvider"])
    columns = {"size": TABLE[["size"]].to_numpy(), "colour": TABLE[["colour"]].to_numpy(dtype=object)}
    answers, shares = session.run(None, columns)
    model = classifier.model()
    assert answers.tolist() == model.predict(TABLE).tolist()
    np.testing.assert_allclose(shares, model.predict_proba(TABLE), atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map["classes"] == '["large", "small"]'


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--what", "epochs"], "--to onnx writes the winner's model; --what names a table"),
        (["--output", "-"], "--to onnx is no text; give --output a file"),
        (["--output", "no/m.onnx"], "--output no/m.onnx: there is no folder no"),
    ],
)
def test_an_onnx_export_that_cant_be_is_one_line(
    classifier: Results, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(classifier.path), "--to", "onnx", *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no.csv"], "no.csv: no such file (looked in "),
        (["t.csv", "--output", "a.txt"], "--output a.txt: its name must end in .csv"),
        (["t.csv", "--output", "no/a.csv"], "--output no/a.csv: there is no folder no"),
        (["few.csv"], "few.csv: columns are missing that the model was trained with: size"),
        (["t.dat"], "t.dat: not a table by its name"),
        (["bad.npy"], "bad.npy: can't be read as a NumPy array"),
        (["array.npy"], "array.npy: the model takes a table with the columns size, colour"),
    ],
)
def test_bad_usage_is_one_line(
    classifier: Results,
    folder: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    (folder / "few.csv").write_text("colour\nred\n")
    (folder / "bad.npy").write_bytes(b"no array")
    np.save(folder / "array.npy", np.zeros((3, 2)))
    assert main(["predict", str(classifier.path), *arguments]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert not shown.out


def test_pictures_are_answered_from_numpy_and_idx_files(
    tmp_path: Path, in_process_and_on_ray: None, capsys: pytest.CaptureFixture[str]
) -> None:
    results = run_study(study(trials=1, epochs=8), Request(out=tmp_path, name="digits"), Memory())
    pictures = load_dataset(study().data).x[:300]
    np.save(tmp_path / "new.npy", pictures.reshape(-1, 8, 8))
    head = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in (300, 8, 8))
    (tmp_path / "new-idx3-ubyte").write_bytes(head + pictures.tobytes())
    answers = results.model().predict(pictures)
    for name in ("new.npy", "new-idx3-ubyte"):
        assert main(["predict", str(results.path), str(tmp_path / name), "--to", "json"]) == 0
        assert [row["prediction"] for row in json.loads(capsys.readouterr().out)] == answers.tolist()
    with pytest.raises(DataError, match=r"each sample must have 64 numbers \(8x8\), as in training"):
        results.model().predict(pictures[:, :10])
    with pytest.raises(DataError, match="samples must be finite"):
        results.model().predict(np.full((1, 64), np.nan))


def test_a_run_without_a_winner_has_no_model(tmp_path: Path, classifier: Results) -> None:
    shutil.copytree(classifier.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "best")
    with pytest.raises(RunFolderError, match="the search has no winner, or hasn't ended"):
        Results.load(tmp_path / "run").model()


ODD_VALUES: list[Any] = [None, True, -1, 10**30, 0.5, "x", "", [], [1], ["x"], {}, {"a": 1}]


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Return each container in the tree with each of its keys."""
    pairs = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    return [found for key, child in pairs for found in [(tree, key), *places(child)]]


def test_a_description_that_was_changed_anywhere_answers_or_is_refused_in_one_line(
    tmp_path: Path, classifier: Results
) -> None:
    best = tmp_path / "best"
    shutil.copytree(classifier.path / "best", best)
    text = (best / "trial.json").read_text()
    refused = 0
    for place in range(len(places(json.loads(text)))):
        for value in ODD_VALUES:
            description = json.loads(text)
            owner, key = places(description)[place]
            owner[key] = value
            (best / "trial.json").write_text(json.dumps(description))
            said = refusal(best)
            refused += bool(said)
            assert "\n" not in said
    assert refused > 50


def refusal(best: Path) -> str:
    """Return the line with which the model is refused; empty if it answers."""
    try:
        FittedModel.load(best).predict_proba(TABLE.head(3))
    except TuneMlpError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["trial.json", "model.pt"])
def test_a_pipe_in_place_of_a_file_is_refused_at_once(tmp_path: Path, classifier: Results, name: str) -> None:
    shutil.copytree(classifier.path / "best", tmp_path / "best")
    (tmp_path / "best" / name).unlink()
    os.mkfifo(tmp_path / "best" / name)
    with pytest.raises(TuneMlpError, match="a pipe, where a regular file is needed"):
        FittedModel.load(tmp_path / "best")
