"""Why a study is stopped early."""

from __future__ import annotations

import os
import signal

import pytest

from tune_mlp.errors import ENDING
from tune_mlp.tuning.stopping import Deadline


def test_a_deadline_says_that_the_time_budget_ended_the_search() -> None:
    deadline = Deadline(0.0)
    assert not deadline.stop_all(), "no trial has begun"
    assert deadline.reason() == "scheduler"
    deadline.start()
    assert deadline.stop_all()
    assert deadline.reason() == "time budget"


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDING])
def test_every_ending_signal_stops_in_order_and_its_handler_is_put_back(number: signal.Signals) -> None:
    deadline, said = Deadline(None), []
    before = signal.getsignal(number)
    with deadline.on_signals(said.append):
        os.kill(os.getpid(), number)
        assert deadline.stop_all()
    assert deadline.signal_number == number
    assert deadline.reason() == "interruption"
    assert signal.getsignal(number) == before
