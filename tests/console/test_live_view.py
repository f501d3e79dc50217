"""What a person sees while a study runs, and at its end."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from tune_mlp.console.board import Board, Display
from tune_mlp.console.formatting import clock, described
from tune_mlp.console.live_view import LiveView, PlainLines, make_display, picture
from tune_mlp.records import TrialState


def board() -> Board:
    return Board("a study", "val_accuracy", "max", trials=4, epochs=10)


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100)


def printed(at: Console) -> str:
    assert isinstance(at.file, io.StringIO)
    return at.file.getvalue()


@pytest.mark.parametrize(
    ("terminal", "quiet", "kind"),
    [(True, False, LiveView), (False, False, PlainLines), (True, True, Display), (False, True, Display)],
)
def test_a_display_is_chosen_for_where_it_is_shown(terminal: bool, quiet: bool, kind: type[Display]) -> None:
    assert type(make_display(console(terminal), quiet)) is kind


def test_the_board_counts_trials_epochs_and_the_best() -> None:
    display = Display()
    display.begin(board())
    for trial in (0, 1):
        display.trial_started(trial, {"lr": 0.1})
        display.trial_trained(trial, 5, 5, 0.5 + trial / 10, 0.5 + trial / 10)
    assert display.board.done == 1.0
    display.trial_ended(0, TrialState.STOPPED, "")
    assert display.board.done == 1.5
    assert display.board.epochs_trained == 10
    assert display.board.best == (1, 0.6, {"lr": 0.1})
    assert display.board.seconds_left() is not None


@pytest.mark.parametrize("state", [TrialState.DIVERGED, TrialState.FAILED])
def test_a_trial_that_diverged_or_failed_is_no_longer_the_best(state: TrialState) -> None:
    display = Display()
    display.begin(board())
    for trial, value in enumerate((0.5, 0.9)):
        display.trial_started(trial, {"lr": 0.1})
        display.trial_trained(trial, 5, 5, value, value)
    assert display.board.best == (1, 0.9, {"lr": 0.1})
    display.trial_ended(1, state, "")
    assert display.board.best == (0, 0.5, {"lr": 0.1})


def test_of_equal_values_the_lowest_number_leads_in_whatever_order_they_come() -> None:
    display = Display()
    display.begin(board())
    for trial in (3, 1, 2):
        display.trial_started(trial, {"lr": 0.1})
        display.trial_trained(trial, 5, 5, 0.5, 0.5)
    assert display.board.best == (1, 0.5, {"lr": 0.1})


def test_a_trial_that_takes_over_other_settings_loses_its_old_value() -> None:
    display = Display()
    display.begin(board())
    display.trial_started(0, {"lr": 0.1})
    display.trial_trained(0, 5, 5, 0.9, 0.9)
    display.trial_started(0, {"lr": 0.2})
    assert display.board.best is None


def test_progress_lines_say_what_the_time_budget_leaves() -> None:
    at = console(terminal=False)
    display = PlainLines(at)
    display.begin(dataclasses.replace(board(), time_budget=3600.0))
    display.trial_started(0, {"lr": 0.1})
    display.trial_ended(0, TrialState.STOPPED, "")
    assert printed(at).endswith(" of the time budget left\n")
    left = display.board.seconds_left()
    assert left is not None
    assert left <= 3600


def test_a_narrow_board_leaves_out_the_parameters() -> None:
    display = Display()
    display.begin(board())
    display.trial_started(0, {"lr": 0.1})
    display.trial_trained(0, 3, 3, 0.5, 0.5)
    at = Console(file=io.StringIO(), width=50)
    at.print(picture(display.board, 50))
    assert "best_val_accuracy 0.5000" in printed(at)
    assert "lr" not in printed(at)


def test_no_time_is_promised_before_there_is_a_pace() -> None:
    assert board().seconds_left() is None


def test_a_plain_line_says_how_a_trial_ended_and_which_is_best() -> None:
    at = console(terminal=False)
    display = PlainLines(at)
    display.begin(board())
    display.trial_started(2, {"lr": 0.00123456, "optimizer.sgd.momentum": 0.9})
    display.trial_trained(2, 10, 10, 0.75, 0.8)
    display.trial_ended(2, TrialState.FINISHED, "")
    display.trial_started(3, {"lr": 1.0})
    display.trial_ended(3, TrialState.FAILED, "out of memory")
    lines = printed(at).splitlines()
    assert lines[0] == "a study"
    assert lines[1].startswith("[1/4] trial 2 finished after 10 epochs  val_accuracy 0.7500  lr 0.00123, momentum 0.9")
    assert lines[1].endswith("best_val_accuracy 0.8000 (trial 2)")
    assert "trial 3 failed after 0 epochs  out of memory" in lines[2]


def test_the_live_picture_has_the_running_trials_and_the_best() -> None:
    at = console(terminal=True)
    view = LiveView(at)
    view.begin(board())
    view.trial_started(0, {"lr": 0.1})
    view.trial_trained(0, 3, 3, 0.5, 0.5)
    text = console(terminal=False)
    text.print(picture(view.board, 100))
    view.finish()
    assert "0/4" in printed(text)
    assert "epoch 3/10" in printed(text)
    assert "best so far  best_val_accuracy 0.5000" in printed(text)


def test_values_and_times_are_short() -> None:
    assert described({"lr": 0.000123456, "widths": (64, 32), "batch_size": 16}) == (
        "lr 0.000123, widths [64, 32], batch_size 16"
    )
    assert [clock(5), clock(65), clock(3725)] == ["0:05", "1:05", "1:02:05"]


@pytest.mark.parametrize(("xterm", "wrapped"), [(False, 3), (True, 0)])
def test_a_terminal_that_became_narrower_shows_nothing_of_the_old_board(
    monkeypatch: pytest.MonkeyPatch, xterm: bool, wrapped: int
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("XTERM_VERSION", raising=False)
    if xterm:  # which cuts long lines off, where other terminals wrap them
        monkeypatch.setenv("XTERM_VERSION", "XTerm(400)")
    at = Console(file=io.StringIO(), force_terminal=True, width=100, height=30)
    view = LiveView(at)
    view.begin(board())
    for trial in range(2):
        view.trial_started(trial, {"widths": (64,) * 12, "activation": "leaky_relu", "optimizer": "adam"})
    view._live.refresh()  # the summary, two trials of 100 characters each, and an empty row
    before = len(printed(at))
    at.width = 50
    view._live.refresh()
    rows_up = printed(at)[before:].count("\x1b[1A")
    view.finish()
    assert rows_up == 3 + wrapped
