"""What `regret` answers: on a run of digits whose trials all trained to the end, of which ASHA would have stopped some."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.in_process import Ended as DriverLost
from tests.in_process import InProcess
from tests.results.journals import ended, started, trial, write
from tests.studies import study
from tune_mlp import cli
from tune_mlp.console.board import Display
from tune_mlp.errors import UsageError
from tune_mlp.followup.regret import regret, train_and_regret
from tune_mlp.insight import regret as estimation
from tune_mlp.results import journal
from tune_mlp.results.answer import Answer
from tune_mlp.results.journal import Drawn, Ended, Event, Trained
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.tuning.run import Request, run_study
from tune_mlp.tuning.simulation import Cost, simulate

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

TRIALS, EPOCHS, SAMPLED = 8, 2, 2
STUDY = study(
    trials=TRIALS,
    epochs=EPOCHS,
    space={"lr": {"log": [1e-4, 1e-1]}, "width": 8, "depth": {"int": [0, 1]}, "batch_size": 64},
    scheduler={"asha": {"grace_period": 1, "reduction_factor": 2}},
    concurrent=1,
    engine="eager",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a run of which every trial trained to the end."""
    with pytest.MonkeyPatch.context() as patch:
        InProcess().use(patch)
        yield run_study(STUDY, Request(out=tmp_path_factory.mktemp("runs"), name="whole"), Display()).path


@pytest.fixture
def run(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the run as its scheduler would have left it, and stand in for Ray."""
    InProcess().use(monkeypatch)
    monkeypatch.setattr(estimation, "LEAST", SAMPLED)  # a small run, since training takes most of a test's time
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    table = curves(whole)
    way = simulate(
        STUDY.bound("classification"),
        [Cost(1.0)] * TRIALS,
        1,
        lambda number, epoch: float(table.loc[number, epoch]),
    )
    events = [event for old in read(whole / "journal.jsonl") for event in cut(old, way.epochs)]
    (folder / "journal.jsonl").unlink()
    write(folder / "journal.jsonl", events)
    return folder


def curves(folder: Path) -> pd.DataFrame:
    return Results.load(folder).epochs.pivot_table(index="trial", columns="epoch", values="val_accuracy")


def cut(event: Event, epochs: tuple[int, ...]) -> list[Event]:
    """Return what is left of an event if its trial was stopped."""
    match event:
        case Trained():
            kept = tuple(record for record in event.epochs if record.epoch <= epochs[event.trial])
            return [replace(event, epochs=kept)] if kept else []
        case Ended() if epochs[event.trial] < EPOCHS:
            return [ended(event.trial, "stopped", reason="scheduler")]
        case journal.Tested():
            return []
    return [event]


def answered(folder: Path, share: float = 0.05, seed: int = 0) -> Answer:
    return train_and_regret(folder, share, seed, Request(command=("tune-mlp", "regret", "run")), Display())


def test_a_sample_is_trained_to_the_end_and_is_what_it_would_have_been(run: Path, whole: Path) -> None:
    before = (run / "journal.jsonl").read_bytes()
    answer = answered(run)
    stopped, sample = answer.facts["stopped"], answer.facts["sample"]
    assert answer.sentence.startswith(f"Of {stopped} stopped trials, {SAMPLED} were trained to the end.")
    assert len(sample) == answer.facts["trained_to_end"] == SAMPLED
    truth = curves(whole).max(axis=1)
    assert [row["value_at_end"] for row in sample] == [truth[row["trial"]] for row in sample]
    assert (run / "journal.jsonl").read_bytes() == before
    probability, cost = answer.facts["probability"], answer.facts["cost"]
    assert 0 <= probability["low"] <= probability["value"] <= probability["high"] <= 1
    real = max(truth.max() - answer.facts["winner"]["value"], 0)
    assert cost["low"] <= real <= cost["high"]


def test_what_is_trained_is_kept_and_a_larger_share_adds_to_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = answered(run)
    ray = InProcess()
    ray.use(monkeypatch)
    again = answered(run)
    assert (again.sentence, ray.trained) == (first.sentence, [])
    everything = answered(run, share=1.0)
    assert len(set(ray.trained)) == first.facts["stopped"] - SAMPLED
    assert everything.facts["trained_to_end"] == first.facts["stopped"]
    assert everything.facts["probability"]["value"] in (0.0, 1.0)
    assert set(everything.table["unknown"]) == {0}


def test_an_interrupted_sample_goes_on(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = InProcess()
    ray.results_left = 1
    ray.use(monkeypatch)
    with pytest.raises(DriverLost):
        answered(run)
    ray.results_left = float("inf")
    answer = answered(run)
    assert answer.facts["trained_to_end"] == SAMPLED


def test_results_have_the_answer_as_a_frame(run: Path) -> None:
    assert "0 were trained to the end" in Results.load(run).regret.attrs["sentence"]
    answer = answered(run)
    frame = Results.load(run).regret
    pd.testing.assert_frame_equal(frame, answer.table)
    assert frame.attrs["cost"] == answer.to_dict()["cost"]


def test_the_command_prints_strict_json_and_nothing_else(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["regret", str(run), "--to", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["metric"] == "val_accuracy"
    assert said["rows"][0]["setting"] == "asha, grace_period 1, reduction_factor 2"
    assert said["rows"][0]["unknown"] == 0
    assert f"gives {TRIALS} of {TRIALS} trials the epochs that they had" in said["notes"][-1]


def test_without_stopped_trials_nothing_is_trained(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["regret", str(whole)]) == 0
    assert capsys.readouterr().out.startswith("The scheduler stopped no trial, so it didn't stop the winner.\n")
    assert not (whole / "followups").exists()


def test_a_trial_that_the_time_budget_ended_was_not_stopped_by_the_scheduler(tmp_path: Path) -> None:
    events = [started(), *trial(0, 0.5, 0.6, 0.7), *trial(1, 0.4)[:-1], ended(1, "stopped", reason="time budget")]
    write(tmp_path / "journal.jsonl", events)
    answer = regret(Results.load(tmp_path))
    assert answer.facts["stopped"] == 0
    assert answer.table.empty
    assert "no study.yaml" in answer.notes[0]


def test_a_run_without_any_value_gives_a_plain_sentence(tmp_path: Path) -> None:
    write(tmp_path / "journal.jsonl", [started(), *trial(0, float("nan"), state="diverged")])
    assert regret(Results.load(tmp_path)).sentence == "No trial has a value, so there is nothing to regret."


def test_a_loss_is_better_where_it_is_smaller(tmp_path: Path) -> None:
    """A trial that was stopped at a loss of 0.9 would have had 0.1, where the winner has 0.2."""
    events: list[Event] = [started(metric="val_loss", mode="min")]
    for number in range(10):
        events += losses(number, *np.linspace(0.8, 0.2 + number / 50, 3), state="finished")
    events += losses(10, 0.9, state="stopped")
    write(tmp_path / "journal.jsonl", events)
    again: list[Event] = [started(metric="val_loss", mode="min"), *losses(0, 0.9, 0.5, 0.1, state="finished")]
    again[1] = replace(drawn_of(again[1]), again=10)
    (tmp_path / "again").mkdir()
    write(tmp_path / "again" / "journal.jsonl", again)
    answer = regret(Results.load(tmp_path), Results.load(tmp_path / "again"))
    assert answer.sentence.endswith(
        "The scheduler stopped a trial that would have been better than the winner: trial 10 reaches 0.1, where the winner "
        "has 0.2; the expected cost is 0.1 of val_loss."
    )
    assert answer.sentence.startswith("Of 1 stopped trials, 1 was trained")


def losses(number: int, *values: float, state: str) -> list[Event]:
    events = trial(number, *values, state=state)
    found: list[Event] = []
    for event in events:
        if isinstance(event, Trained):
            (record,) = event.epochs
            metrics = {**record.metrics, "val_loss": record.metrics["val_accuracy"]}
            event = replace(event, epochs=(replace(record, metrics=metrics),))
        if isinstance(event, Ended) and state == "stopped":
            event = replace(event, reason="scheduler")
        found.append(event)
    return found


def drawn_of(event: Event) -> Drawn:
    assert isinstance(event, Drawn)
    return event


@pytest.mark.parametrize("share", ["0", "-1", "1.5", "nan"])
def test_a_share_outside_of_its_range_is_refused(share: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["regret", str(run), "--share", share]) == 2
    assert capsys.readouterr().err == f"tune-mlp: --share {share}: must be above 0 and at most 1\n"


def test_a_table_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["regret", "trials.csv"]) == 2
    assert capsys.readouterr().err == (
        "tune-mlp: trials.csv is a table, of which no trial can be trained to the end: name the run itself\n"
    )
    with pytest.raises(UsageError):
        Results.from_table(pd.DataFrame({"lr": [0.1], "score": [1.0]}), "score", "max", ["lr"]).regret  # noqa: B018
