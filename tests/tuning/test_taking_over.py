"""A worker leaves a trial's state for others at each comparison, and a trial that takes it over goes on from there to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.studies import study
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.engines.choose import engine
from tune_mlp.records import EpochRecord
from tune_mlp.results.storage import FolderStorage
from tune_mlp.training.threads import threads
from tune_mlp.tuning.schedulers import milestones
from tune_mlp.tuning.trainable import Job, TrialActor
from tune_mlp.tuning.trial_files import SOURCE, shared_file

PARAMS = {"lr": 0.05, "batch_size": 64, "depth": 1, "width": 8, "dropout": 0.2}


def train(job: Job, until: int, **config: Any) -> list[EpochRecord]:
    """Train a trial by a worker of its own until it has come so far; return what it reported."""
    actor: Any = object.__new__(TrialActor)
    actor._engine, actor._job, actor._node = engine(job.engine), job, "here"
    actor._begin({"seed": 1, "params": PARAMS, **config})
    found: list[EpochRecord] = []
    while not found or found[-1].epoch < until:
        report = actor._step()
        assert (report.error, report.note) == ("", "")
        found += report.records
    return found


def test_a_trial_goes_on_from_the_state_that_it_takes_over(tmp_path: Path) -> None:
    asked = study(scheduler={"pbt": {"interval": 2}}, epochs=7)
    job = Job(
        make_problem(load_dataset(asked.data), asked.data, 0),
        "eager",
        "val_accuracy",
        "max",
        asked.epochs,
        None,
        milestones(asked),
        threads=1,
        gpu=False,
        kept=FolderStorage(tmp_path),
        shares_states=True,
    )
    with threads(1):
        donor = train(job, 6, trial=0)
        shared = {path.name for path in tmp_path.glob("shared-*.pt")}
        assert shared == {shared_file(0, epoch) for epoch in (2, 4, 6)}, "one for each comparison"
        train(job, 2, trial=1, params={**PARAMS, "lr": 0.001})
        heir = train(job, 6, trial=1, **{SOURCE: [0, 4]})
        assert [(record.epoch, record.metrics) for record in heir] == [
            (record.epoch, record.metrics) for record in donor if record.epoch > 4
        ]
        (tmp_path / shared_file(0, 4)).unlink()  # its own state is the one that counts from now on
        again = train(job, 7, trial=1, **{SOURCE: [0, 4]}, known=6)
        assert [record.epoch for record in again] == [7]
