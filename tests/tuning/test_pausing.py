"""Schedulers that pause trials: they do what their papers say, train no epoch twice, and outlive their driver."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.studies import study
from tests.tuning.played_runs import World, play, play_on
from tests.tuning.reference_promotion import Reference
from tune_mlp.results.journal import Decided, Drawn, Ended, Event, Resumed, Trained
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.tuning import simulation
from tune_mlp.tuning.audit import audit
from tune_mlp.tuning.driven_again import wrong_decision
from tune_mlp.tuning.rungs import GrowingLadder, Ladder, crossing_distance, percentile
from tune_mlp.tuning.schedulers import milestones
from tune_mlp.tuning.simulation import Cost, simulate

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

PAUSING: dict[str, Any] = {
    "promotion_asha": {"promotion_asha": {"reduction_factor": 2}},
    "pasha": {"pasha": {"reduction_factor": 2}},
    "top_k": {"top_k": {"after": 2, "keep": 4}},
}
REBUILT: dict[str, Any] = {
    **PAUSING,
    "hyperband": {"hyperband": {"reduction_factor": 2}},
    "pbt": {"pbt": {"interval": 2}},
}
"""The schedulers that a resumed run rebuilds as they were."""


@pytest.fixture
def idle_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "RESULT_SECONDS", 0.0)
    monkeypatch.setattr(simulation, "BEGIN_SECONDS", 0.0)


def curves(seed: int, trials: int, epochs: int) -> Callable[[int, int], float]:
    """Return made-up curves that rise to different heights at different speeds, with noise by which they cross."""
    random = np.random.default_rng(seed)
    height, speed = random.random((2, trials, 1))
    noise = random.choice([0.0, 0.02, 0.2])
    time = np.arange(1, epochs + 1)
    table = height * (1 - np.exp(-time * (0.1 + speed))) + noise * random.normal(size=(trials, epochs))
    return lambda number, epoch: float(table[number, epoch - 1])


def trained_by(name: str, eta: float, grace: int, epochs: int, seed: int, workers: int, mode: str) -> None:
    random = np.random.default_rng([seed, 1])
    trials = int(random.integers(1, 40))
    score, seconds = curves(seed, trials, epochs), random.uniform(0.1, 2.0, trials)
    metric = "val_accuracy" if mode == "max" else "val_loss"
    settings = {"grace_period": grace, "reduction_factor": eta}
    asked = study(scheduler={name: settings}, trials=trials, epochs=epochs, metric=metric).bound("classification")
    levels = list(milestones(asked))
    reference = Reference(score, list(seconds), levels, eta, workers, pasha=name == "pasha")
    found = simulate(asked, [Cost(float(each)) for each in seconds], workers, score)
    assert list(found.epochs) == reference.run(), (name, seed)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("workers", [1, 3, 8])
def test_promotion_asha_trains_what_the_paper_says(seed: int, workers: int, idle_driver: None) -> None:
    eta, grace, epochs = [(2, 1, 8), (3, 1, 27), (4, 2, 20), (2.5, 3, 30)][seed % 4]
    trained_by("promotion_asha", eta, grace, epochs, seed, workers, ["max", "min"][seed // 4 % 2])


@pytest.mark.parametrize("seed", range(60))
def test_pasha_trains_what_the_paper_says(seed: int, idle_driver: None) -> None:
    eta, grace, epochs = [(2, 1, 8), (3, 1, 27), (2, 1, 32), (2.5, 3, 30)][seed % 4]
    trained_by("pasha", eta, grace, epochs, seed, 1, ["max", "min"][seed // 4 % 2])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("workers", [1, 5])
def test_the_best_k_after_some_epochs_train_to_the_end_and_no_others(
    seed: int, workers: int, idle_driver: None
) -> None:
    score, after, keep = curves(seed, 30, 9), 1 + seed % 4, 1 + seed % 7
    asked = study(scheduler={"top_k": {"after": after, "keep": keep}}, trials=30, epochs=9).bound("classification")
    found = simulate(asked, [Cost(1.0 + number % 3) for number in range(30)], workers, score)
    best = sorted(range(30), key=lambda number: -score(number, after))[:keep]
    assert found.epochs == tuple(9 if number in best else after for number in range(30))


def test_pasha_stays_on_the_lowest_rungs_while_rankings_agree_and_grows_while_they_do_not(idle_driver: None) -> None:
    asked = study(scheduler={"pasha": {"reduction_factor": 2}}, trials=64, epochs=32).bound("classification")
    costs = [Cost(1.0)] * 64
    calm = simulate(asked, costs, 1, lambda number, epoch: float(number % 17))
    assert sorted(set(calm.epochs)) == [1, 2, 32]
    assert calm.epochs.count(32) == 1, "the best alone goes on to the end"
    height, speed = np.random.default_rng(0).random((2, 64))
    late = simulate(
        asked, costs, 1, lambda number, epoch: float(height[number] * (1 - np.exp(-epoch * speed[number] / 4)))
    )
    assert set(late.epochs) >= {1, 2, 4, 8}
    assert sum(late.epochs) > 1.3 * sum(calm.epochs)


def test_noise_keeps_pasha_from_growing() -> None:
    """Three trials cross again and again, and differ in the two rungs by less than that."""
    swaying = {n: {e: 0.5 + (0.02 if (e + n) % 2 else -0.02) for e in range(1, 5)} for n in range(3)}
    assert crossing_distance([(1, 0.0), (2, 1.0), (3, 0.0)], [(1, 0.5), (2, 0.5), (3, 0.4)]) == pytest.approx(0.4)
    assert crossing_distance([(1, 0.0), (2, 1.0), (3, 1.0)], [(1, 0.5), (2, 0.5), (3, 0.5)]) is None
    for curve_of, grown in ((swaying, 1), ({n: {} for n in range(3)}, 2)):
        ladder = GrowingLadder([2, 4, 8], 2)
        for place in range(2):
            for number in range(3):
                ladder.enter(ladder.rungs[place], number, 0.5 + 0.01 * (number if place else -number), curve_of)
        assert ladder.in_use == grown


def test_a_percentile_is_numpys() -> None:
    values = list(np.random.default_rng(0).random(37))
    assert percentile(values, 90) == pytest.approx(float(np.percentile(values, 90)))
    assert percentile([], 90) == 0.0


def test_of_equal_scores_the_lower_number_goes_on() -> None:
    ladder = Ladder([1], 2)
    for number in (3, 1, 2, 0):
        ladder.enter(ladder.rungs[0], number, 0.5, {})
    assert [number for _, number in ladder.promotable(range(4))] == [0, 1]


def told(events: list[Event]) -> list[Event]:
    """Return what was decided, and how trials ended, in order."""
    return [event for event in events if isinstance(event, Decided | Ended)]


def draws(events: list[Event]) -> dict[int, list[Any]]:
    """Return the parameters of each trial, those first that it began with."""
    found: dict[int, list[Any]] = {}
    for event in events:
        if isinstance(event, Drawn):
            found.setdefault(event.trial, []).append(event.params)
    return found


def epochs_trained(events: list[Event]) -> Counter[tuple[int, int]]:
    return Counter((e.trial, record.epoch) for e in events if isinstance(e, Trained) for record in e.epochs)


@pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.slow)])  # a run for each line takes a minute
@pytest.mark.parametrize("name", REBUILT)
def test_a_search_that_was_killed_anywhere_decides_as_one_that_was_not(
    name: str, every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = study(scheduler=REBUILT[name], trials=10, epochs=9)
    whole = read(play(World(tmp_path / "whole", slots=1), asked) / "journal.jsonl")
    assert max(epochs_trained(whole).values()) == 1
    monkeypatch.setattr(os, "fsync", lambda file: None)  # which is most of the time
    for lines in range(3, len(whole), every):
        world = World(tmp_path / f"killed-{lines}", slots=1)
        play(world, asked, kill_after=lines)
        play_on(world, kill_after=7)
        folder = play_on(world)
        events = read(folder / "journal.jsonl")
        assert [e for e in told(events) if isinstance(e, Decided)] == [e for e in told(whole) if isinstance(e, Decided)]
        assert {(e.trial, e.state) for e in told(events) if isinstance(e, Ended)} == {
            (e.trial, e.state) for e in told(whole) if isinstance(e, Ended)
        }
        assert draws(events) == draws(whole)
        assert audit(Results.load(folder)).facts["differ"] == 0


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.slow)])  # as above
@pytest.mark.parametrize("name", REBUILT)
def test_a_scheduler_that_is_rebuilt_after_any_line_decides_the_same_of_the_same_results(
    name: str, every: int, tmp_path: Path
) -> None:
    """Three trials at a time, where the order of results isn't that of the trials: the journal itself gives the order."""
    asked = study(scheduler=REBUILT[name], trials=14, epochs=9, patience=6).bound("classification")
    world = World(tmp_path / "run", slots=3, diverge={3: 2}, fail={5: 4})
    events = read(play(world, asked) / "journal.jsonl")
    assert len([event for event in events if isinstance(event, Decided)]) > 10
    for lines in range(2, len(events), every):
        cut = [*events[:lines], Resumed(14, 14, rebuilt=True), *events[lines:]]
        assert wrong_decision(asked, cut) is None, lines


@pytest.mark.parametrize("name", REBUILT)
@pytest.mark.parametrize("slots", [2, 5])
def test_no_epoch_is_trained_twice_and_every_trial_ends(name: str, slots: int, tmp_path: Path) -> None:
    folder = play(World(tmp_path / "run", slots=slots), study(scheduler=REBUILT[name], trials=20, epochs=9))
    events = read(folder / "journal.jsonl")
    assert max(epochs_trained(events).values()) == 1
    assert len([event for event in events if isinstance(event, Ended)]) == 20
    assert Results.load(folder).trials["epochs"].max() == 9
    assert audit(Results.load(folder)).facts["differ"] == 0


def test_trials_that_are_added_to_a_run_begin_a_bracket_where_the_last_has_halved(tmp_path: Path) -> None:
    world = World(tmp_path / "run", slots=2)
    play(world, study(scheduler=REBUILT["hyperband"], trials=10, epochs=9))
    decisions = [e for e in read(play_on(world, "+4") / "journal.jsonl") if isinstance(e, Decided)]
    brackets = {e.trial: e.rung.partition(",")[0] for e in decisions}
    assert {brackets[trial] for trial in (8, 9)} == {"bracket 2"}
    assert {brackets[trial] for trial in range(10, 14)} == {"bracket 3"}
    assert audit(Results.load(world.folder)).facts["differ"] == 0


@pytest.mark.parametrize("name", REBUILT)
def test_a_lost_worker_at_the_end_of_a_search_leaves_no_trial_paused(name: str, tmp_path: Path) -> None:
    """The last trials diverge, fail, and lose their workers once and for good, so that no result comes after."""
    world = World(tmp_path / "run", slots=1, diverge={9: 1}, fail={8: 1}, lose={(7, 1)}, lose_for_good={6})
    folder = play(world, study(scheduler=REBUILT[name], trials=10, epochs=9))
    states = Results.load(folder).trials.set_index("trial")["state"]
    assert (states[9], states[8]) == ("diverged", "failed")
    assert set(states) == {"diverged", "failed", "finished"} | ({"stopped"} if name != "pbt" else set())
    assert audit(Results.load(folder)).facts["differ"] == 0


@pytest.mark.parametrize("name", PAUSING)
def test_the_reason_of_each_decision_is_said(name: str, tmp_path: Path) -> None:
    folder = play(World(tmp_path / "run", slots=2), study(scheduler=PAUSING[name], trials=12, epochs=9))
    results = Results.load(folder)
    reasons = [reason for trial in range(12) for reason in results.why(trial)["why"]]
    assert len(reasons) == len([event for event in read(folder / "journal.jsonl") if isinstance(event, Decided)])
    assert any(re.match("was paused after ", reason) for reason in reasons)
    assert any(re.match("was let go on after ", reason) for reason in reasons)
    assert any(re.match("was stopped after ", reason) for reason in reasons)
