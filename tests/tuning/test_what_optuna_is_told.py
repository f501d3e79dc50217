"""What Optuna's samplers are told for a draw: how many trials, in which records, and which of an earlier run."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import optuna
import pytest

from tests.studies import study
from tune_mlp.records import TrialState
from tune_mlp.results.journal import Drawn, Ended, Told
from tune_mlp.runs.history import NO_HISTORY, History
from tune_mlp.space.space import Params
from tune_mlp.tuning import optuna_source
from tune_mlp.tuning.optuna_source import OptunaSource

SPACE: dict[str, Any] = {
    "lr": {"log": [1e-4, 1e-1]},
    "optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0.0, 0.9]}}, "adam": {}}},
}


def source(history: History = NO_HISTORY, **settings: Any) -> OptunaSource:
    given = {"search": {"tpe": {"startup": 4}}, "space": SPACE, "trials": 40, **settings}
    found = OptunaSource(study(**given).bound("classification"))
    found.learn(history)
    return found


def score(params: Params) -> float:
    rate = params["lr"]
    assert isinstance(rate, float)
    return 1 - abs(math.log10(rate) + 2) - 0.1 * (params["optimizer"] == "adam")


def end(it: OptunaSource, trial: int, value: float, state: TrialState = TrialState.FINISHED) -> None:
    it.close(trial, state, value, {1: value})


def outcomes(it: OptunaSource, trial: int) -> list[float | None]:
    """Return the values of the trials that the sampler is told of for a draw."""
    return [one.value for one in it._study(trial, {}).get_trials(deepcopy=False)]


def test_records_that_are_shared_stay_as_they_are_and_give_the_same_draws_as_copies() -> None:
    shared, copied = source(), source()
    copied._new_record = optuna.trial.FrozenTrial
    for trial in range(16):
        before = deepcopy({number: vars(record) for number, record in shared._known.items()})
        params = shared.draw(trial, {})
        assert params == copied.draw(trial, {})
        assert {number: vars(record) for number, record in shared._known.items() if number < trial} == before
        if trial % 4 != 3:  # the others go on
            end(shared, trial, score(params), TrialState.STOPPED if trial % 4 == 2 else TrialState.FINISHED)
            end(copied, trial, score(params), TrialState.STOPPED if trial % 4 == 2 else TrialState.FINISHED)


@pytest.mark.parametrize("mode", ["max", "min"])
def test_of_too_many_trials_the_best_half_and_the_latest_others_are_told(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(optuna_source.MOST_TOLD, "tpe", 6)
    it, sign = source(metric="val_accuracy", mode=mode), 1 if mode == "max" else -1
    values = [sign * value for value in (0.9, 0.1, 0.8, 0.2, 0.3, 0.7, 0.4, 0.5)]
    for trial, value in enumerate(values):
        it.draw(trial, {})
        end(it, trial, value)
    it.draw(8, {})
    assert outcomes(it, 9) == [*(sign * value for value in (0.9, 0.8, 0.3, 0.7, 0.4, 0.5)), None]


def test_a_trial_that_ended_ranks_above_those_that_were_stopped_and_these_by_their_last_epochs() -> None:
    it = source()
    for trial, (state, curve) in enumerate(
        [
            (TrialState.STOPPED, {1: 0.9}),
            (TrialState.DIVERGED, {1: 0.9}),
            (TrialState.STOPPED, {1: 0.1, 3: 0.2}),
            (TrialState.FINISHED, {9: 0.3}),
            (TrialState.STOPPED, {1: 0.8}),
        ]
    ):
        it.draw(trial, {})
        it.close(trial, state, None, curve)
    assert sorted(it._known, key=lambda trial: it._place(it._known[trial])) == [3, 2, 0, 4, 1]


def warm(*ends: float) -> OptunaSource:
    """Return a source with two named draws and 20 earlier trials, after draws with these scores."""
    told = tuple(Told({"lr": 0.001 * (1 + i), "optimizer": "adam"}, 5.0 - i) for i in range(20))
    first = [{"lr": 0.05, "optimizer": "adam"}, {"lr": 0.06, "optimizer": "adam"}]
    it = source(History(told=told), first=first)
    for trial, value in enumerate(ends):
        it.draw(trial, {})
        end(it, trial, value)
    return it


def test_an_earlier_run_is_left_out_unless_its_best_draws_do_better_than_those_made_without_it() -> None:
    assert len(outcomes(warm(0.5, 0.6), 3)) == 22
    assert len(outcomes(warm(0.5, 0.6, 0.1), 3)) == 23
    assert outcomes(warm(0.5, 0.6, 0.9), 3) == [0.5, 0.6, 0.9]
    assert outcomes(warm(0.5, 0.6, 0.55), 3) == [0.5, 0.6, 0.55], "nor if they do as well"
    assert outcomes(warm(0.5, 0.6), 2) == [0.5, 0.6], "the first draw that isn't named"
    assert outcomes(warm(0.5, 0.6, 0.1, 0.7, 0.7, 0.7), 6) == [0.5, 0.6, 0.1, 0.7, 0.7, 0.7], (
        "and every fourth after it"
    )
    assert len(outcomes(warm(0.5, 0.6, 0.9, 0.1, 0.1, 0.1, 0.1), 7)) > 7, "it may come back"


def test_an_earlier_trial_counts_as_the_trial_of_the_run_that_has_its_rank() -> None:
    found = outcomes(warm(0.5, 0.6, 0.1), 3)[:-3]
    assert found[0] == 0.6
    assert found[-1] == 0.1
    assert found == sorted(found, reverse=True)
    it = warm(0.5, 0.6)
    it.draw(2, {})
    end(it, 2, 0.4, TrialState.STOPPED)
    earlier = it._study(3, {}).get_trials(deepcopy=False)[:-3]
    assert {one.value for one in earlier if one.state.name == "COMPLETE"} >= {0.6, 0.5}
    assert {one.intermediate_values.get(1) for one in earlier if one.state.name == "PRUNED"} == {0.4}


def test_each_score_of_the_run_takes_the_place_of_an_earlier_trial() -> None:
    it = warm(*[0.5] * 2, *[0.1] * 15)
    assert len(outcomes(it, 17)) == 30
    assert len(it._earlier) == 20


def test_a_trial_that_was_stopped_before_its_first_epoch_says_nothing() -> None:
    for search in ("tpe", "gp"):
        history = History(drawn={0: Drawn(0, {"lr": 0.01}, 0)}, ended={0: Ended(0, TrialState.STOPPED, 0.0, "")})
        it = source(history, search=search, space={"lr": SPACE["lr"]})
        assert [record.state.name for record in it._told({}).values()] == ["FAIL"]
