from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.results.journals import a_study, decided, drawn, ended, lines_of, record, started, trained, trial, winner
from tune_mlp.errors import RunFolderError
from tune_mlp.records import EpochRecord
from tune_mlp.results.journal import Event, Looked
from tune_mlp.results.state import JournalFollower, RunState
from tune_mlp.results.tables import rank, tables_of


def epoch(number: int, accuracy: float, loss: float = 1.0) -> EpochRecord:
    return record(number, 1.0, 0.5, loss, accuracy)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_journal_that_is_followed_as_it_grows_gives_the_state_of_the_whole(data: st.DataObject) -> None:
    import tempfile

    whole = b"".join(lines_of(a_study()))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    state = RunState()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        follower = JournalFollower(path)
        for cut in (*cuts, len(whole)):
            path.write_bytes(whole[:cut])
            for event in follower.follow():
                state.apply(event)
            assert follower.offset == whole[:cut].rfind(b"\n") + 1
        assert follower.follow() == []
    at_once = RunState.of(a_study())
    assert repr(state.trials) == repr(at_once.trials)
    assert (state.leader, state.best, state.open) == (at_once.leader, at_once.best, at_once.open)
    assert tables_of(state)[0].equals(tables_of(at_once)[0])


def test_a_follower_refuses_a_line_that_was_moved(tmp_path: Path) -> None:
    lines = lines_of(a_study())
    path = tmp_path / "j"
    path.write_bytes(b"".join(lines[:3]))
    follower = JournalFollower(path)
    assert len(follower.follow()) == 3
    path.write_bytes(b"".join([*lines[:3], lines[4]]))
    with pytest.raises(RunFolderError, match="j:4: line 4 says that it is line 5"):
        follower.follow()


def test_an_epoch_that_is_trained_again_replaces_itself_and_all_that_followed() -> None:
    first = [started(), drawn(0), trained(0, epoch(1, 0.5), epoch(2, 0.9), epoch(3, 0.8))]
    state = RunState.of([*first, trained(0, epoch(2, 0.6))])
    assert list(state.trials[0].epochs) == [1, 2]
    assert state.best_value(0) == 0.6


def test_what_was_best_before_a_trial_took_over_anothers_settings_is_not_its_best() -> None:
    events: list[Event] = [
        started(),
        drawn(0),
        trained(0, epoch(1, 0.9)),
        drawn(0, {"lr": 0.2}),
        trained(0, epoch(2, 0.5)),
    ]
    assert RunState.of(events).best_epoch(0) == 2


def test_of_equal_epochs_the_one_of_the_lower_validation_loss_is_best_and_then_the_earlier() -> None:
    events = [started(), drawn(0), trained(0, epoch(1, 0.9, 2.0), epoch(2, 0.9, 1.0), epoch(3, 0.9, 1.0))]
    assert RunState.of(events).best_epoch(0) == 2


TIES = {
    "lower loss": ((0.9, 2.0, 10), (0.9, 1.0, 99), 1),
    "smaller net": ((0.9, 1.0, 99), (0.9, 1.0, 10), 1),
    "lower number": ((0.9, 1.0, 10), (0.9, 1.0, 10), 0),
    "metric first": ((0.9, 9.0, 99), (0.8, 1.0, 10), 0),
}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the other way round"])
@pytest.mark.parametrize(("one", "other", "best"), TIES.values(), ids=TIES)
def test_leader_and_table_agree_on_ties(
    one: tuple[float, float, int], other: tuple[float, float, int], best: int, order: tuple[int, int]
) -> None:
    events: list[Event] = [started(), drawn(0), drawn(1)]
    for number, (accuracy, loss, weights) in enumerate((one, other)):
        events.append(trained(number, epoch(1, accuracy, loss), weights=weights))
    state = RunState.of(events)
    assert (state.leader, state.best) == (None, best)
    for number in order:
        state.apply(ended(number))
    assert (state.leader, state.best) == (best, best)
    assert rank(tables_of(state)[0], "val_accuracy", "max")["trial"].tolist() == [best, 1 - best]


def test_a_diverged_trial_never_leads() -> None:
    state = RunState.of([started(), *trial(0, 0.9, state="diverged"), *trial(1, 0.5)])
    assert (state.leader, state.best, state.open) == (1, 1, [])


def test_the_leader_is_known_after_its_epochs_were_let_go() -> None:
    state = RunState()
    for event in [started(), *trial(0, 0.5), *trial(1, 0.9), *trial(2, 0.7)]:
        state.apply(event)
        for number, one in state.trials.items():
            if one.ended:
                state.forget_epochs(number)
    assert (state.leader, state.best) == (1, 1)


def test_decisions_are_kept_in_their_order() -> None:
    decisions = [decided(0, 1, decision="continue"), decided(0, 3)]
    assert RunState.of([started(), drawn(0), *decisions]).decisions == decisions


def test_each_look_at_the_test_part_is_counted_and_changes_nothing_else() -> None:
    look = Looked(0, {"test_accuracy": 0.5}, "confirm", 5)
    before = [started(), *trial(0, 0.5), winner(0, {"test_accuracy": 0.75})]
    state, other = RunState.of([*before, look, look]), RunState.of(before)
    assert (other.looks, state.looks) == (1, 3)
    assert state.looked == [look, look]
    assert state.leader == other.leader == 0
    for ours, theirs in zip(tables_of(state), tables_of(other), strict=True):
        pd.testing.assert_frame_equal(ours, theirs)
