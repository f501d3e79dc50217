"""What a journal says of a run's past to the driver that goes on with it."""

from __future__ import annotations

from tests.results.journals import drawn, record, started, trained
from tune_mlp.results.journal import Event
from tune_mlp.runs.history import history_of
from tune_mlp.training.patience import Patience


def accuracy(epoch: int, value: float) -> Event:
    return trained(0, record(epoch, 0.5, 0.5, 0.5, value))


PATIENCE = Patience(2, "max")


def test_a_trial_whose_patience_is_over_was_at_its_end() -> None:
    history = history_of([started(), drawn(0), accuracy(1, 0.9), accuracy(2, 0.5), accuracy(3, 0.6)])
    assert history.at_its_end(0, epochs=9, patience=PATIENCE)
    assert not history.at_its_end(0, epochs=9, patience=Patience(3, "max"))
    assert history.at_its_end(0, epochs=3, patience=Patience(None, "max"))


def test_the_patience_of_a_trial_begins_anew_when_it_takes_over_another_one() -> None:
    events = [started(), drawn(0), accuracy(1, 0.9), accuracy(2, 0.5), drawn(0, {"lr": 0.2})]
    assert not history_of(events).at_its_end(0, epochs=9, patience=PATIENCE)
    events.append(accuracy(3, 0.6))
    assert not history_of(events).at_its_end(0, epochs=9, patience=PATIENCE)
    assert history_of(events).curve_since_taken_over(0) == {3: 0.6}
    events += [accuracy(4, 0.5), accuracy(5, 0.5)]
    assert history_of(events).at_its_end(0, epochs=9, patience=PATIENCE)
