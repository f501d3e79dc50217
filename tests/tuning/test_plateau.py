"""A search ends on a plateau: rarely too early, early where nothing is left to gain, and as its journal says."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.results.journals import decided, drawn, ended, record, started, trained
from tests.studies import study
from tests.tuning.played_runs import World, play, play_on
from tune_mlp.console.formatting import estimate_said
from tune_mlp.errors import StudyError, UsageError
from tune_mlp.results.journal import Drawn, Estimated, Event, Resumed
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.results.state import RunState
from tune_mlp.runs.history import history_of
from tune_mlp.study.study import Study
from tune_mlp.tuning.audit import audit
from tune_mlp.tuning.plateau import FIRST, GROWTH, estimate, wrong_estimates
from tune_mlp.tuning.run import More

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

Floats = NDArray[np.float64]
PLATEAU = {"until": {"plateau": 1.0}, "trials": 200}
SCHEDULERS: dict[str, Any] = {
    "fifo": "fifo",
    "asha": {"asha": {"reduction_factor": 2}},
    "promotion_asha": {"promotion_asha": {"reduction_factor": 2}},
    "pasha": {"pasha": {"reduction_factor": 2}},
    "top_k": {"top_k": {"after": 2, "keep": 4}},
    "median": {"median": {"grace_period": 2, "min_samples": 2}},
}


class Ceiling(World):
    """A world in which every third trial comes to within a thousandth of a height that none exceeds."""

    def score(self, number: int, epoch: int) -> float:
        height = np.random.default_rng([self.seed, number]).random()
        top = 0.9 - 0.001 * height if number % 3 else 0.8 * height
        return round(float(top * (1 - 0.5 / epoch)), 6)


def a_run(scores: Floats, metric: str = "val_accuracy") -> list[Event]:
    """Return the events of trials of one epoch with these scores."""
    events: list[Event] = [started(metric=metric, mode="min" if metric == "val_loss" else "max")]
    for number, score in enumerate(scores):
        events += [drawn(number), trained(number, record(1, 0.5, 0.5, float(score), float(score))), ended(number)]
    return events


def estimates_of(events: list[Event]) -> list[Estimated]:
    return [event for event in events if isinstance(event, Estimated)]


def searched(scores: Floats, settings: dict[str, Any]) -> tuple[list[Estimated], int]:
    """Return the estimates of a search with these scores, and the number of trials at its end."""
    bound = study(**settings).bound("classification")
    state = RunState()
    for event in a_run(scores[:0]):
        state.apply(event)
    for number in range(len(scores) + 1):
        if found := estimate(bound, state):
            state.apply(found)
        if state.plateau or number == len(scores):
            break
        for event in a_run(scores[: number + 1])[1 + 3 * number :]:
            state.apply(event)
    return state.estimates, len(state.trials)


def test_fewer_than_twenty_trials_never_end_a_search() -> None:
    estimates, count = searched(np.full(FIRST - 1, 0.9), PLATEAU)
    assert (estimates, count) == ([], FIRST - 1)


def test_a_search_with_nothing_left_to_gain_ends_at_its_first_estimate() -> None:
    random = np.random.default_rng(0)
    estimates, count = searched(0.9 - 0.0005 * random.random(200), PLATEAU)
    assert count == FIRST
    assert [one.ends for one in estimates] == [True]
    assert estimates[0].high < estimates[0].small == pytest.approx(0.01)


def test_a_search_that_still_gains_is_asked_only_when_its_trials_are_half_as_many_again() -> None:
    scores = np.linspace(0.1, 0.9, 110)  # each trial is better than all before it
    estimates, count = searched(scores, PLATEAU)
    assert count == 110
    assert [one.trials for one in estimates] == [20, 30, 45, 68, 102]
    assert not any(one.ends for one in estimates)
    assert all(after.trials >= GROWTH * before.trials for before, after in itertools.pairwise(estimates))


def test_what_the_later_half_brought_speaks_against_an_end_too() -> None:
    """All scores but the last few are equal: the tail alone would see nothing to gain."""
    scores = np.array([0.5] * 11 + [0.9] * 9)
    estimates, _ = searched(scores, PLATEAU)
    assert estimates[0].high < estimates[0].small < estimates[0].latest == pytest.approx(0.4)
    assert not estimates[0].ends


TAILS: dict[str, Callable[[Floats], Floats]] = {
    "flat": lambda u: u,
    "steep": lambda u: 1 - (1 - u) ** 0.25,
    "endless": lambda u: -0.1 * np.log1p(-u),
}


@pytest.mark.parametrize("tail", TAILS)
def test_false_alarms_are_held_over_all_estimates_of_a_search(tail: str) -> None:
    """More than what is small would still have come from as many trials again in 5 of 100 searches at most; see
    benchmarks/plateau.py for more searches. Each search is asked for many sizes of what is small."""
    from benchmarks.plateau import false_alarms

    found = false_alarms(TAILS[tail], searches=60, most=160, seed=2)
    assert found.ended.max() > 0.5, "it does end where what is small is large"
    assert found.false.max() <= 0.05 + 2 * (0.05 * 0.95 / 60) ** 0.5


def test_a_search_that_learns_is_judged_by_its_later_half_and_twice_as_late() -> None:
    random = np.random.default_rng(1)
    scores = 0.9 - 0.0005 * random.random(60)
    estimates, count = searched(scores, {**PLATEAU, "search": "tpe"})
    assert count == 2 * FIRST
    assert estimates[0].ends
    apart = np.concatenate([scores[:20], 0.7 + 0.1 * random.random(40)])
    estimates, _ = searched(apart, {**PLATEAU, "search": "tpe"})
    assert estimates[0].high < searched(apart[20:], {**PLATEAU, "search": "tpe"})[0][0].high


def test_given_first_trials_are_no_draws() -> None:
    scores = 0.9 - 0.0005 * np.random.default_rng(1).random(60)
    first = [{"lr": 0.01}, {"lr": 0.02}]
    estimates, count = searched(scores, {**PLATEAU, "first": first})
    assert (estimates[0].trials, count) == (FIRST, FIRST + 2)


@pytest.mark.parametrize(
    ("metric", "small"), [("val_accuracy", 0.005), ("val_loss", 0.005 * 0.5), ("val_roc_auc", 0.005)]
)
def test_what_is_small_is_in_points_of_shares_and_else_a_part_of_the_best(metric: str, small: float) -> None:
    settings = {"until": {"plateau": 0.5}, "metric": metric, "trials": 200}
    bound = study(**settings).bound("classification")
    state = RunState.of(a_run(0.5 + 0.1 * np.arange(20), "val_loss" if metric == "val_loss" else "val_accuracy"))
    found = estimate(bound, state)
    assert found is not None
    assert found.small == pytest.approx(small)


def test_trials_under_way_are_not_judged_and_paused_ones_are() -> None:
    bound = study(**PLATEAU).bound("classification")
    events = a_run(0.9 - 0.0005 * np.random.default_rng(0).random(20))
    assert estimate(bound, RunState.of(events[:-1])) is None
    assert estimate(bound, RunState.of([*events[:-1], decided(19, 1, decision="pause")])) is not None
    again = [*events[:-1], decided(19, 1, decision="pause"), decided(19, 1, decision="promote")]
    assert estimate(bound, RunState.of(again)) is None


@pytest.mark.parametrize(
    "settings", [{"search": "grid", "space": {"lr": {"grid": [0.1, 0.2]}}, "trials": None}, {"scheduler": "hyperband"}]
)
def test_draws_that_do_not_come_one_after_the_other_have_no_plateau(settings: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match="until: a plateau is judged from draws that come one after the other"):
        Study.from_dict({"data": {"name": "digits"}, "space": {}, "until": "plateau", **settings})


@pytest.mark.parametrize("text", ["plateau", {"plateau": 0.1}, {"plateau": {"small": 0.1}}])
def test_a_plateau_may_be_said_in_three_ways(text: Any) -> None:
    found = Study.from_dict({"data": {"name": "digits"}, "space": {}, "until": text})
    assert found.until.plateau
    assert found.until.plateau.small == 0.1
    assert Study.from_text(found.dump()).until == found.until


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_run_ends_on_its_plateau_and_every_trial_comes_to_its_end(tmp_path: Path, scheduler: str) -> None:
    world = Ceiling(tmp_path / scheduler)
    folder = play(world, study(**PLATEAU, epochs=4, scheduler=SCHEDULERS[scheduler]))
    events, results = read(folder / "journal.jsonl"), Results.load(folder)
    last = estimates_of(events)[-1]
    assert last.ends
    place = events.index(last)
    assert not any(isinstance(event, Drawn) for event in events[place:])
    assert 20 <= len(results.trials) < 60
    assert not history_of(events).open, "those that were begun have ended"
    assert set(results.trials["state"]) <= {"finished", "stopped"}
    answer = audit(results)
    assert answer.facts["differ"] == 0, answer.sentence
    assert "estimates" in set(answer.table["check"])


@pytest.mark.parametrize("scheduler", ["fifo", "promotion_asha", "top_k"])
def test_a_killed_run_draws_no_more_after_its_plateau(tmp_path: Path, scheduler: str) -> None:
    settings = study(**PLATEAU, epochs=4, scheduler=SCHEDULERS[scheduler])
    events = read(play(Ceiling(tmp_path / "whole"), settings) / "journal.jsonl")
    place = events.index(estimates_of(events)[-1])
    for turn, lines in enumerate((place - 1, place, place + 4)):
        world = Ceiling(tmp_path / str(turn))
        play(world, settings, kill_after=lines)
        folder = play_on(world)
        resumed = read(folder / "journal.jsonl")
        known = [event for event in resumed[: lines + 1] if isinstance(event, Estimated) and event.ends]
        begun = {event.trial for event in resumed if isinstance(event, Drawn)}
        if known:
            assert begun == {event.trial for event in resumed[: lines + 1] if isinstance(event, Drawn)}
        assert len(begun) < 60
        assert not history_of(resumed).open
        answer = audit(Results.load(folder))
        assert answer.facts["differ"] == 0, answer.sentence


def test_a_run_that_has_ended_on_a_plateau_draws_on_where_it_is_asked_to(tmp_path: Path) -> None:
    world = Ceiling(tmp_path / "run")
    before = len(Results.load(play(world, study(**PLATEAU, epochs=3))).trials)
    results = Results.load(play_on(world, "+5"))
    assert len(results.trials) == before + 5
    assert audit(results).facts["differ"] == 0
    results = Results.load(play_on(world, f"{before + 9}", until="trials"))
    assert len(results.trials) == before + 9
    assert audit(results).facts["differ"] == 0


def test_an_audit_names_an_estimate_that_was_changed_and_a_draw_after_the_end(tmp_path: Path) -> None:
    folder = play(Ceiling(tmp_path / "run"), study(**PLATEAU, epochs=3))
    bound, events = Study.load(folder / "study.yaml").bound("classification"), read(folder / "journal.jsonl")
    assert not list(wrong_estimates(bound, events))
    place = events.index(estimates_of(events)[-1])
    one = events[place]
    assert isinstance(one, Estimated)
    for name in ("trials", "gain", "high", "latest", "small"):
        changed = replace(one, **{name: getattr(one, name) * 2 + 1})
        found = list(wrong_estimates(bound, [*events[:place], changed, *events[place + 1 :]]))
        assert found[0].journal.startswith(name)
    later = Drawn(len(events), {"lr": 0.1}, 1)
    assert [wrong.journal for wrong in wrong_estimates(bound, [*events, later])] == ["it was drawn"]
    assert not list(wrong_estimates(bound, [*events, Resumed(200, 201, draws_on=True), later]))
    early = [*events[: place - 3], one]
    assert [wrong.derived for wrong in wrong_estimates(bound, early)] == ["none was due"]


def test_a_resume_says_how_to_draw_on() -> None:
    settings = study(**PLATEAU)
    assert More("+5").applied(settings, 24, drawn=24).number_of_trials == 29
    assert More(until="trials").applied(settings, 24, drawn=24).until.plateau is None
    assert not More(time_budget="10m").draws_on
    with pytest.raises((UsageError, StudyError), match="until"):
        More(until="soon").applied(settings, 24)


def test_its_sentence_has_the_figures() -> None:
    one = Estimated(45, 0.0002, 0.0, 0.0007, 0.0004, 0.001, ends=True)
    assert estimate_said(asdict(one), "val_accuracy") == (
        "the search ends on a plateau: after 45 trials, as many again would bring about 0.0002 (0 to 0.0007) in val_accuracy, "
        "less than the 0.001 called small"
    )
    going_on = asdict(replace(one, latest=0.2, ends=False))
    assert estimate_said(going_on, "val_loss") == (
        "no plateau so far: after 45 trials, as many again would bring about 0.0002 (0 to 0.2) in val_loss, where 0.001 is called small"
    )
