"""A replay is the recorded training to the bit, and names the first epoch that differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.results.journals import decided, write
from tune_mlp import cli
from tune_mlp.console.board import Display
from tune_mlp.errors import UsageError
from tune_mlp.followup.replay import Replayed, _answer, _row, replay
from tune_mlp.insight.replayed import Course
from tune_mlp.results.journal import Drawn, Event, Trained
from tune_mlp.results.journal_reader import read
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.tuning.run import Request


def replayed(folder: Path, *trials: int, count: int | None = None) -> Replayed:
    return replay(folder, trials, count, 0, Request(command=("tune-mlp", "replay")), Display())


def changed(folder: Path, change: Any) -> None:
    """Write the journal anew with each event changed; checksums and numbers are right."""
    events = [change(event) for event in read(folder / "journal.jsonl")]
    (folder / "journal.jsonl").unlink()
    write(folder / "journal.jsonl", events)


def test_a_replay_is_the_recorded_training_to_the_bit(folder: Path) -> None:
    before = (folder / "journal.jsonl").read_bytes()
    answer, failure = replayed(folder, 0, 1, 2, 3)
    assert answer.sentence == "4 of 4 trials are bit for bit the same."
    assert failure == ""
    assert set(answer.table["verdict"]) == {"the same"}
    assert (answer.table["digests"] >= 1).all()
    assert (folder / "journal.jsonl").read_bytes() == before
    assert not (folder / "followups").exists()


def test_a_trial_whose_seed_was_edited_differs_from_its_first_epoch_on(folder: Path) -> None:
    changed(folder, lambda e: replace(e, seed=e.seed + 1) if isinstance(e, Drawn) and e.trial == 2 else e)
    answer, failure = replayed(folder, 1, 2)
    rows = answer.table.set_index("trial")
    assert rows["verdict"].to_dict() == {1: "the same", 2: "differs"}
    assert rows["first_epoch"][2] == 1
    assert "the first that isn't is trial 2: epoch 1 is the first that differs, train_loss by" in answer.sentence
    assert failure.startswith("trial 2 differs from epoch 1 on, on a machine of the same kind")


def later(event: Event, what: str) -> Event:
    """Change the last epoch of trial 0."""
    if not isinstance(event, Trained) or event.trial != 0 or event.epochs[-1].epoch != 3:
        return event
    if what == "weights":
        return replace(event, weights_digest="0" * 64)
    last = event.epochs[-1]
    metrics = {**last.metrics, "val_loss": last.metrics["val_loss"] * (1 + 1e-15)}
    return replace(event, epochs=(*event.epochs[:-1], replace(last, metrics=metrics)))


@pytest.mark.parametrize("what", ["val_loss", "weights"])
def test_the_first_epoch_that_differs_is_named(folder: Path, what: str) -> None:
    changed(folder, lambda event: later(event, what))
    answer, failure = replayed(folder, 0)
    assert answer.table["first_epoch"][0] == 3
    assert answer.table["what"][0] == what
    assert answer.sentence.startswith("Trial 0: epoch 3 is the first that differs")
    assert failure


def test_two_values_that_differ_in_a_late_digit_are_shown_with_it() -> None:
    now = 2.3268505334854126
    then = 2.3268505334854130
    row = {"trial": 0, "verdict": "differs", "epochs": 3, "digests": 0, "first_epoch": 1, "what": "val_loss"}
    rows = [
        {**row, "then": then, "now": now, "largest_share": 1e-16},
        {"trial": 1, "verdict": "the same", "epochs": 3, "digests": 0, "largest_share": 0.0},
    ]
    answer = _answer(pd.DataFrame(rows), [])
    assert answer.sentence.endswith("it was 2.326850533485413 and is 2.3268505334854126 now.")
    assert answer.shown is not None
    assert list(answer.shown["then"]) == ["2.326850533485413", ""]
    assert list(answer.shown["now"]) == ["2.3268505334854126", ""]
    assert answer.table["then"][0] == then


def test_of_trials_that_all_trained_no_epoch_there_is_nothing_to_compare() -> None:
    rows = [_row(number, Course(), Course(), "val_loss") for number in (0, 1)]
    answer = _answer(pd.DataFrame(rows), [])
    assert answer.sentence == "None of the trials trained an epoch, so there is nothing to compare."


def test_on_another_processor_a_small_difference_is_reported_and_no_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"processor": "another"}
    monkeypatch.setattr("tune_mlp.followup.replay.this_machine", lambda: other)
    changed(folder, lambda event: later(event, "val_loss"))
    answer, failure = replayed(folder, 0)
    assert failure == ""
    assert answer.table["verdict"][0] == "differs"
    assert "(now another)" in answer.notes[0]
    changed(folder, lambda e: replace(e, seed=e.seed + 1) if isinstance(e, Drawn) and e.trial == 0 else e)
    assert "more than the 10%" in replayed(folder, 0)[1]


def test_random_trials_are_picked_by_the_seed(folder: Path) -> None:
    tables = [replayed(folder, count=2).answer.table for _ in range(2)]
    assert list(tables[0]["trial"]) == list(tables[1]["trial"])
    assert len(tables[0]) == 2


def test_a_trial_that_population_based_training_changed_is_refused(folder: Path) -> None:
    events = read(folder / "journal.jsonl")
    first = next(event for event in events if isinstance(event, Drawn))
    again = replace(first, params={**first.params, "lr": 0.5})
    (folder / "journal.jsonl").unlink()
    write(folder / "journal.jsonl", [*events, again])
    with pytest.raises(UsageError, match="trial 0 can't be trained again: population-based training changed its lr"):
        replayed(folder, 0)
    with Journal.resume(folder / "journal.jsonl") as journal:
        journal.append(decided(2, 1, scheduler="pbt", decision="exploit", donor=3))
    with pytest.raises(
        UsageError, match="after its epoch 1 population-based training gave it the weights and settings of trial 3"
    ):
        replayed(folder, 2)
    assert set(replayed(folder, count=5).answer.table["trial"]) == {1, 3}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name trials, or give --random N"),
        (["1", "--random", "2"], "name trials, or give --random N"),
        (["--random", "0"], "--random: must be at least 1"),
        (["99"], "trial 99: the run has no such trial; it has 4, from 0 to 3"),
    ],
)
def test_a_wrong_request_is_answered_by_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert cli.main(["replay", str(folder), *words]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert (out, err.count("\n")) == ("", 1)


def test_the_word_prints_the_answer_alone_and_ends_with_1_where_it_differs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["replay", str(folder), "1", "--to", "json"]) == 0
    assert capsys.readouterr().out.startswith('{\n "sentence": "Trial 1: bit for bit the same for')
    changed(folder, lambda e: replace(e, seed=e.seed + 1) if isinstance(e, Drawn) and e.trial == 1 else e)
    assert cli.main(["replay", str(folder), "1"]) == 1
    assert "trial 1 differs from epoch 1 on" in capsys.readouterr().err
