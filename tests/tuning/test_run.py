"""A study from end to end, in one process with one Ray."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.snapshots import check_outcomes
from tests.studies import Memory, study
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.engines.choose import engine
from tune_mlp.errors import ResourceError, RunFolderError
from tune_mlp.results.journal import Decided, Trained
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.space.domains import as_value
from tune_mlp.space.space import to_config
from tune_mlp.study.study import Study
from tune_mlp.training.checkpoint import load_model
from tune_mlp.training.job import TrainJob
from tune_mlp.training.trainer import Trainer
from tune_mlp.tuning.audit import audit
from tune_mlp.tuning.run import Request, run_study

pytestmark = pytest.mark.usefixtures("local_ray")

TRIAL_COLUMNS = [
    "trial",
    "state",
    "epochs",
    "steps",
    "seconds",
    "train_seconds",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "best_epoch",
    "best_val_loss",
    "best_val_accuracy",
    "test_loss",
    "test_accuracy",
    "weights",
    "engine",
    "seed",
    "node",
    "error",
]
TIMES = ["seconds", "train_seconds", "node"]


def run(a_study: Study, out: Path, display: Memory | None = None, **request: Any) -> Results:
    return run_study(a_study, Request(out=out, **request), display or Memory())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, _ray: None) -> Results:
    out = tmp_path_factory.mktemp("runs")
    return run(study(), out, name="small", csv=out / "copy.csv")


def test_a_run_leaves_the_folder_of_the_contract(small: Results) -> None:
    left = {path.name for path in small.path.iterdir()}
    assert left == {
        *("study.yaml", "run.json", "journal.jsonl", "trials.csv", "trials.parquet", "epochs.parquet"),
        *("best", "checkpoints", "outcomes.jsonl"),
    }
    assert {path.name for path in (small.path / "best").iterdir()} == {"model.pt", "trial.json"}
    assert not list((small.path / "checkpoints").iterdir())


def test_the_trials_table_has_the_columns_of_the_contract(small: Results) -> None:
    parameters = ["lr", "batch_size", "depth", "width", "dropout"]
    assert list(small.trials.columns) == [*TRIAL_COLUMNS, *parameters, "reason"]
    assert list(small.trials["trial"]) == [0, 1, 2, 3]
    assert set(small.trials["state"]) == {"finished"}
    assert (small.trials["epochs"] == 3).all()
    assert (small.trials["engine"] == "compiled").all()
    check_outcomes(small)


def test_the_epochs_table_has_the_columns_of_the_contract(small: Results) -> None:
    expected = ["trial", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds"]
    assert list(small.epochs.columns) == expected
    assert len(small.epochs) == 4 * 3


def test_the_csv_is_the_table(small: Results) -> None:
    for path in (small.path / "trials.csv", small.path.parent / "copy.csv"):
        back = pd.read_csv(path, keep_default_na=False, na_values=[""])
        assert list(back.columns) == list(small.trials.columns)
        pd.testing.assert_series_equal(back["val_accuracy"], small.trials["val_accuracy"])


def test_only_the_winner_is_tested_and_only_once(small: Results) -> None:
    best = small.best
    assert best is not None
    tested = small.trials[small.trials["test_accuracy"].notna()]
    assert list(tested["trial"]) == [best["trial"]]
    events = read(small.path / "journal.jsonl")
    assert [type(event).__name__ for event in events].count("Tested") == 1


def test_the_saved_model_has_the_test_accuracy_of_the_table(small: Results) -> None:
    best = small.best
    assert best is not None
    weights = torch.load(small.path / "best" / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in weights.values())
    described = json.loads((small.path / "best" / "trial.json").read_text())
    settings = study().data
    data = make_problem(load_dataset(settings), settings, 0).dataset
    scaling = described["normalize"]
    x = data.x_test * np.float32(scaling["scale"]) + np.float32(scaling["shift"])
    with torch.no_grad():
        guesses = load_model(small.path / "best")(torch.from_numpy(x)).argmax(1).numpy()
    assert (guesses == data.y_test).mean() == pytest.approx(best["test_accuracy"])


def test_the_manifest_says_what_is_needed_to_run_it_again(small: Results) -> None:
    manifest = small.manifest
    assert manifest["state"] == "finished"
    assert manifest["dataset"]["name"] == "digits"
    assert len(manifest["dataset"]["fingerprint"]) == 32
    assert {"python", "ray", "torch", "numpy", "tune_mlp"} <= manifest["versions"].keys()
    assert manifest["seed"] == 0
    assert manifest["resources"]["cpu"] == 1
    assert manifest["seconds"] > 0
    assert manifest["machine"]["cores"] >= 1


@pytest.mark.slow
def test_concurrency_changes_no_metric_of_any_trial(small: Results, tmp_path: Path) -> None:
    display = Memory()
    other = run(study(concurrent=3, resources={"cpu": 0.5}), tmp_path, display)
    assert display.most_at_once <= 3
    assert other.manifest["resources"]["concurrent"] == 3
    pd.testing.assert_frame_equal(other.trials.drop(columns=TIMES), small.trials.drop(columns=TIMES))
    pd.testing.assert_frame_equal(other.epochs.drop(columns="seconds"), small.epochs.drop(columns="seconds"))


def test_a_trial_gives_the_same_metrics_outside_ray(small: Results) -> None:
    settings = study().data
    problem = make_problem(load_dataset(settings), settings, 0)
    row = small.trials.loc[2]
    config = to_config({path: as_value(value) for path, value in small.params[2].items()})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        job = TrainJob(config, problem, engine("compiled"), int(row["seed"]), "val_accuracy", "max", epochs=3)
        trainer = Trainer(job)
        records = trainer.step(3)
    finally:
        torch.set_num_threads(threads)
    assert records[-1].metrics["val_loss"] == row["val_loss"]
    assert records[-1].metrics["train_loss"] == row["train_loss"]


def test_a_taken_name_is_refused_and_the_first_run_is_untouched(small: Results) -> None:
    before = {path: path.stat().st_mtime_ns for path in small.path.rglob("*")}
    with pytest.raises(RunFolderError, match="exists already"):
        run(study(), small.path.parent, name=small.path.name)
    assert {path: path.stat().st_mtime_ns for path in small.path.rglob("*")} == before


@pytest.mark.parametrize(
    ("scheduler", "states"),
    [
        ({"asha": {"grace_period": 1}}, {"finished", "stopped"}),
        ({"hyperband": {"reduction_factor": 2}}, {"finished", "stopped"}),
        ({"median": {"grace_period": 1, "min_samples": 2}}, {"finished", "stopped"}),
        ({"promotion_asha": {"reduction_factor": 2}}, {"finished", "stopped"}),
        pytest.param({"pasha": {"reduction_factor": 2}}, {"finished", "stopped"}, marks=pytest.mark.slow),
        pytest.param({"top_k": {"after": 2, "keep": 2}}, {"finished", "stopped"}, marks=pytest.mark.slow),
        # The quick test of pbt is another one, and that of fifo is `small`.
        pytest.param({"pbt": {"interval": 1}}, {"finished"}, marks=pytest.mark.slow),
        pytest.param({"fifo": {}}, {"finished"}, marks=pytest.mark.slow),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize(
    "cpu", [2, pytest.param(1, marks=pytest.mark.slow)], ids=["one at a time", "two at a time"]
)  # the start of each worker is most of the time
def test_every_scheduler_carries_a_study_to_its_end(
    scheduler: dict[str, Any], states: set[str], cpu: int, tmp_path: Path
) -> None:
    results = run(study(scheduler=scheduler, trials=8, epochs=6, resources={"cpu": cpu}), tmp_path)
    assert list(results.trials["trial"]) == list(range(8))
    assert set(results.trials["state"]) == states
    # By the epochs' numbers: under pbt a trial may take over the state of one that is further on.
    finished = results.trials.loc[results.trials["state"] == "finished", "trial"]
    assert (results.epochs.groupby("trial")["epoch"].max()[finished] == 6).all()
    assert (results.trials["seconds"] >= results.trials["train_seconds"]).all()
    assert results.best is not None
    assert results.best["test_accuracy"] > 0.5
    assert results.manifest["state"] == "finished"
    check_outcomes(results)


def test_asha_stops_trials_exactly_at_its_milestones(tmp_path: Path) -> None:
    results = run(study(scheduler={"asha": {"grace_period": 2}}, trials=10, epochs=10, resources={"cpu": 2}), tmp_path)
    stopped = results.trials[results.trials["state"] == "stopped"]
    assert len(stopped) > 0
    assert set(stopped["epochs"]) <= {2, 4, 8}


@pytest.mark.parametrize(
    ("scheduler", "epochs"),
    [
        ({"promotion_asha": {"reduction_factor": 2}}, {1, 2, 4, 8}),
        pytest.param({"pasha": {"reduction_factor": 2}}, {1, 2, 4, 8}, marks=pytest.mark.slow),
        pytest.param({"top_k": {"after": 3, "keep": 2}}, {3, 8}, marks=pytest.mark.slow),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_paused_trials_go_on_where_they_were_and_no_more_run_at_once_than_asked(
    scheduler: dict[str, Any], epochs: set[int], tmp_path: Path
) -> None:
    display = Memory()
    results = run(study(scheduler=scheduler, trials=8, epochs=8, concurrent=1), tmp_path, display)
    events = read(results.path / "journal.jsonl")
    done = [(e.trial, record.epoch) for e in events if isinstance(e, Trained) for record in e.epochs]
    assert len(done) == len(set(done)) < 8 * 8
    assert set(results.trials["epochs"]) <= epochs
    assert 8 in set(results.trials["epochs"])
    assert any(isinstance(e, Decided) and e.decision == "promote" for e in events)
    assert display.most_at_once == 1
    assert audit(results).facts["differ"] == 0
    assert not list((results.path / "checkpoints").iterdir())
    check_outcomes(results)


def test_population_based_training_changes_settings_on_the_way_and_trains_no_epoch_twice(tmp_path: Path) -> None:
    settings = {"data": {"validation": 0.01}, "resources": {"cpu": 2}}  # so that scores tie, and one worker is started
    results = run(study(scheduler={"pbt": {"interval": 1, "quantile": 0.5}}, trials=6, epochs=6, **settings), tmp_path)
    trained = [event for event in read(results.path / "journal.jsonl") if type(event).__name__ == "Trained"]
    done = [(event.trial, record.epoch) for event in trained for record in event.epochs]
    assert len(done) == len(set(done)) <= 6 * 6
    check_outcomes(results)
    best = results.best
    assert best is not None
    assert json.loads((results.path / "best" / "trial.json").read_text())["epoch"] == best["best_epoch"]
    drawn = [event for event in read(results.path / "journal.jsonl") if type(event).__name__ == "Drawn"]
    assert len(drawn) > 6
    changes = results.changes
    assert set(changes["trial"]) == {event.trial for event in drawn[6:]}
    assert changes[["epoch", "donor"]].notna().all(axis=None)
    assert (changes["trial"] != changes["donor"]).all()
    assert {str(name) for name in changes["parameter"]} <= set(results.trials.columns)
    assert (results.trials["lr"] >= 1e-3).all()
    assert (results.trials["lr"] <= 1e-1).all()


def test_tpe_with_several_trials_at_once_says_that_it_is_not_repeatable(tmp_path: Path) -> None:
    display = Memory()
    tpe = study(search={"tpe": {"startup": 2}}, trials=3, epochs=1, concurrent=2)
    results = run(tpe, tmp_path, display=display)
    (line,) = [line for line in display.lines if "tpe with 2 trials at once" in line]
    assert line.startswith("warning: ")
    assert results.manifest["repeatable"]["draws"] is False
    assert results.manifest["repeatable"]["why"] in line


@pytest.mark.parametrize(
    "scheduler",
    [
        "asha",
        "hyperband",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("median", "pbt", "promotion_asha", "pasha", "top_k")),
    ],
)
def test_a_diverged_trial_is_worst_for_every_scheduler(scheduler: str, tmp_path: Path) -> None:
    space = {"lr": {"grid": [1e38, 0.05, 0.02]}, "depth": 1, "width": 8}
    results = run(study(scheduler=scheduler, space=space, trials=6, epochs=3, resources={"cpu": 2}), tmp_path)
    wild = results.trials[results.trials["val_loss"].isna()]
    assert set(wild["state"]) == {"diverged"}
    assert len(results.trials) == 6


def test_a_time_budget_ends_a_study_with_what_it_has(tmp_path: Path) -> None:
    results = run(study(time_budget=6.0, trials=90_000, epochs=300_000, space={"width": 8}), tmp_path)
    assert 0 < len(results.trials) < 90_000
    assert "stopped" in set(results.trials["state"])
    assert results.best is not None
    assert results.manifest["state"] == "finished"


@pytest.mark.parametrize("resources", [{"cpu": 1000}, {"gpu": 1}, {"gpu": 0.25}, {"cpu": 0.5, "gpu": 2}])
def test_resources_that_no_node_has_are_refused_at_once(resources: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="no node can run a trial") as caught:
        run(study(resources=resources), tmp_path)
    assert caught.value.status == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("cpu", "at_once"),
    [(0.6, 3), *(pytest.param(*fraction, marks=pytest.mark.slow) for fraction in ((0.5, 4), (1, 2), (1.5, 1)))],
)
def test_fractions_of_a_cpu_decide_how_many_run_at_once(cpu: float, at_once: int, tmp_path: Path) -> None:
    display = Memory()
    results = run(study(resources={"cpu": cpu}, trials=9, epochs=1), tmp_path, display)
    assert 1 <= display.most_at_once <= at_once  # a short study may be over before all workers are up
    assert results.manifest["resources"]["concurrent"] == at_once
    assert len(results.trials) == 9


def test_the_dataset_is_shared_by_workers_and_not_copied(tmp_path: Path) -> None:
    import ray

    settings = study().data
    problem = make_problem(load_dataset(settings), settings, 0)

    @ray.remote
    def look(held: Any) -> tuple[bool, bool]:
        return held.dataset.x.flags.owndata, held.dataset.x.flags.writeable

    assert ray.get(look.remote(ray.put(problem))) == (False, False)
