"""Follow-ups on a real Ray: a replay is the recorded training to the bit, and a confirmation goes on after a signal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.snapshots import go_on, snapshots
from tests.studies import study
from tune_mlp.console.board import Display
from tune_mlp.engines.eager.losses import LOSSES
from tune_mlp.engines.eager.optimisers import OPTIMISERS
from tune_mlp.followup.confirm import confirm
from tune_mlp.followup.replay import replay
from tune_mlp.results.journal import Drawn, Ended
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.study.study import Study
from tune_mlp.tuning.run import Request, run_study

REQUEST = Request(command=("tune-mlp", "confirm"))


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("confirmed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_run_is_replayed_to_the_bit_and_confirmed(tmp_path: Path, confirmed: bool) -> None:
    asha = {"asha": {"grace_period": 1, "reduction_factor": 2}}
    asked = study(trials=4, epochs=4, concurrent=1, scheduler=asha, patience=3, engine="eager")
    run = run_study(asked, Request(out=tmp_path, name="run"), Display())
    answer, failure = replay(run.path, [0, 1, 2, 3], None, 0, REQUEST, Display())
    assert failure == ""
    assert list(answer.table["verdict"]) == ["the same"] * 4
    assert list(answer.table["epochs"]) == list(run.trials["epochs"])
    if confirmed:
        assert len(confirm(run.path, 2, 2, REQUEST, Display()).table) == 2
        assert Results.load(run.path).looks == 2


CLASSES = {"name": "digits", "validation": {"folds": 2}}
CURVE = {"name": "noisy_curve", "normalize": "standard"}


def mixed(data: dict[str, Any], losses: list[str], engine: str) -> dict[str, Any]:
    space = {
        "lr": {"log": [1e-4, 1e-2]},
        "batch_size": {"choice": [1, 16, 64]},
        "depth": {"int": [0, 2]},
        "width": {"choice": [8, 16]},
        "dropout": {"choice": [0.0, 0.3]},
        "activation": {"choice": ["relu", "gelu", "tanh"]},
        "loss": {"grid": losses},
        "optimizer": {"grid": list(OPTIMISERS)},
    }
    return {"data": data, "space": space, "engine": engine, "trials": 5 * len(losses), "epochs": 2}


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.usefixtures("local_ray")
def test_20_of_20_random_trials_of_mixed_studies_are_replayed_to_the_bit(tmp_path: Path) -> None:
    """Both engines, all losses and optimisers, two folds, batches of one, dropout, and a run that was resumed."""
    classes, numbers = ["cross_entropy", "nll", "multi_margin"], ["mse", "mae", "smooth_l1"]
    assert {*classes, *numbers} == set(LOSSES)
    tables, replayed = [], []
    for place, engine in enumerate(("eager", "compiled")):
        for data, losses, seed in ((CLASSES, classes, 3), (CURVE, numbers, 4)):
            out = tmp_path / f"{engine}-{data['name']}"
            settings = mixed(data, losses, engine)
            if place == 0:
                _, folders = snapshots(out, every=10, concurrent=2, **settings)
                folder = go_on(folders[0]).path
            else:
                folder = run_study(study(concurrent=2, **settings), Request(out=out, name="whole"), Display()).path
            answer, failure = replay(folder, [], 5, seed, REQUEST, Display())
            assert failure == ""
            params = Results.load(folder).params
            replayed += [params[trial] for trial in answer.table["trial"]]
            tables.append(answer.table.assign(run=out.name))
    table = pd.concat(tables)
    print(table.to_string())
    assert (table["verdict"] == "the same").sum() == len(table) == 20
    assert {params["loss"] for params in replayed} == set(LOSSES)
    assert {params["optimizer"] for params in replayed} == set(OPTIMISERS)
    assert {params["batch_size"] for params in replayed} == {1, 16, 64}
    assert {params["dropout"] for params in replayed} == {0.0, 0.3}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("local_ray")
def test_the_regret_of_a_real_search_is_trained_once_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command starts a Ray of its own. A second call trains nothing, and a larger share trains what is missing."""
    asha = {"asha": {"grace_period": 1, "reduction_factor": 3}}
    run = run_study(
        Study.load("digits_quick", trials=30, epochs=6, scheduler=asha), Request(out=tmp_path, name="run"), Display()
    )
    before = (run.path / "journal.jsonl").read_bytes()
    stopped = set(run.trials.loc[run.trials["state"] == "stopped", "trial"])
    assert len(stopped) > 10
    journal = run.path / "followups" / "regret" / "journal.jsonl"
    kept: list[bytes] = []
    said: dict[str, Any] = {}
    for share, count in (("0.1", 8), ("0.1", 8), ("1", len(stopped))):
        process = cli("regret", run.path, "--share", share, "--to", "json")
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        said = json.loads(out)
        assert (said["stopped"], said["trained_to_end"]) == (len(stopped), count)
        assert {row["trial"] for row in said["sample"]} <= stopped
        assert said["probability"]["low"] <= said["probability"]["value"] <= said["probability"]["high"]
        assert said["rows"][0]["setting"] == "asha, grace_period 1, reduction_factor 3"
        kept.append(journal.read_bytes())
        with capsys.disabled():
            print("\n" + said["sentence"])
    assert kept[0] == kept[1]
    assert kept[2].startswith(kept[1])
    events = read(journal)
    assert sorted(event.trial for event in events if isinstance(event, Ended)) == sorted(stopped), "each once"
    assert {event.again for event in events if isinstance(event, Drawn)} == stopped
    nets = Results.load(journal.parent).trials
    assert set(nets["epochs"]) == {6}
    assert (run.path / "journal.jsonl").read_bytes() == before
    assert run.best is not None
    truth = float(nets["best_val_accuracy"].max() - run.best["best_val_accuracy"])
    assert said["cost"]["value"] == pytest.approx(max(truth, 0.0), abs=1e-12)


def cli(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tune_mlp", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_confirmation_ends_in_order_on_a_signal_and_goes_on(tmp_path: Path) -> None:
    run = run_study(study(trials=3, epochs=2), Request(out=tmp_path, name="run"), Display()).path
    words = ("confirm", run, "--top", "3", "--seeds", "20", "--to", "csv")
    process = cli(*words)
    journal = run / "followups" / "confirm" / "journal.jsonl"
    while not journal.exists() or journal.read_text(encoding="utf-8").count('"event":"ended"') < 3:
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert out == ""
    assert re.search(r"what was trained is saved; to go on: tune-mlp confirm \S+ --top 3 --seeds 20", err)
    trained = journal.read_text(encoding="utf-8").count('"event":"ended"')
    assert 3 <= trained < 60
    process = cli(*words)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    assert out.startswith("trial,seeds,searched,mean,std")
    nets = Results.load(run / "followups" / "confirm").trials
    assert set(nets["state"]) == {"finished"}
    assert len(nets) == 60
