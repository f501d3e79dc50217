"""Why a trial ended as it did, in words, from the journal alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.results.journals import decided, drawn, ended, record, started, trained, trial, write
from tune_mlp import cli
from tune_mlp.errors import RunFolderError
from tune_mlp.insight.why import why
from tune_mlp.results.journal import Event, Trained, WorkerLost
from tune_mlp.results.results import Results

OLD = Path(__file__).parent.parent / "fixtures" / "run_format_1"


def epoch(number: int, count: int, accuracy: float) -> Event:
    return trained(number, record(count, 1.0, 0.5, 1.0, accuracy))


def at_a_rung(scores: list[float], **changes: Any) -> list[Event]:
    """Return the events of trials that came to ASHA's first rung one after the other; the last one is stopped there."""
    events: list[Event] = [started(epochs=9, **changes)]
    for number, score in enumerate(scores):
        last = number == len(scores) - 1
        events += [drawn(number), epoch(number, 3, score)]
        bar = None if number == 0 else 0.8
        word = "stop" if last else "continue"
        events.append(decided(number, 3, value=score, cutoff=bar, competed=number + 1, decision=word))
    return [*events, ended(len(scores) - 1, "stopped", reason="scheduler")]


def test_a_stopped_trial_is_told_by_how_much_and_who_was_ahead() -> None:
    answer = why(at_a_rung([0.81, 0.95, 0.9, 0.85, 0.99, 0.7]), 5)
    assert answer.sentence == (
        "Trial 5 was stopped after 3 epochs: its val_accuracy of 0.7 was below 0.8, the cutoff among 6 trials at that rung "
        "(bracket 0, epoch 3)."
    )
    (row,) = answer.to_dict()["rows"]
    assert row["ahead"] == "4, 1, 2 and 2 more"
    assert (row["epoch"], row["value"], row["cutoff"], row["compared"]) == (3, 0.7, 0.8, 6)
    assert answer.facts["params"] == {"lr": 0.1}


def test_where_low_is_good_a_stopped_trial_was_above_the_cutoff_and_the_lower_ones_were_ahead() -> None:
    answer = why(at_a_rung([0.5, 0.9, 0.95], metric="val_loss", mode="min"), 2)
    assert "its val_loss of 0.95 was above 0.8, the cutoff among 3 trials" in answer.sentence
    assert answer.table["ahead"].tolist() == ["0, 1"]


def test_the_first_at_a_rung_went_on_without_a_comparison() -> None:
    answer = why(at_a_rung([0.81, 0.7]), 0)
    assert answer.table["why"].tolist() == ["went on after 3 epochs: it was the first one there"]
    assert answer.table["ahead"].tolist() == [""]


def test_two_values_that_are_nearly_equal_are_told_apart() -> None:
    events = [started(), drawn(0), epoch(0, 1, 0.912345), decided(0, 1, value=0.912345, cutoff=0.912346)]
    assert "of 0.91234 was below 0.91235" in why(events, 0).table["why"][0]


def test_the_median_rule_names_those_whose_mean_is_higher_than_the_trials_best() -> None:
    events: list[Event] = [started(epochs=9)]
    for number, scores in enumerate([(0.9, 0.8), (0.4, 0.9), (0.8, 0.8), (0.7, 0.6)]):
        events.append(drawn(number))
        for count, score in enumerate(scores, start=1):
            events.append(epoch(number, count, score))
            events.append(decided(number, count, scheduler="median", cutoff=None, value=score, decision="continue"))
    events[-1] = decided(3, 2, scheduler="median", rung="epoch 2", value=0.7, cutoff=0.8, competed=4)
    answer = why([*events, ended(3, "stopped", reason="scheduler")], 3)
    assert answer.sentence == (
        "Trial 3 was stopped after 2 epochs: its best val_accuracy of 0.7 was below 0.8, the median of the means of 3 other "
        "trials (epoch 2)."
    )
    assert answer.table["ahead"].iloc[-1] == "0, 2"
    assert answer.table["why"].iloc[0] == "went on after 1 epoch: too few other trials had come so far"


def test_a_halving_says_how_many_went_on_and_names_them() -> None:
    scores = [0.5, 0.9, 0.6, 0.8]
    events: list[Event] = [started(epochs=9)]
    for number, score in enumerate(scores):
        events += [drawn(number), epoch(number, 1, score)]
    for number in (3, 1, 0, 2):
        word = "continue" if scores[number] >= 0.8 else "stop"
        changes = {"scheduler": "hyperband", "rung": "bracket 2, epoch 1", "cutoff": 0.8, "competed": 4}
        events.append(decided(number, 1, value=scores[number], decision=word, **changes))
    answer = why([*events, ended(2, "stopped", reason="scheduler")], 2)
    assert answer.sentence == (
        "Trial 2 was stopped after 1 epoch: its val_accuracy of 0.6 was below 0.8, the worst of the 2 that went on of 4 trials "
        "(bracket 2, epoch 1)."
    )
    assert answer.table["ahead"].tolist() == ["1, 3"]
    assert "its val_accuracy was 0.8, just the worst of the 2 that went on" in why(events, 3).table["why"][0]


def test_what_a_trial_took_over_is_told_with_its_donor_and_the_parameters_that_changed() -> None:
    events = [
        started(epochs=9),
        drawn(0, {"lr": 0.1, "width": 8}),
        drawn(1, {"lr": 0.5, "width": 8}),
        epoch(1, 2, 0.9),
        decided(1, 2, scheduler="pbt", rung="epoch 2", value=0.9, cutoff=0.9, competed=1, decision="continue"),
        epoch(0, 2, 0.4),
        decided(0, 2, scheduler="pbt", rung="epoch 2", value=0.4, cutoff=0.9, decision="exploit", donor=1),
        drawn(0, {"lr": 0.6, "width": 8}),
        epoch(0, 3, 0.8),
    ]
    answer = why(events, 0)
    assert answer.table["why"].tolist() == [
        "took over the weights and settings of trial 1, whose val_accuracy was 0.9, after 2 epochs: its val_accuracy of 0.4 was "
        "below 0.9, the worst of 2 trials that isn't to be replaced (epoch 2); changed were lr from 0.1 to 0.6"
    ]
    assert answer.table["donor"].tolist() == [1]
    assert answer.sentence == (
        "Trial 0 hasn't ended, it is under way or waits for a resume: it has trained 2 of 9 epochs, and its best val_accuracy "
        "is 0.8."
    )


DIVERGED = [drawn(0, {"lr": 9.0}), epoch(0, 1, 0.5), trained(0, record(2, math.nan, 0.1, math.nan, math.nan))]


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (trial(0, 0.5, 0.9, 0.8), "trained all its 3 epochs; its best val_accuracy, 0.9, was that of epoch 2."),
        (
            [*trial(0, 0.5, 0.5)[:-1], ended(0, reason="patience")],
            "finished after 2 of 3 epochs, since its patience was over: its val_accuracy was no better for 1 epoch; its best "
            "val_accuracy, 0.5, was that of epoch 2.",  # the lower loss
        ),
        ([*DIVERGED, ended(0, "diverged")], "diverged in epoch 2: its train_loss became nan."),
        (
            [drawn(0), epoch(0, 1, 0.5), ended(0, "failed", error="ValueError: no")],
            "failed after 1 epoch: ValueError: no",
        ),
        ([drawn(0), ended(0, "failed", error=" ")], "failed after 0 epochs: its error is not known"),
        (
            [drawn(0), epoch(0, 1, 0.5), ended(0, "stopped", reason="time budget")],
            "was stopped after 1 epoch: the time budget of the study was used up.",
        ),
        (
            [drawn(0), epoch(0, 1, 0.5), ended(0, "stopped", reason="interruption")],
            "was stopped after 1 epoch: the search was interrupted.",
        ),
        (
            [drawn(0), epoch(0, 1, 0.5), ended(0, "stopped", reason="scheduler")],
            "was stopped after 1 epoch by the scheduler; the journal doesn't say with whom it was compared.",
        ),
        ([drawn(0)], "hasn't ended, it is under way or waits for a resume: it has trained no epoch."),
    ],
    ids=["all epochs", "patience", "diverged", "failed", "no error", "time", "interrupted", "old", "open"],
)
def test_every_end_has_its_sentence(events: list[Event], said: str) -> None:
    answer = why([started(), *events], 0)
    assert answer.sentence == f"Trial 0 {said}"
    assert answer.table.empty
    trained_none = not any(isinstance(event, Trained) for event in events)
    assert ("came to no rung" if trained_none else "holds no decisions: the study's scheduler") in answer.notes[0]
    assert "earlier version" not in answer.notes[0]
    json.dumps(answer.to_dict(), allow_nan=False)


def test_a_divergence_names_the_fold_and_shows_the_parameters() -> None:
    folds = trained(0, record(1, 1.0, 0.5, 1.0, 0.5), record(1, 1.0, 0.5, math.inf, 0.5, fold=1))
    answer = why([started(), drawn(0, {"lr": 9.0}), folds, ended(0, "diverged")], 0)
    assert answer.sentence == "Trial 0 diverged in epoch 1: its val_loss became inf in fold 1."
    assert "Its parameters: lr 9." in answer.notes


def test_a_trial_on_which_nothing_was_decided_says_so() -> None:
    events = [*at_a_rung([0.81, 0.7]), *trial(2, 0.5)]
    assert why(events, 2).notes[0].startswith("The scheduler decided nothing on this trial")


def test_a_trial_that_failed_before_its_first_epoch_came_to_no_rung() -> None:
    failed = [drawn(2), ended(2, "failed", error="ValueError: no")]
    for events in ([*at_a_rung([0.81, 0.7]), *failed], [started(), *failed]):
        answer = why(events, 2)
        assert answer.sentence == "Trial 2 failed after 0 epochs: ValueError: no"
        assert answer.notes[0] == (
            "The scheduler decided nothing on this trial, which trained no epoch and so came to no rung."
        )


def test_a_lost_worker_is_told_of() -> None:
    events = [started(), drawn(0), WorkerLost(0, 1), *trial(0, 0.5)[1:]]
    assert "Its worker was lost once, and it went on with another." in why(events, 0).notes


def test_a_run_of_format_1_holds_no_decisions_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["why", str(OLD), "0"]) == 0
    said = capsys.readouterr().out
    assert "The journal is of format 1, which holds no decisions" in said
    assert said.endswith("Read from the journal.\n")
    assert "audit" not in said


def test_the_command_and_python_give_the_same_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "journal.jsonl", at_a_rung([0.81, 0.95, 0.7]))
    frame = Results.load(tmp_path).why(2)
    assert cli.main(["why", str(tmp_path), "2", "--to", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["sentence"] == frame.attrs["sentence"]
    assert said["rows"][0]["ahead"] == frame["ahead"][0] == "1, 0"
    assert (said["trial"], said["state"], said["metric"]) == (2, "stopped", "val_accuracy")
    assert cli.main(["why", str(tmp_path), "2"]) == 0
    assert capsys.readouterr().out.startswith("Trial 2 was stopped after 3 epochs")


def test_the_command_reads_the_journal_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "journal.jsonl", at_a_rung([0.81, 0.95, 0.7]))
    (tmp_path / "run.json").write_bytes(b"\x93")
    (tmp_path / "study.yaml").write_bytes(b"[")
    assert cli.main(["why", str(tmp_path), "2"]) == 0
    assert capsys.readouterr().out.startswith("Trial 2 was stopped after 3 epochs")


def test_a_table_alone_has_no_decisions() -> None:
    table = pd.DataFrame({"lr": [0.1, 0.2], "score": [0.5, 0.6]})
    with pytest.raises(RunFolderError, match="is a table alone: this needs a run's folder"):
        Results.from_table(table, "score", "max", ["lr"]).why(0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["why", "RUN", "9"], "trial 9: the run has no such trial; it has 3, from 0 to 2"),
        (["why", "RUN", "-1"], "trial -1: the run has no such trial"),
        (["why", "trials.csv", "1"], "trials.csv is a table, which holds no decisions: name the run itself"),
        (["why", "nowhere", "1"], "no run's folder nowhere"),
    ],
)
def test_a_wrong_request_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    write(tmp_path / "journal.jsonl", at_a_rung([0.81, 0.95, 0.7]))
    assert cli.main([str(tmp_path) if word == "RUN" else word for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
