"""A run that begins with what an earlier one learnt, and one that begins with named settings: killed, extended and audited.

The tests run in one process; `make test-slow` runs them through a real Ray, too.
"""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.snapshots import comparable, go_on, snapshots
from tests.studies import Memory, study
from tune_mlp.errors import StudyError
from tune_mlp.results.journal import Told
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.tuning.audit import audit
from tune_mlp.tuning.run import More, Request, run_study

pytestmark = pytest.mark.usefixtures("in_process_and_on_ray")

QUICK: dict[str, Any] = {"epochs": 1, "engine": "eager", "search": {"tpe": {"startup": 3}}}


def earlier(out: Path) -> Results:
    return run_study(study(trials=6, epochs=1, engine="eager"), Request(out=out, name="earlier"), Memory())


def test_a_warm_start_is_in_the_study_the_journal_and_the_manifest(tmp_path: Path) -> None:
    before = earlier(tmp_path)
    display = Memory()
    results = run_study(
        study(trials=4, warm_start=str(before.path), **QUICK), Request(out=tmp_path, name="new"), display
    )
    assert before.best is not None
    best = before.params[int(before.best["trial"])]
    assert results.params[0] == best
    assert results.study["first"] == [best]
    told = [event for event in read(results.path / "journal.jsonl") if isinstance(event, Told)]
    scores = before.ranked["best_val_accuracy"]
    assert [one.value for one in told] == list(scores)[1:]
    digest = sha256((before.path / "journal.jsonl").read_bytes()).hexdigest()
    assert results.manifest["warm_start"] == {
        "source": str(before.path),
        "fingerprint": digest,
        "trials": 6,
        "first": 1,
        "told": 5,
        "values_left_out": 0,
    }
    (line,) = [line for line in display.lines if line.startswith("warm start from")]
    assert line.endswith("1 of its best draws come first, and the search is told of 5 of its 6 trials")
    assert audit(results).facts["differ"] == 0


@pytest.mark.parametrize("search", ["tpe", "random"])
def test_a_run_with_a_warm_start_goes_on_without_the_earlier_run(tmp_path: Path, search: str) -> None:
    before = earlier(tmp_path)
    settings = QUICK | {"search": search, "warm_start": str(before.path), "trials": 8}
    whole, folders = snapshots(tmp_path, every=6, **settings)
    shutil.rmtree(before.path)
    folder = folders[len(folders) // 2]
    resumed = go_on(folder)
    assert resumed.params == whole.params
    pd.testing.assert_frame_equal(comparable(resumed)[0], comparable(whole)[0], check_exact=True)
    assert len(go_on(folder, More(trials="+2")).trials) == 10


def test_another_metric_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    before = earlier(tmp_path)
    with pytest.raises(StudyError, match="ranks by val_accuracy"):
        run_study(study(metric="val_loss", warm_start=str(before.path)), Request(out=tmp_path, name="new"), Memory())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("search", ["random", "grid", "qmc", {"tpe": {"startup": 3}}, "cmaes"])
def test_named_settings_and_priors_are_trained_first_and_an_audit_finds_them(tmp_path: Path, search: Any) -> None:
    space = {"lr": {"log": [1e-3, 1e-1], "prior": 0.02}, "dropout": {"uniform": [0.0, 0.5]}}
    if search == "grid":
        space = {"lr": {"choice": [0.01, 0.02, 0.05], "prior": 0.02}, "dropout": {"choice": [0.0, 0.25]}}
    settings: dict[str, Any] = {"space": space, "first": [{"lr": 0.05, "dropout": 0.25}], "search": search, "trials": 6}
    whole, folders = snapshots(tmp_path, every=4, epochs=1, engine="eager", **settings)
    assert whole.params[0] == {"lr": 0.05, "dropout": 0.25}
    assert whole.params[1]["lr"] == 0.02
    assert audit(whole).facts["differ"] == 0
    assert go_on(folders[len(folders) // 2]).params == whole.params
