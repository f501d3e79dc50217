"""A study from end to end, whatever trains its trials: draws, failures, folds, tables, scores and the winner.

The tests run in one process; `make test-slow` runs them through a real Ray, too.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from tests.conftest import Training
from tests.snapshots import VARYING
from tests.studies import Memory, study
from tune_mlp.config import ACTIVATION_NAMES, LOSS_NAMES, OPTIMISER_NAMES
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.errors import NoTrialSucceeded, RunFolderError, StudyError, UsageError
from tune_mlp.results.results import Results
from tune_mlp.study.study import Study
from tune_mlp.training.checkpoint import load_model
from tune_mlp.tuning.run import Request, run_study

pytestmark = pytest.mark.usefixtures("in_process_and_on_ray")


def run(a_study: Study, out: Path, display: Memory | None = None, **request: Any) -> Results:
    return run_study(a_study, Request(out=out, **request), display or Memory())


@pytest.fixture(scope="module")
def small(training: Training, tmp_path_factory: pytest.TempPathFactory) -> Results:
    with training():
        return run(study(), tmp_path_factory.mktemp("runs"), name="small")


def test_the_saved_study_has_every_default_and_runs_again(small: Results, tmp_path: Path) -> None:
    saved = yaml.safe_load((small.path / "study.yaml").read_text())
    assert saved["resources"] == {"cpu": 1.0, "gpu": 0.0}
    assert saved["metric"] == "val_accuracy"
    again = run(Study.load(small.path / "study.yaml"), tmp_path)
    pd.testing.assert_frame_equal(again.trials.drop(columns=VARYING), small.trials.drop(columns=VARYING))


def test_the_eager_engine_finds_what_the_compiled_one_does(small: Results, tmp_path: Path) -> None:
    eager = run(study(engine="eager"), tmp_path)
    assert set(eager.trials["engine"]) == {"eager"}
    assert eager.trials["val_loss"].to_numpy() == pytest.approx(small.trials["val_loss"].to_numpy(), rel=1e-3)


@pytest.mark.parametrize("search", ["random", "grid", "tpe"])
def test_every_search_carries_a_study_to_its_end(search: str, tmp_path: Path) -> None:
    space = {
        "lr": {"choice": [0.01, 0.1]},
        "optimizer": {"choice": {"sgd": {"momentum": {"choice": [0.0, 0.9]}}, "adam": {}}},
    }
    results = run(study(search=search, space=space, trials=6, epochs=1), tmp_path)
    assert len(results.trials) == 6
    assert "optimizer.sgd.momentum" in results.trials
    assert results.trials.loc[results.trials["optimizer"] == "adam", "optimizer.sgd.momentum"].isna().all()
    if search == "grid":
        assert len(results.trials[["lr", "optimizer", "optimizer.sgd.momentum"]].drop_duplicates()) == 6


def test_a_grid_without_a_number_of_trials_is_run_whole(tmp_path: Path) -> None:
    space = {"depth": {"int": [0, 2]}, "width": {"choice": [4, 8]}}
    results = run(study(search="grid", space=space, trials=None, epochs=1), tmp_path)
    assert len(results.trials) == 6


def test_tpe_with_one_trial_at_once_draws_the_same_again_and_the_manifest_says_so(tmp_path: Path) -> None:
    tpe = study(search={"tpe": {"startup": 3}}, trials=7, epochs=1, concurrent=1)
    one, other = (run(tpe, tmp_path / name) for name in ("one", "other"))
    assert one.params == other.params
    assert one.best is not None
    assert other.best is not None
    assert one.best["trial"] == other.best["trial"]
    assert one.manifest["repeatable"] == {"draws": True, "why": ""}


def test_tpe_is_told_of_divergence_and_turns_away_from_it(tmp_path: Path) -> None:
    space = {"lr": {"choice": [1e38, 0.05]}, "depth": 1, "width": 8}
    results = run(study(search={"tpe": {"startup": 6}}, space=space, trials=30, epochs=1, concurrent=1), tmp_path)
    late = results.trials.iloc[10:]
    assert (late["state"] == "finished").mean() > 0.7


def test_a_diverged_trial_is_stopped_at_once_and_never_best(tmp_path: Path) -> None:
    space = {"lr": {"grid": [1e38, 0.05]}, "optimizer": {"grid": list(OPTIMISER_NAMES)}, "depth": 1, "width": 8}
    results = run(study(search="grid", space=space, trials=None, epochs=4), tmp_path)
    wild = results.trials[results.trials["lr"] == 1e38]
    assert set(wild["state"]) == {"diverged"}
    assert (wild["epochs"] == 1).all()
    assert set(results.trials.loc[results.trials["lr"] != 1e38, "state"]) == {"finished"}
    assert results.best is not None
    assert results.best["lr"] == 0.05


def test_equally_good_trials_do_not_confuse_the_winner(tmp_path: Path) -> None:
    space = {"batch_size": {"grid": [1, 64]}, "lr": 0.05}
    data = {"validation": 0.003, "test": 0.1}
    results = run(study(search="grid", space=space, data=data, trials=None, epochs=30), tmp_path)
    assert results.trials["best_val_accuracy"].nunique() == 1
    assert results.best is not None
    assert results.best["trial"] == 0
    assert (results.path / "best" / "model.pt").exists()


def test_a_study_in_which_all_diverge_ends_with_status_1_and_says_so(tmp_path: Path) -> None:
    space = {"lr": 1e38, "optimizer": {"choice": list(OPTIMISER_NAMES)}, "depth": 1, "width": 4}
    with pytest.raises(NoTrialSucceeded, match=r"no trial succeeded: all of 4 .*4 diverged") as caught:
        run(study(space=space), tmp_path, name="wild")
    assert caught.value.status == 1
    left = Results.load(tmp_path / "wild")
    assert left.best is None
    assert set(left.trials["state"]) == {"diverged"}
    assert (tmp_path / "wild" / "trials.csv").exists()


def test_a_trial_that_raises_is_failed_with_its_reason_and_the_study_goes_on(tmp_path: Path) -> None:
    space = {"width": {"grid": [1_000_000, 8]}, "depth": 3}
    results = run(study(space=space, trials=4, epochs=1), tmp_path)
    failed = results.trials[results.trials["width"] == 1_000_000]
    assert set(failed["state"]) == {"failed"}
    assert failed["error"].str.startswith("out of memory: ").all()
    assert not failed["error"].str.contains("\n").any()
    assert set(results.trials.loc[results.trials["width"] == 8, "state"]) == {"finished"}


@pytest.mark.parametrize(
    ("name", "values"), [("activation", ACTIVATION_NAMES), ("loss", LOSS_NAMES), ("optimizer", OPTIMISER_NAMES)]
)
def test_every_name_learns(name: str, values: tuple[str, ...], tmp_path: Path) -> None:
    """One trial is trained for each name, and each is well above chance after a few epochs."""
    # mae asks for the median of a one-hot target, which is 0 for a net that isn't wide enough to be sure.
    space = {"lr": 0.001, "batch_size": 8, "width": 128, "optimizer": "adam", name: {"grid": list(values)}}
    space |= {"lr": 0.01} if name == "optimizer" else {}
    results = run(study(search="grid", space=space, trials=None, epochs=4), tmp_path)
    assert list(results.trials[name]) == list(values)
    assert (results.trials["best_val_accuracy"] > 0.5).all(), results.trials[[name, "best_val_accuracy"]]


@pytest.mark.parametrize(
    ("depth", "batch_size", "lr"),
    [(0, 1, 0.003), (5, 1, 0.01), (0, 32, 0.1), (5, 32, 0.1)],
)
def test_the_ends_of_the_space_learn(depth: int, batch_size: int, lr: float, tmp_path: Path) -> None:
    space = {"depth": depth, "batch_size": batch_size, "lr": lr, "width": 32, "init": "kaiming"}
    results = run(study(space=space, trials=1, epochs=5), tmp_path)
    assert results.trials["best_val_accuracy"][0] > 0.8
    assert results.trials["weights"][0] == (650 if depth == 0 else 64 * 32 + 32 + 4 * (32 * 32 + 32) + 330)


def test_k_folds_give_a_row_a_fold_and_their_mean_a_row_a_trial(tmp_path: Path) -> None:
    results = run(study(data={"validation": {"folds": 3}}, trials=2, epochs=2), tmp_path)
    assert list(results.epochs.columns[:3]) == ["trial", "epoch", "fold"]
    assert len(results.epochs) == 2 * 2 * 3
    last = results.epochs[(results.epochs["trial"] == 1) & (results.epochs["epoch"] == 2)]
    assert results.trials.loc[1, "val_accuracy"] == pytest.approx(last["val_accuracy"].mean())


def test_regression_is_ranked_by_rmse_and_has_its_columns(tmp_path: Path) -> None:
    space = {"lr": 0.01, "optimizer": "adam", "activation": "tanh", "width": 32, "depth": {"grid": [0, 2]}}
    results = run(study(data={"name": "noisy_curve"}, space=space, trials=2, epochs=30), tmp_path)
    assert results.metric == "val_rmse"
    assert results.mode == "min"
    best = results.best
    assert best is not None
    assert best["depth"] == 2
    assert best["test_r2"] > 0.7
    assert "val_accuracy" not in results.trials
    assert set(results.trials["loss"]) == {"mse"}


def test_patience_ends_a_trial_as_finished(tmp_path: Path) -> None:
    results = run(study(patience=1, epochs=60, trials=2, space={"lr": 0.05, "optimizer": "adam"}), tmp_path)
    assert set(results.trials["state"]) == {"finished"}
    assert (results.trials["epochs"] < 60).all()
    assert (results.trials["epochs"] == results.trials["best_epoch"] + 1).all()


def test_no_test_part_leaves_the_test_columns_empty(tmp_path: Path) -> None:
    results = run(study(data={"test": 0}, trials=1, epochs=1), tmp_path)
    assert results.trials["test_accuracy"].isna().all()
    assert (results.path / "best" / "model.pt").exists()


def test_a_table_is_learnt_with_its_classes_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "colour": rng.choice(["red", "blue"], 200)})
    frame["kind"] = np.where(frame["a"] > 0, "plus", "minus")
    frame.to_csv(tmp_path / "table.csv", index=False)
    display = Memory()
    data = {"name": f"csv:{tmp_path / 'table.csv'}", "target": "kind"}
    results = run(study(data=data, space={"lr": 0.1}, trials=1, epochs=5), tmp_path / "runs", display)
    assert results.trials["best_val_accuracy"][0] > 0.9
    assert json.loads((results.path / "best" / "trial.json").read_text())["classes"] == ["minus", "plus"]
    assert any("one-hot" in line for line in display.lines)


def test_a_metric_that_the_data_lacks_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"metric: classification data has val_loss, .*, got metric val_rmse"):
        run(study(metric="val_rmse"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_ranking_by_a_loss_that_is_searched_is_warned_of(tmp_path: Path) -> None:
    display = Memory()
    run(study(metric="val_loss", space={"loss": {"choice": ["mse", "nll"]}}, trials=2, epochs=1), tmp_path, display)
    assert any("losses of different kinds can't be compared" in line for line in display.lines)


def test_the_seed_changes_the_draws_and_the_split(small: Results, tmp_path: Path) -> None:
    other = run(study(seed=1, trials=2), tmp_path)
    assert not math.isclose(other.trials.loc[0, "lr"], small.trials.loc[0, "lr"])
    assert other.manifest["dataset"]["fingerprint"] != small.manifest["dataset"]["fingerprint"]


def test_named_experiments_are_tested_side_by_side_from_several_seeds(tmp_path: Path) -> None:
    space = {"lr": 0.1, "experiment": {"choice": {"linear": {"depth": 0}, "deep": {"depth": 2}}}}
    results = run(study(space=space, trials=None, search="grid", seeds=3, tested="all", epochs=2), tmp_path)
    table = results.trials
    assert list(table["experiment"]) == ["linear", "deep"]
    assert table["test_accuracy"].notna().all()
    assert (table["best_val_accuracy_std"] > 0).all()  # of three seeds
    assert table["test_accuracy_std"].notna().all()
    last = results.epochs[(results.epochs["trial"] == 1) & (results.epochs["epoch"] == 2)]
    assert list(last["repeat"]) == [0, 1, 2]
    assert table.loc[1, "val_accuracy"] == pytest.approx(last["val_accuracy"].mean())
    best = results.epochs[(results.epochs["trial"] == 1) & (results.epochs["epoch"] == table.loc[1, "best_epoch"])]
    assert table.loc[1, "best_val_accuracy_std"] == pytest.approx(best["val_accuracy"].std())
    assert pd.read_csv(results.path / "trials.csv")["test_accuracy_std"].notna().all()


def test_the_winner_is_trained_anew_on_all_samples_and_that_net_is_tested_and_saved(tmp_path: Path) -> None:
    settings = {"data": {"validation": {"folds": 2}}, "trials": 2, "epochs": 3, "seed": 4}
    plain, anew = (run(study(**settings, retrain=again), tmp_path, name=f"r{again}") for again in (False, True))
    assert list(plain.trials["best_val_accuracy"]) == list(anew.trials["best_val_accuracy"])
    best = anew.best
    assert best is not None
    assert best["retrained_accuracy"] > 0.5
    assert anew.trials["retrained_accuracy"].notna().sum() == 1
    description = json.loads((anew.path / "best" / "trial.json").read_text())
    assert description["retrained"]
    model = load_model(anew.path / "best")
    data = make_problem(load_dataset(study(**settings).data), study(**settings).data, 4).dataset
    scale, shift = (np.float32(description["normalize"][name]) for name in ("scale", "shift"))
    with torch.no_grad():
        guesses = model(torch.from_numpy(data.x_test.astype(np.float32) * scale + shift)).argmax(dim=1).numpy()
    assert (guesses == data.y_test).mean() == pytest.approx(best["test_accuracy"])
    assert "retrained_accuracy" not in plain.trials


def test_the_losses_of_the_winners_steps_are_a_table(small: Results, tmp_path: Path) -> None:
    results = run(study(trials=3, epochs=2, step_losses="winner"), tmp_path, name="winner")
    best = results.best
    assert best is not None
    assert set(results.steps["trial"]) == {best["trial"]}
    assert list(results.steps.columns) == ["trial", "epoch", "step", "loss"]
    assert len(results.steps) == best["steps"]
    every = run(study(trials=3, epochs=2, step_losses="all"), tmp_path, name="all")
    assert dict(every.steps.groupby("trial").size()) == dict(
        zip(every.trials["trial"], every.trials["steps"], strict=True)
    )
    with pytest.raises(RunFolderError, match="the study kept no steps; set step_losses"):
        small.steps  # noqa: B018


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        ({"model": "cnn"}, "a CNN"),
        ({"model": {"choice": {"mlp": {}, "cnn": {"channels": [4]}}}}, "a CNN"),
        ({"rotation": {"uniform": [0, 15]}}, "rotation"),
        ({"noise": {"choice": [0.0, 0.1]}}, "noise"),
    ],
)
def test_what_only_pytorch_trains_goes_to_it_and_the_manifest_says_why(
    tmp_path: Path, space: dict[str, Any], reason: str
) -> None:
    results = run(study(space={"lr": 0.05, **space}, trials=2, epochs=1), tmp_path)
    assert set(results.trials["engine"]) == {"eager"}
    assert results.manifest["engine"] == {"name": "eager", "why": f"only it offers {reason}"}
    assert set(results.trials["state"]) == {"finished"}
    with pytest.raises(UsageError, match=reason) as raised:
        run(study(space=space, engine="compiled"), tmp_path)
    assert "\n" not in str(raised.value)


def test_a_model_that_the_data_dont_suit_is_refused_before_any_trial(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cnn needs pictures, and noisy_curve has none"):
        run(study(data={"name": "noisy_curve"}, space={"model": "cnn"}), tmp_path)
    assert not list(tmp_path.iterdir())
