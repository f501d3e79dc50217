"""What the recorder writes for what Ray tells it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.results.journals import decided
from tests.studies import Memory
from tune_mlp.console.board import Board
from tune_mlp.records import EpochRecord, TrialState
from tune_mlp.results.journal import Drawn, Ended, Event, Started, WorkerLost
from tune_mlp.results.journal_reader import read
from tune_mlp.results.outcomes import OUTCOMES, Outcomes, read_outcomes, to_line
from tune_mlp.results.storage import FolderStorage
from tune_mlp.results.tables import build_tables, rank
from tune_mlp.runs.history import NO_HISTORY, History, history_of
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.training import checkpoint
from tune_mlp.tuning.recorder import KeptFiles, Recorder
from tune_mlp.tuning.report import Report
from tune_mlp.tuning.trial_files import state_file, step_files, steps_file, weights_file

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates


LEADER_ALONE = KeptFiles()


class Play:
    """A stand-in for Ray Tune that calls the recorder."""

    def __init__(
        self,
        folder: Path,
        kept: KeptFiles = LEADER_ALONE,
        slots: int = 1,
        trials: int = 3,
        journal: Journal | None = None,
        history: History = NO_HISTORY,
    ) -> None:
        self.folder = folder
        self.display = Memory()
        self.display.begin(Board("", "val_accuracy", "max", trials=9, epochs=9))
        self.journal = journal or Journal.create(folder / "journal.jsonl")
        if journal is None:
            self.journal.append(Started("s", "classification", "val_accuracy", "max", 9, "eager", 10, 0, "digits", ""))
        self.said: list[str] = []
        self.recorder = Recorder(
            self.journal,
            self.display,
            FolderStorage(folder),
            kept,
            on_start=lambda: None,
            on_last_starts=lambda: self.said.append("last starts"),
            trials=trials,
            slots=slots,
            history=history,
        )

    def trial(self, number: int) -> Any:
        return SimpleNamespace(
            config={"trial": number, "seed": number, "params": {"lr": 0.1}},
            last_result={"seconds": 1.0},
            get_pickled_error=lambda: None,
            run_metadata=SimpleNamespace(num_failures=0),
        )

    def start(self, number: int) -> None:
        self.recorder.on_trial_start(0, [], self.trial(number))

    def result(self, number: int, value: float, state: str = "stopped", error: str = "", outcomes: bytes = b"") -> None:
        (self.folder / weights_file(number, 1)).touch()
        metrics = dict.fromkeys(("train_loss", "train_accuracy", "val_loss", "val_accuracy"), value)
        report = Report(
            epoch=1,
            state=TrialState(state),
            node="here",
            seconds=1.0,
            records=[EpochRecord(1, 0, metrics, 1, 0.1, 0.1)],
            best=value,
            weights=5,
            error=error,
            outcomes=outcomes,
        )
        self.recorder.on_trial_result(0, [], self.trial(number), report.to_ray("val_accuracy", "max"))

    def trials(self) -> Any:
        return build_tables(read(self.folder / "journal.jsonl"))[0]

    def kept(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("best-*"))


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path)


def test_a_row_is_on_disk_before_the_next_thing_happens(play: Play) -> None:
    play.start(0)
    play.result(0, 0.5)
    assert list(play.trials()["val_accuracy"]) == [0.5]


def test_a_trial_ends_once_whatever_ray_says_later(play: Play) -> None:
    play.start(0)
    play.result(0, 0.5, "finished")
    play.recorder.on_trial_complete(0, [], play.trial(0))
    play.recorder.on_trial_error(0, [], play.trial(0))
    assert list(play.trials()["state"]) == ["finished"]
    assert play.display.states == {0: TrialState.FINISHED}


def test_a_lost_worker_is_written_with_how_many_trials_there_were_also_of_a_trial_that_had_not_begun(
    play: Play,
) -> None:
    play.start(0)
    play.recorder.on_trial_recover(0, [play.trial(0)], play.trial(0))
    play.recorder.on_trial_recover(0, [play.trial(0), play.trial(1)], play.trial(1))
    _, first, *others = read(play.folder / "journal.jsonl")
    assert isinstance(first, Drawn)
    assert others == [WorkerLost(0, 1), replace(first, trial=1, seed=1), WorkerLost(1, 2)]


def test_each_decision_is_written_and_of_those_told_again_only_the_new(play: Play) -> None:
    first, again, new = (decided(0, epoch, competed=n) for epoch, n in ((1, 2), (1, 3), (2, 3)))
    recorder = play.recorder
    play.start(0)
    recorder._decisions, recorder._decided = [first, new], {(0, 1)}
    recorder.write_decisions(told_again=True)
    recorder._decisions.extend([first, again])
    recorder.write_decisions()
    assert read(play.folder / "journal.jsonl")[2:] == [new, first, again]


def test_it_is_said_once_that_the_last_trials_begin(tmp_path: Path) -> None:
    """Two for each that runs at once, and not of the first ones, while workers start."""
    for slots, begun in ((1, 7), (2, 5), (3, 4), (8, 9), (9, 9)):
        folder = tmp_path / str(slots)
        folder.mkdir()
        play = Play(folder, slots=slots, trials=9)
        for started in range(9):
            assert (play.said != []) == (started >= begun)
            play.start(started)
            play.result(started, 0.5, "finished")
        play.start(8)
        assert play.said == ["last starts"]


def test_only_the_leaders_weights_are_kept(play: Play) -> None:
    for number, (value, state) in enumerate(
        [
            (0.5, "finished"),
            (0.7, "finished"),
            (0.6, "finished"),
            (0.9, "diverged"),
            (0.95, "failed"),
            (0.7, "finished"),
        ]
    ):
        play.start(number)
        play.result(number, value, state)
    assert play.kept() == ["best-00001-000001.pt"]


def test_the_weights_of_all_that_may_be_tested_are_kept_where_all_are(tmp_path: Path) -> None:
    play = Play(tmp_path, KeptFiles(weights=True))
    for number, (value, state) in enumerate(
        [(0.5, "finished"), (0.7, "finished"), (0.6, "finished"), (0.9, "diverged")]
    ):
        play.start(number)
        play.result(number, value, state)
    assert play.kept() == ["best-00000-000001.pt", "best-00001-000001.pt", "best-00002-000001.pt"]


def test_the_steps_of_all_but_the_leader_go_unless_all_are_wanted(tmp_path: Path) -> None:
    for wanted, left in ((False, [1]), (True, [0, 1, 2])):
        folder = tmp_path / str(wanted)
        folder.mkdir()
        play = Play(folder, KeptFiles(steps=wanted))
        for number, value in enumerate([0.5, 0.7, 0.6]):
            play.start(number)
            for epoch in (1, 2):
                (folder / steps_file(number, epoch)).touch()
            play.result(number, value, "finished")
        assert [len(list(folder.glob(step_files(number)))) for number in range(3)] == [
            2 * (n in left) for n in range(3)
        ]


def test_of_equals_the_first_drawn_leads_whichever_ends_first(play: Play) -> None:
    for number in (2, 0, 1):
        play.start(number)
        play.result(number, 0.9, "finished")
    assert play.kept() == ["best-00000-000001.pt"]
    assert rank(play.trials(), "val_accuracy", "max")["trial"][0] == 0


def test_a_trial_that_begins_anew_counts_its_seconds_and_only_its_new_epochs(play: Play) -> None:
    play.start(0)
    play.result(0, 0.9)
    play.start(0)
    play.result(0, 0.5, "finished")
    row = play.trials().loc[0]
    assert row["seconds"] == 2.0
    assert row["best_val_accuracy"] == 0.5


def test_what_was_best_with_other_settings_is_forgotten(play: Play) -> None:
    play.start(0)
    play.result(0, 0.9)
    changed = play.trial(0)
    changed.config["params"] = {"lr": 0.2}
    play.recorder.on_trial_start(0, [], changed)
    play.recorder.on_trial_complete(0, [], changed)
    assert play.trials()["best_val_accuracy"].isna().all()
    assert play.kept() == []


def test_what_the_scheduler_ends_is_stopped_and_may_lead(play: Play) -> None:
    play.start(3)
    play.result(3, 0.5)
    play.recorder.on_trial_complete(0, [], play.trial(3))
    assert list(play.trials()["state"]) == ["stopped"]
    assert play.kept() == ["best-00003-000001.pt"]


def test_a_lost_worker_is_a_failed_trial(play: Play) -> None:
    play.start(0)
    play.recorder.on_trial_error(0, [], play.trial(0))
    row = play.trials().loc[0]
    assert row["state"] == "failed"
    assert row["error"]
    assert "\n" not in row["error"]


def test_the_end_of_the_study_stops_what_still_ran(play: Play) -> None:
    play.start(0)
    play.result(0, 0.5)
    play.start(1)
    play.recorder.close()
    assert list(play.trials()["state"]) == ["stopped", "stopped"]


def test_settings_taken_over_on_the_way_are_recorded(play: Play) -> None:
    play.start(0)
    changed = play.trial(0)
    changed.config["params"] = {"lr": 0.2}
    play.recorder.on_trial_start(0, [], changed)
    play.recorder.on_trial_start(0, [], changed)
    assert list(play.trials()["lr"]) == [0.2]
    assert [type(event).__name__ for event in read(play.folder / "journal.jsonl")] == ["Started", "Drawn", "Drawn"]


def outcomes(number: int, epoch: int = 1, right: float = 0.5) -> bytes:
    """Return a line of outcomes."""
    return to_line(number, Outcomes(epoch, np.arange(10)[None] < 10 * right))


def test_the_outcomes_of_a_trial_are_written_before_its_end(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    path = play.folder / OUTCOMES
    written: list[bool] = []
    append = play.journal.append

    def watched(event: Event) -> None:
        if isinstance(event, Ended):
            written.append(path.exists())
        append(event)

    monkeypatch.setattr(play.journal, "append", watched)
    play.start(0)
    play.result(0, 0.4, outcomes=outcomes(0, 1, 0.4))
    play.result(0, 0.5, outcomes=outcomes(0, 2, 0.5))
    assert not path.exists(), "one line a trial"
    play.result(0, 0.3, "finished")
    assert written == [True]
    assert path.read_bytes() == outcomes(0, 2, 0.5)


def test_diverged_and_failed_trials_leave_no_outcomes(play: Play) -> None:
    for number, state in enumerate(("diverged", "failed", "stopped")):
        play.start(number)
        play.result(number, 0.5, outcomes=outcomes(number))
        if state != "stopped":
            play.result(number, 0.5, state)
    play.recorder.close()
    assert list(read_outcomes(play.folder / OUTCOMES).trials) == [2]


def test_a_trial_that_no_worker_of_this_driver_has_trained_left_its_outcomes_in_its_state(tmp_path: Path) -> None:
    play = Play(tmp_path)
    for number in range(4):
        play.start(number)
        play.result(number, 0.5, outcomes=outcomes(number))
    right = torch.tensor([[True, False, True]])
    for number, left in (
        (0, {"trainer": {"best_epoch": 1, "best_outcomes": right}}),
        (1, {"trainer": {"best_epoch": 1}}),
        (2, {}),
    ):
        checkpoint.save(tmp_path / state_file(number), left)
    (tmp_path / state_file(3)).write_bytes(b"damaged")
    history = history_of(read(play.journal.path))
    play.journal.close()
    again = Play(tmp_path, journal=Journal.resume(play.journal.path), history=history)
    again.recorder.stopped_before(history, 0)
    again.recorder.close()
    (found,) = read_outcomes(tmp_path / OUTCOMES).trials.items()
    assert found[0] == 0
    assert np.array_equal(found[1].values, right)
    again.journal.close()
