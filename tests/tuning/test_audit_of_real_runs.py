"""Audits of real searches: in a Ray of their own or in one that they join, killed, gone on with, and extended."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.snapshots import go_on, snapshots
from tests.studies import Memory, study
from tests.test_chaos import RESUME, killed_at, reports
from tests.test_search import SEARCH, environment
from tests.tuning.played_runs import changed_line
from tests.tuning.test_audit import SCHEDULERS, audited
from tune_mlp import cli
from tune_mlp.results.journal import Decided, Resumed, Trained
from tune_mlp.results.journal_reader import read
from tune_mlp.tuning.audit import audit
from tune_mlp.tuning.run import More, Request, run_study

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_run_with_a_ray_of_its_own_whose_driver_is_killed_twice_is_derived(
    scheduler: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = study(trials=16, epochs=9, patience=6, engine="eager", concurrent=None, scheduler=SCHEDULERS[scheduler])
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(asked.model_dump(mode="json", exclude_unset=True)))
    run, resume = tmp_path / "runs" / "cut", [*RESUME, "runs/cut"]
    more = {"fifo": 4, "top_k": 6}.get(scheduler, 12)  # where little is decided, a trial reports many epochs at once
    killed_at(more, [*SEARCH, "--space", "s.yaml", "--quiet", "--name", "cut"], tmp_path, environment(tmp_path))
    assert audited(run).facts["differ"] == 0
    killed_at(reports(run) + more, resume, tmp_path, environment(tmp_path))
    assert audited(run).facts["differ"] == 0
    done = subprocess.run(resume, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    events = read(run / "journal.jsonl")
    assert sum(isinstance(event, Resumed) for event in events) == 2
    answer = audited(run)
    assert (answer.facts["differ"], answer.facts["trials"]) == (0, 16), answer.sentence
    assert (answer.facts["decisions"] > 4) == (scheduler != "fifo")
    with capsys.disabled():
        print(f"\n{scheduler}:", answer.sentence, *answer.notes)

    decided = [event for event in events if isinstance(event, Decided)]
    trained = [event for event in events if isinstance(event, Trained)]
    name, value = "val_accuracy", trained[4].epochs[-1].metrics["val_accuracy"]
    if decided:
        name, value = "value", next(one.value for one in decided[len(decided) // 2 :] if one.value is not None)
    with changed_line(run / "journal.jsonl", f'"{name}":{json.dumps(value)}'.encode(), f'"{name}":0.0625'.encode()):
        assert cli.main(["audit", str(run), "--to", "json"]) == 1
        out, err = capsys.readouterr()
    assert re.match(rf"Trial \d+(, epoch \d+)?: the journal says {name} 0.0625, and ", json.loads(out)["sentence"])
    assert err.count("\n") == 1
    assert cli.main(["audit", str(run)]) == 0


def test_a_real_search_that_lost_its_driver_and_was_extended_is_derived(local_ray: None, tmp_path: Path) -> None:
    _, folders = snapshots(tmp_path, every=5, trials=6, epochs=5, concurrent=2, scheduler=SCHEDULERS["asha"])
    assert audited(tmp_path / "whole").facts["differ"] == 0
    folder = folders[len(folders) // 2]
    go_on(folder, More(trials="+2"))
    answer = audited(folder)
    assert (answer.sentence, answer.facts["trials"]) == (
        f"All {answer.facts['decisions']} decisions on 8 trials follow from the journal.",
        8,
    )
    assert answer.facts["decisions"] >= 8
    assert answer.table.set_index("check")["compared"]["model"] == 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_real_searches_under_every_scheduler_are_derived(local_ray: None, scheduler: str, tmp_path: Path) -> None:
    """In a Ray that the study joins: undisturbed, cut at several events, gone on with, and extended."""
    settings: dict[str, Any] = {"trials": 10, "epochs": 9, "patience": 6, "scheduler": SCHEDULERS[scheduler]}
    _, folders = snapshots(tmp_path, every=5, **settings)
    assert audited(tmp_path / "whole").facts["differ"] == 0
    for folder in folders[:: max(1, len(folders) // 4)]:
        assert audited(folder).facts["differ"] == 0
        go_on(folder)
        assert audited(folder).facts["differ"] == 0
        go_on(folder, More(trials="+3"))
        answer = audited(folder)
        assert (answer.facts["differ"], answer.facts["trials"]) == (0, 13), answer.sentence


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scheduler", ["asha", "pbt"])
def test_a_search_with_a_further_metric_and_low_is_good_is_derived(
    local_ray: None, scheduler: str, tmp_path: Path
) -> None:
    a_study = study(
        trials=8, epochs=6, scheduler=SCHEDULERS[scheduler], metric="val_log_loss", data={"validation": {"folds": 2}}
    )
    results = run_study(a_study, Request(out=tmp_path, name="low"), Memory())
    assert audit(results).facts["differ"] == 0
