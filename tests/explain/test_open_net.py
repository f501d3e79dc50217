"""A run's net is opened with its validation part; what has no net, or can't be read, is said in one line."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.explain.nets import searched
from tune_mlp.cli import main
from tune_mlp.errors import DataError, RunFolderError, TuneMlpError, UsageError
from tune_mlp.explain.confusion import confusion
from tune_mlp.explain.data_source import DataSource
from tune_mlp.explain.trained_net import load_problem, open_net
from tune_mlp.results.results import Results


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return searched(tmp_path_factory.mktemp("runs"), space={"lr": {"log": [1e-3, 1e-1]}, "width": 8})


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return searched(tmp_path_factory.mktemp("runs"), trials=1, retrain=2, space={"lr": 0.05, "width": 8})


@pytest.fixture(scope="module")
def diverged(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return searched(
        tmp_path_factory.mktemp("runs"), trials=2, search="grid", space={"lr": {"choice": [0.05, 1e30]}, "width": 8}
    )


def other_than_the_winner(run: Results) -> int:
    return int(run.ranked["trial"].iloc[-1])


def test_the_winners_net_has_the_recorded_accuracy_on_its_validation_part(run: Results) -> None:
    best = run.best
    assert best is not None
    net = open_net(run)
    assert (net.trial, net.epoch, net.notes) == (best["trial"], best["best_epoch"], ())
    assert (net.found == net.samples.wanted).mean() == pytest.approx(best["best_val_accuracy"], abs=1e-12)
    assert confusion(net.samples.wanted, net.found, 10).sum() == len(net.samples.wanted) > 100


def test_another_trials_net_is_trained_again_to_the_bit(run: Results) -> None:
    trial = other_than_the_winner(run)
    said: list[str] = []
    net = open_net(run, trial, DataSource(say=said.append))
    row = run.trials.set_index("trial").loc[trial]
    assert (net.trial, net.epoch) == (trial, row["best_epoch"])
    assert (net.found == net.samples.wanted).mean() == pytest.approx(row["best_val_accuracy"], abs=1e-12)
    assert f"trial {trial} was trained again from its seed" in net.notes[0]
    assert "bit for bit what the run recorded" in net.notes[0]
    assert said[-1].startswith(f"trial {trial} was trained again for this: ")


def test_the_winner_that_is_named_comes_from_the_folder(run: Results) -> None:
    net = open_net(run, int(run.ranked["trial"].iloc[0]))
    assert net.notes == ()


def test_an_average_that_learnt_from_all_samples_says_so(averaged: Results) -> None:
    net = open_net(averaged)
    assert len(net.nets) == 2
    assert net.retrained
    assert "learnt from these validation samples, too" in net.notes[0]
    shares = net.probabilities
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_data_in_memory_are_not_read_again(run: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    _, problem = load_problem(run, DataSource())
    monkeypatch.setattr("tune_mlp.explain.trained_net.load_dataset", None)
    net = open_net(run, None, DataSource(problem=problem))
    assert net.dataset is problem.dataset


def copy_of(run: Results, folder: Path) -> Path:
    return Path(shutil.copytree(run.path, folder / "copy"))


def test_a_run_without_a_winner_has_no_net(run: Results, tmp_path: Path) -> None:
    folder = copy_of(run, tmp_path)
    shutil.rmtree(folder / "best")
    with pytest.raises(RunFolderError, match="has no winner, or hasn't ended"):
        open_net(Results.load(folder))
    assert open_net(Results.load(folder), other_than_the_winner(run)).trial == other_than_the_winner(run)


def test_a_trial_that_diverged_has_no_net(diverged: Results) -> None:
    (bad,) = diverged.trials.loc[diverged.trials["state"] == "diverged", "trial"]
    with pytest.raises(UsageError, match=f"trial {bad}: is diverged and has no best epoch"):
        open_net(diverged, int(bad))


def test_a_trial_that_the_run_does_not_have_is_refused(run: Results) -> None:
    with pytest.raises(UsageError, match="trial 77: the run has no such trial; it has 3, from 0 to 2"):
        open_net(run, 77)


def test_a_trial_that_population_based_training_changed_is_refused(run: Results) -> None:
    trial = other_than_the_winner(run)
    changes = run.changes.copy()
    changes.loc[0, "trial"] = trial
    with pytest.raises(UsageError, match="population-based training changed its settings"):
        open_net(replace(run, changes=changes), trial)


def test_data_that_are_gone_or_other_ones_are_refused(run: Results, tmp_path: Path) -> None:
    folder = copy_of(run, tmp_path)
    manifest = json.loads((folder / "run.json").read_text())
    manifest["dataset"]["fingerprint"] = "0" * 32
    (folder / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(RunFolderError, match="began with other data than digits is now"):
        open_net(Results.load(folder))


def test_data_that_another_dataset_stands_in_for_are_refused(run: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    _, problem = load_problem(run, DataSource())
    stand_in = replace(problem.dataset, stand_in_for="mnist")
    monkeypatch.setattr("tune_mlp.explain.trained_net.load_dataset", lambda *args, **named: stand_in)
    with pytest.raises(
        DataError, match=r"mnist, which the run learnt from, was not found .* give --data-dir or set TUNE_MLP_DATA"
    ):
        open_net(run)


def test_a_function_of_a_user_is_called_only_if_it_is_named(run: Results, tmp_path: Path) -> None:
    import hashlib

    folder = copy_of(run, tmp_path)
    text = (folder / "study.yaml").read_text().replace("name: digits", "name: evil_module:load")
    (folder / "study.yaml").write_text(text)
    manifest = json.loads((folder / "run.json").read_text())
    manifest["study_sha256"] = [hashlib.sha256(text.encode()).hexdigest()]
    (folder / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="add --dataset evil_module:load"):
        open_net(Results.load(folder))


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1, shown.err
    return shown.err


def test_bad_input_is_answered_by_one_line(
    run: Results, diverged: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bad,) = diverged.trials.loc[diverged.trials["state"] == "diverged", "trial"]
    blocked = tmp_path / "file"
    blocked.write_text("")
    cases = [
        ([str(run.path), "--trial", "77"], "no such trial"),
        ([str(diverged.path), "--trial", str(bad)], "is diverged"),
        ([str(run.path), "--output", str(blocked / "x")], "can't be written: Not a directory"),
        ([str(tmp_path / "none")], "no run's folder"),
        (["table.csv"], "is a table, which holds no net"),
    ]
    for words, expected in cases:
        assert main(["explain", *words]) in (1, 2)
        assert expected in one_line(capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused_before_anything_is_drawn(run: Results, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(TuneMlpError, match="Permission denied"):
        main(["explain", str(run.path), "--output", str(tmp_path / "x")])
