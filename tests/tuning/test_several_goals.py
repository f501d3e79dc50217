"""Searches and ASHA by several goals: what they find, what they are told, and whom ASHA stops, against plain references."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.results.test_front import fronts_of, spread_out
from tests.studies import Memory, study
from tests.tuning.played_runs import World, play, play_on
from tune_mlp.insight.why import why
from tune_mlp.records import TrialState
from tune_mlp.results.journal import Decided, Drawn, Ended
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.runs.history import NO_HISTORY, History
from tune_mlp.study.warm_start import read_warm_start
from tune_mlp.tuning.audit import audit
from tune_mlp.tuning.front_asha import FrontAsha
from tune_mlp.tuning.optuna_source import MOST_TOLD
from tune_mlp.tuning.run import Request, run_study
from tune_mlp.tuning.schedulers import make_scheduler, milestones
from tune_mlp.tuning.searchers import NumberedSearcher
from tune_mlp.tuning.simulation import SimulatedController, SimulatedTrial

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

GOALS = ["val_accuracy", "weights"]
NUMBERS: dict[str, Any] = {
    "lr": {"log": [1e-4, 1e-1]},
    "dropout": {"uniform": [0.0, 0.9]},
    "width": {"log_int": [4, 256]},
}


def values(params: dict[str, Any]) -> tuple[float, float]:
    """Return a made-up accuracy and number of weights: a wide net can be better, if its rate and dropout are good."""
    best = 1 - 0.5 / math.sqrt(params["width"])
    off = (math.log10(params["lr"]) + 2) ** 2 / 4 + (params["dropout"] - 0.3) ** 2
    return best - off, 10.0 * params["width"]


def searcher(name: Any, trials: int, history: History = NO_HISTORY, **settings: Any) -> NumberedSearcher:
    asked = {"search": name, "space": NUMBERS, "trials": trials, "metrics": GOALS, **settings}
    return NumberedSearcher(study(**asked).bound("classification"), history)


def ended(state: str, goals: tuple[float, ...]) -> dict[str, Any]:
    return {"state": state, "curve": [(1, goals[0])], "best": goals[0], "best_goals": goals}


def drawn_one_by_one(it: NumberedSearcher, ends: dict[int, str], count: int) -> list[dict[str, Any]]:
    """Draw trials, each of which ends before the next; `ends` names the ends that aren't `finished`."""
    found = []
    for i in range(count):
        config = it.suggest(f"id{i}")
        found.append(config["params"])
        it.on_trial_complete(f"id{i}", ended(ends.get(config["trial"], "finished"), values(config["params"])))
    return found


def hypervolume(draws: list[dict[str, Any]]) -> float:
    """Return the area that the draws' accuracies and the logarithms of their weights dominate, from an accuracy of 0.4 and 2,560 weights."""
    points = [(math.log10(weights / 2560), 0.4 - accuracy) for accuracy, weights in map(values, draws)]
    area, lowest = 0.0, 0.0
    for x, y in sorted(point for point in points if point[0] <= 0 and point[1] <= 0):
        if y < lowest:
            area += -x * (lowest - y)
            lowest = y
    return area


@pytest.mark.parametrize(("name", "trials", "seeds"), [({"nsga2": {"population": 10}}, 100, 5), ("tpe", 60, 2)])
def test_a_search_for_the_front_dominates_more_than_chance(name: Any, trials: int, seeds: int) -> None:
    found = [hypervolume(drawn_one_by_one(searcher(name, trials, seed=seed), {}, trials)) for seed in range(seeds)]
    chance = [hypervolume(drawn_one_by_one(searcher("random", trials, seed=seed), {}, trials)) for seed in range(30)]
    assert np.median(found) > np.quantile(chance, 0.8)


def test_the_hypervolume_of_two_points_is_the_area_below_both() -> None:
    good = {"lr": 0.01, "dropout": 0.3}
    small, large = {**good, "width": 4}, {**good, "width": 64}
    below = [(values(one)[0] - 0.4, math.log10(2560 / values(one)[1])) for one in (small, large)]
    assert hypervolume([small]) == pytest.approx(below[0][0] * below[0][1])
    expected = below[0][0] * below[0][1] + (below[1][0] - below[0][0]) * below[1][1]
    assert hypervolume([large, small, small]) == pytest.approx(expected)


ENDS = {1: "stopped", 4: "diverged", 6: "failed", 9: "stopped"}


@pytest.mark.parametrize(
    "name",
    [
        {"nsga2": {"population": 4}},
        {"tpe": {"startup": 5}},
        pytest.param({"gp": {"startup": 6}}, marks=pytest.mark.slow),
    ],
)
def test_a_resumed_search_for_the_front_draws_as_one_that_was_not_interrupted(name: Any) -> None:
    count = 9 if "gp" in name else 16
    whole = drawn_one_by_one(searcher(name, 20), ENDS, count)
    for kept in (5, count - 2):
        history = History(
            drawn={i: Drawn(i, whole[i], i) for i in range(kept)},
            ended={i: Ended(i, TrialState(ENDS.get(i, "finished")), 1.0, "") for i in range(kept)},
            curves={i: {1: values(whole[i])[0]} for i in range(kept)},
            bests={i: values(whole[i])[0] for i in range(kept)},
            goals={i: values(whole[i]) for i in range(kept)},
        )
        assert drawn_one_by_one(searcher(name, 20, history), ENDS, count - kept) == whole[kept:], f"{kept} were kept"
    different = len({tuple(params.values()) for params in whole})
    assert different == count or "nsga2" in name, "no draw comes twice, but a child that is equal to its parent"


def test_a_search_for_the_front_is_told_all_goals_of_how_trials_ended() -> None:
    for name, diverged in (("nsga2", ("COMPLETE", [0.3, 50.0])), ("tpe", ("PRUNED", None))):
        it = searcher(name, 30)
        ends = (("finished", (0.5, 40.0)), ("stopped", (0.3, 50.0)), ("diverged", (0.9, 5.0)), ("failed", (0.9, 5.0)))
        for i, (state, goals) in enumerate(ends):
            it.suggest(str(i))
            it.on_trial_complete(str(i), ended(state, goals))
        told = [(one.state.name, one.values) for one in it._source._told({}).values()]  # type: ignore[attr-defined]
        assert told == [("COMPLETE", [0.5, 40.0]), ("COMPLETE", [0.3, 50.0]), diverged, ("FAIL", None)], name


def test_of_too_many_trials_a_search_is_told_of_the_best_by_their_fronts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MOST_TOLD, "tpe", 6)
    it = searcher("tpe", 30)
    goals = [
        (0.9, 90.0),
        (0.8, 95.0),
        (0.1, 10.0),
        (0.7, 96.0),
        (0.6, 97.0),
        (0.5, 50.0),
        (0.4, 98.0),
        (0.3, 99.0),
        (0.2, 99.5),
    ]
    for i, values_of_it in enumerate(goals):
        it.suggest(str(i))
        it.on_trial_complete(str(i), ended("finished", values_of_it))
    source: Any = it._source
    told = [tuple(one.values) for one in source._most_telling(source._told({}).values())]
    # The front is of trials 0, 2 and 5, of which two have low accuracies; the others are the latest.
    assert told == [goals[i] for i in (0, 2, 5, 6, 7, 8)]


def test_the_first_draws_are_those_that_are_named() -> None:
    it = searcher("nsga2", 30, first=[{"lr": 0.005, "width": 7}])
    (first, *_) = drawn_one_by_one(it, {}, 2)
    assert (first["lr"], first["width"]) == (0.005, 7)


def arrivals(random: np.random.Generator, levels: list[int]) -> list[tuple[int, int, tuple[float, ...]]]:
    """Return made-up results: trials that come to milestone after milestone in a mixed order, with values of which many are equal."""
    count = int(random.integers(1, 30))
    sizes, height = random.integers(1, 5, count), random.integers(0, 6, count)
    waiting, found = [(number, 0) for number in range(count)], []
    while waiting:
        number, level = waiting.pop(int(random.integers(len(waiting))))
        accuracy = float(height[number] + random.integers(0, 3)) / 10
        found.append((number, levels[level], (accuracy, float(sizes[number]))))
        if level + 1 < len(levels):
            waiting.append((number, level + 1))
    return found


def expected_decisions(
    came: list[tuple[int, int, tuple[float, ...]]], factor: float
) -> list[tuple[int, int, int, str]]:
    """Return trial, epoch, place and decision of each result, worked out by comparing all pairs."""
    rungs: dict[int, dict[int, tuple[float, ...]]] = {}
    stopped: set[int] = set()
    found = []
    for number, epoch, (accuracy, size) in came:
        if number in stopped:
            continue
        rung = rungs.setdefault(epoch, {})
        rung[number] = (-accuracy, size)
        numbers = sorted(rung)
        rows = [rung[one] for one in numbers]
        order = [numbers[i] for places in fronts_of(rows) for i in spread_out(rows, places)]
        place = order.index(number) + 1
        goes_on = (place - 1) * factor < len(rung)  # one in so many, rounded up
        found.append((number, epoch, place, "continue" if goes_on else "stop"))
        if not goes_on:
            stopped.add(number)
    return found


@pytest.mark.parametrize("seed", range(30))
def test_asha_by_several_goals_stops_whom_a_comparison_of_all_pairs_stops(seed: int) -> None:
    random = np.random.default_rng(seed)
    factor, epochs = [(2, 9), (3, 27), (2.5, 20)][seed % 3]
    settings = {"asha": {"reduction_factor": factor}}
    bound = study(scheduler=settings, epochs=epochs, metrics=GOALS, trials=30).bound("classification")
    scheduler = make_scheduler(bound)
    assert isinstance(scheduler, FrontAsha)
    controller, trials = SimulatedController(scheduler), {number: SimulatedTrial(number) for number in range(30)}
    came = arrivals(random, [epoch for epoch in milestones(bound) if epoch < epochs])
    stopped: set[int] = set()
    for number, epoch, goals in came:
        if number not in stopped:
            result = {"epoch": epoch, "val_accuracy": goals[0], "goals": goals}
            if scheduler.on_trial_result(controller, trials[number], result) == "STOP":
                stopped.add(number)
    found = [(one.trial, one.epoch, one.place, one.decision) for one in scheduler.decisions]
    assert found == expected_decisions(came, factor)
    assert all(one.value is not None and one.cutoff is None for one in scheduler.decisions)


def test_a_small_net_goes_on_though_a_larger_one_is_better() -> None:
    bound = study(scheduler={"asha": {"reduction_factor": 2}}, epochs=4, metrics=GOALS).bound("classification")
    scheduler = make_scheduler(bound)
    controller = SimulatedController(scheduler)
    results = [(0.9, 1000.0), (0.8, 2000.0), (0.5, 10.0), (0.85, 900.0)]
    said = []
    for number, goals in enumerate(results):
        result = {"epoch": 1, "val_accuracy": goals[0], "goals": goals}
        said.append(scheduler.on_trial_result(controller, SimulatedTrial(number), result))
    # The second is beaten. The third has the worst accuracy and the smallest net, which is the other end of the front; the fourth lies
    # between both, and 2 of 4 go on.
    assert said == ["CONTINUE", "STOP", "CONTINUE", "STOP"]
    assert [one.place for one in scheduler.decisions] == [1, 2, 2, 3]


def test_a_trial_that_diverged_is_compared_with_none() -> None:
    bound = study(scheduler={"asha": {"reduction_factor": 2}}, epochs=4, metrics=GOALS).bound("classification")
    scheduler = make_scheduler(bound)
    controller = SimulatedController(scheduler)
    for number in range(3):
        scheduler.on_trial_complete(
            controller, SimulatedTrial(number), {"epoch": 1, "val_accuracy": -1e30, "goals": None}
        )
    result = {"epoch": 1, "val_accuracy": 0.1, "goals": (0.1, 5.0)}
    assert scheduler.on_trial_result(controller, SimulatedTrial(9), result) == "CONTINUE"
    assert scheduler.decisions[0].competed == 1


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run by three goals that was killed and resumed."""
    world = World(tmp_path_factory.mktemp("played") / "goals", diverge={3: 2}, lose={(1, 1), (4, 9)})
    goals = [*GOALS, "train_seconds"]
    play(world, study(trials=14, epochs=9, metrics=goals, scheduler={"asha": {"grace_period": 1}}), kill_after=40)
    return play_on(world)


def test_why_names_the_goals_and_who_was_ahead(played: Path) -> None:
    events = read(played / "journal.jsonl")
    decisions = [event for event in events if isinstance(event, Decided)]
    stops = [one for one in decisions if one.decision == "stop"]
    assert stops
    for stop in stops:
        answer = why(events, stop.trial)
        assert f"was stopped after {stop.epoch} epoch" in answer.sentence
        assert f"it was number {stop.place} of {stop.competed} trials at that rung" in answer.sentence
        assert "by its val_accuracy of" in answer.sentence
        assert f"of which {stop.kept} may go on (epoch {stop.epoch})" in answer.sentence
        assert answer.method[0].startswith("asha compares a trial by all goals")
        ahead = answer.table["ahead"].iloc[-1]
        named = (
            0
            if not ahead
            else ahead.count(",") + 1 + (int(ahead.split(" and ")[1].split()[0]) if " more" in ahead else 0)
        )
        assert named == stop.place - 1 if stop.place else False
    first = next(one for one in decisions if one.competed == 1)
    assert "it was the first one there" in why(events, first.trial).table["why"].iloc[0]


def test_the_results_of_a_run_have_its_front(played: Path) -> None:
    results = Results.load(played)
    assert [goal.name for goal in results.goals] == [*GOALS, "train_seconds"]
    assert results.trials.columns[-1] == "on_front"
    marked = set(results.trials.loc[results.trials["on_front"], "trial"])
    assert set(results.front["trial"]) == marked
    assert results.best is not None
    assert results.front["trial"].iloc[0] == results.best["trial"], "the best by the metric is always on it"
    rows = results.trials.set_index("trial")
    for trial in results.ranked["trial"]:
        mine = rows.loc[trial]
        beaten = [
            other
            for other in results.ranked["trial"]
            if rows.loc[other, "best_val_accuracy"] >= mine["best_val_accuracy"]
            and rows.loc[other, "weights"] <= mine["weights"]
            and rows.loc[other, "train_seconds"] <= mine["train_seconds"]
            and other != trial
        ]
        assert (trial in marked) == (not beaten) or all(
            (rows.loc[one, ["best_val_accuracy", "weights"]] == mine[["best_val_accuracy", "weights"]]).all()
            for one in beaten
        )
    assert f"{len(marked)} trial" in results.summary
    assert results.judged_by("val_loss").front["trial"].tolist() == [results.judged_by("val_loss").best["trial"]]


def test_a_warm_start_tells_a_search_for_the_front_of_no_single_scores(played: Path) -> None:
    known = {"space": {**study().space}, "trials": 30}
    several = study(metrics=GOALS, search="tpe", warm_start=str(played), **known).bound("classification")
    one = study(search="tpe", warm_start=str(played), **known).bound("classification")
    assert read_warm_start(several).told == ()
    assert len(read_warm_start(one).told) > 0
    assert len(read_warm_start(several).first) == len(read_warm_start(one).first) == 3


@pytest.mark.slow  # it trains: the scheduler and TPE are told by real workers what the journal says
@pytest.mark.usefixtures("local_ray")
def test_a_trained_study_by_several_goals_follows_from_its_journal(tmp_path: Path) -> None:
    goals = [*GOALS, "train_seconds"]
    asked = study(
        search={"tpe": {"startup": 3}}, scheduler={"asha": {}}, trials=8, epochs=6, metrics=goals, concurrent=1
    )
    results = run_study(asked, Request(out=tmp_path, name="goals"), Memory())
    decisions = [event for event in results.events if isinstance(event, Decided)]
    assert decisions
    assert all(one.place is not None and one.kept is not None for one in decisions)
    assert {"finished", "stopped"} == set(results.trials["state"])
    assert audit(results).facts["differ"] == 0
    assert results.trials["on_front"].any()
