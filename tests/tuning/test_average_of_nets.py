"""A study whose tested models are averages of nets: a search from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from tests.conftest import Training
from tests.studies import Memory, study
from tune_mlp.console.summary import show_summary
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.models.average import Average
from tune_mlp.results.results import Results
from tune_mlp.results.storage import FolderStorage
from tune_mlp.tuning.run import Request, run_study
from tune_mlp.tuning.winner import Examiner

pytestmark = pytest.mark.usefixtures("in_process_and_on_ray")

KINDS = {
    "mlp": {"widths": [16]},
    "cnn": {"model": {"cnn": {"channels": [4]}}, "batch_norm": True, "dropout": 0.2},
}
STUDY = study(
    space={"lr": 0.05, "batch_size": 64, "experiment": {"choice": KINDS}},
    search="grid",
    trials=None,
    epochs=2,
    tested="all",
    retrain=3,
    measure=["val_log_loss"],
)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, training: Training) -> Results:
    with training():
        return run_study(STUDY, Request(out=tmp_path_factory.mktemp("average"), name="run"), Memory())


def test_the_tested_and_saved_winner_is_the_average(searched: Results) -> None:
    best, model = searched.best, searched.model()
    assert best is not None
    assert isinstance(model.module, Average)
    assert len(model.module.nets) == 3
    description = json.loads((searched.path / "best" / "trial.json").read_text())
    assert (description["nets"], description["retrained"]) == (3, True)
    weights = torch.load(searched.path / "best" / "model.pt", weights_only=True)
    assert {key.rpartition(".")[0].partition(".")[0] for key in weights} == {"nets"}
    data = make_problem(load_dataset(STUDY.data), STUDY.data, STUDY.seed).dataset
    shares = model.predict_proba(data.x_test)
    assert (shares.argmax(axis=1) == data.y_test).mean() == pytest.approx(best["test_accuracy"])
    assert -np.log(shares[np.arange(len(shares)), data.y_test]).mean() == pytest.approx(best["test_loss"], rel=1e-5)
    assert best["test_log_loss"] == pytest.approx(best["test_loss"], rel=1e-5)


def test_every_trial_is_tested_where_all_are_to_be(searched: Results) -> None:
    table = searched.trials
    assert table[["test_accuracy", "test_loss", "retrained_accuracy", "retrained_loss"]].notna().all(axis=None)
    assert "test_accuracy_std" not in table


def test_the_summary_says_that_the_winner_is_an_average(searched: Results) -> None:
    console = Console(width=200)
    with console.capture() as captured:
        show_summary(console, searched, None)
    assert ", an average of 3 nets trained again on all samples but the test part, has test_" in captured.get()


def test_trials_that_are_examined_again_give_the_same_models_and_scores(searched: Results, tmp_path: Path) -> None:
    bound = STUDY.bound("classification")
    problem = make_problem(load_dataset(STUDY.data), STUDY.data, STUDY.seed)
    examiner = Examiner(bound, problem, "eager", FolderStorage(tmp_path), searched)
    for trial in searched.trials["trial"]:
        examined = examiner.examine(trial)
        assert examined.nets == 3
        for name, score in examined.scores.items():
            assert score == pytest.approx(searched.trials.set_index("trial")[name][trial], rel=1e-6)
        examiner.save(examined, tmp_path / str(trial))
    assert searched.best is not None
    kept, again = searched.path / "best", tmp_path / str(searched.best["trial"])
    before, after = (torch.load(folder / "model.pt", weights_only=True) for folder in (kept, again))
    assert before.keys() == after.keys()
    for key, tensor in before.items():
        torch.testing.assert_close(after[key], tensor)
    for name in ("config", "nets", "normalize", "metrics", "params"):
        assert (
            json.loads((kept / "trial.json").read_text())[name] == json.loads((again / "trial.json").read_text())[name]
        )
