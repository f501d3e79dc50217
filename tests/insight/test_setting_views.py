"""Tests of the rows behind the charts of settings: they say what is true of runs whose truth is known."""

from __future__ import annotations

import gc
import math
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import made_studies as made
from tests.insight.runs import a_run, right
from tests.results.journals import drawn, ended, record, started, trained, trial, write
from tune_mlp.insight import judgement
from tune_mlp.insight.advice import advice
from tune_mlp.insight.compare import compare
from tune_mlp.insight.importance import importance
from tune_mlp.insight.views.confirmed_seeds import confirmed_seeds
from tune_mlp.insight.views.contenders import contenders
from tune_mlp.insight.views.cost_against_score import pareto_front, time_against_score, weights_against_score
from tune_mlp.insight.views.judged_parameters import judged_parameters
from tune_mlp.insight.views.parallel_coordinates import ABSENT, parallel_coordinates
from tune_mlp.insight.views.parameters import parameters
from tune_mlp.insight.views.scales import axis_of, score_scale, values_of
from tune_mlp.insight.views.strongest_pair import strongest_pair
from tune_mlp.results.results import Results


def study(scores: Any, state: Any = "finished", mode: str = "max", **params: Any) -> Results:
    """Return results with these scores, and a list of values for each parameter; None where it isn't there."""
    some = [{name: values[i] for name, values in params.items() if values[i] is not None} for i in range(len(scores))]
    return made.results_of(some, np.array(scores, np.float64), state=state).judged_by(mode=mode)


# Scales


def test_numbers_that_span_decades_stand_by_their_logarithms() -> None:
    axis = axis_of(values_of("lr", [{"lr": 10.0**power} for power in (-4, -3, -2, -1)]))
    assert axis.at == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert [text for _, text in axis.ticks] == ["0.0001", "0.001", "0.01", "0.1"]


def test_choices_lists_and_mixed_values_stand_in_their_order() -> None:
    assert values_of("a", [{"a": v} for v in ("tanh", "relu", True)]).names == ("relu", "tanh", "true")
    assert values_of("a", [{"a": v} for v in ([64, 32], [], [8])]).names == ("[]", "[8]", "[64, 32]")
    mixed = values_of("a", [{"a": v} for v in (0.5, "auto", 2)])
    assert mixed.names == ("0.5", "2", "auto")
    assert not mixed.is_number


def test_numbers_too_close_or_too_large_for_a_scale_are_shown_as_names() -> None:
    for values in ([1.0, 1.0 + 1e-15], [-1e308, 1e308]):
        assert not values_of("a", [{"a": value} for value in values]).is_number
    assert not values_of("a", [{"a": math.nan}, {"a": math.inf}]).varies


def test_labels_of_an_axis_keep_their_distance() -> None:
    random = np.random.default_rng(0)
    axis = axis_of(values_of("a", [{"a": float(value)} for value in random.uniform(0, 1, 50)]))
    assert min(np.diff([at for at, _ in axis.ticks])) >= 0.055
    assert len(axis.ticks) >= 4


def test_a_scale_ends_before_hopeless_trials_and_counts_them() -> None:
    scale = score_scale(np.array([0.9, 0.91, 0.92, 0.93, -50.0]), "max")
    assert scale.beyond == 1
    assert 0.8 < scale.low < 0.9
    assert scale.high == 0.93
    assert score_scale(np.array([0.1, 0.5, 0.9]), "max") == (0.1, 0.9, False, 0)
    assert score_scale(np.array([1.0, 2.0, 1e30]), "min").by_logarithm


# Parallel coordinates


def test_a_trial_passes_through_its_values_and_below_the_axis_of_what_it_lacks() -> None:
    x = [0.0, 0.25, 1.0, 0.5]
    answer = parallel_coordinates(study([0, 1, 2, math.nan], ["finished"] * 3 + ["failed"], x=x, y=[1, 2, None, 3]))
    columns = {axis["name"]: f"p{number}" for number, axis in enumerate(answer.facts["axes"])}
    assert list(answer.table[columns["x"]]) == x
    assert list(answer.table[columns["y"]]) == [0, 0.5, ABSENT, 1]
    assert list(answer.table[columns["val_accuracy"]]) == [0, 0.5, 1, ABSENT]
    assert [axis["absent"] for axis in answer.facts["axes"] if axis["name"] != "x"] == ["not used", "no score"]


def test_better_scores_stand_higher_whichever_way_is_better() -> None:
    answer = parallel_coordinates(study([1, 2, 5], mode="min", x=[1, 2, 3]))
    assert list(answer.table["p1"]) == [1, 0.75, 0]
    assert {text: at for at, text in answer.facts["axes"][1]["ticks"]}["1"] == 1


def test_the_sentence_names_where_the_best_trials_are() -> None:
    x = np.random.default_rng(0).uniform(size=60).tolist()
    other = np.random.default_rng(1).uniform(size=60).tolist()
    answer = parallel_coordinates(study(x, x=x, other=other))
    best = sorted(x)[-6:]
    assert answer.sentence.startswith(f"The best 6 of 60 trials have x from {best[0]:.3g} to {best[-1]:.3g}")


def test_one_trial_or_none_is_no_line() -> None:
    assert parallel_coordinates(study([1.0], x=[1])).sentence.startswith("Only one trial has a score")
    nothing = parallel_coordinates(study([math.nan] * 3, "failed", x=[1, 2, 3]))
    assert nothing.table.empty
    assert nothing.sentence.startswith("No trial has a score")
    assert parallel_coordinates(study([1, 2], x=[1, 1])).sentence.startswith("No parameter has more than one value")


# The score along each parameter


def test_each_value_has_the_quartiles_of_its_trials_and_the_most_important_parameter_is_first() -> None:
    names = ["a", "b"] * 20
    scores = [(name == "b") + i / 100 for i, name in enumerate(names)]
    answer = parameters(study(scores, idle=np.random.default_rng(0).uniform(size=40).tolist(), name=names))
    first = answer.facts["panels"][0]
    assert (first["name"], first["verdict"]) == ("name", "effect")
    own = pd.Series(scores)[np.array(names) == "b"]
    assert first["spread"][1] == {
        "at": 1.0, "name": "b", "trials": 20, "median": own.median(), "low": own.quantile(0.25), "high": own.quantile(0.75)
    }  # fmt: skip
    assert "at a to" in answer.sentence
    parts = answer.facts["panels"][1]["spread"]
    assert [part["trials"] for part in parts] == [8] * 5


def test_at_most_12_parameters_are_shown_and_the_others_are_counted() -> None:
    random = np.random.default_rng(0)
    answer = parameters(
        study(random.uniform(size=20), **{f"x{i}": random.uniform(size=20).tolist() for i in range(30)})
    )
    assert len(answer.facts["panels"]) == 12
    assert answer.notes == ("18 further parameters, of less importance or of one value only, are not shown.",)


# The strongest pair


def test_a_pair_with_evidence_is_named_and_its_cells_hold_every_trial_once() -> None:
    random = np.random.default_rng(0)
    x, y = random.choice([-1, 1], 80), random.choice([-1, 1], 80)
    answer = strongest_pair(study(x * y + random.normal(0, 0.2, 80), x=x.tolist(), y=y.tolist()))
    assert answer.sentence.startswith("x and y work together")
    assert answer.table["trials"].sum() == 80
    assert (np.sign(answer.table["mean"]) == [1, -1, -1, 1]).all()


def test_a_pair_of_noise_is_shown_without_a_claim() -> None:
    random = np.random.default_rng(0)
    answer = strongest_pair(study(random.normal(size=40), x=random.uniform(size=40).tolist(), y=["a", "b"] * 20))
    assert answer.sentence.startswith("There is no evidence that any two parameters work together")
    assert answer.table["trials"].sum() == 40


# Costs


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_front_has_the_trials_that_none_beats(mode: Any) -> None:
    random = np.random.default_rng(0)
    costs, scores = random.integers(0, 8, 60).astype(float), random.integers(0, 8, 60).astype(float)
    sign = 1 if mode == "max" else -1
    beaten = [
        any(
            c <= cost and sign * s >= sign * score and (c, s) != (cost, score)
            for c, s in zip(costs, scores, strict=True)
        )
        for cost, score in zip(costs, scores, strict=True)
    ]
    expected = {(c, s) for c, s, worse in zip(costs, scores, beaten, strict=True) if not worse}
    places = pareto_front(costs, scores, mode)
    assert {(costs[place], scores[place]) for place in places} == expected
    assert len(places) == len(expected)
    assert list(costs[places]) == sorted(costs[places])


def test_of_10_000_trials_some_300_are_drawn_and_all_of_the_front() -> None:
    random = np.random.default_rng(0)
    results = made.results_of([{"x": 1}] * 10_000, random.uniform(size=10_000), seconds=random.uniform(1, 100, 10_000))
    answer = time_against_score(results)
    assert len(answer.table) < 350
    whole = pareto_front(results.trials["seconds"].to_numpy(), results.trials["val_accuracy"].to_numpy(), "max")
    assert set(answer.table.loc[answer.table["front"], "trial"]) == set(whole)
    assert "10,000 trials are drawn" in answer.notes[0]


def test_a_table_without_costs_says_so() -> None:
    results = study([1, 2, 3], x=[1, 2, 3])
    assert time_against_score(results).sentence == "It isn't known how long the trials took."
    assert weights_against_score(results).sentence == "It isn't known how many weights the nets have."
    assert time_against_score(results).table.empty


# Contenders and confirmed seeds


def test_the_contenders_are_those_that_cannot_be_told_apart_and_three_that_can(tmp_path: Path) -> None:
    counts = [900, 899, 898, 700, 690, 680, 670]
    results = a_run(tmp_path, {number: right(count, first=7 * number) for number, count in enumerate(counts)})
    answer = contenders(results)
    compared = compare(results)
    assert list(answer.table["trial"]) == [0, 1, 2, 3, 4, 5]
    assert list(answer.table["verdict"]) == ["winner", "not told apart", "not told apart", "worse", "worse", "worse"]
    assert answer.sentence == compared.sentence
    assert answer.facts["winner"]["corrected"] <= answer.facts["winner"]["measured"]


def test_at_most_20_contenders_are_drawn_and_the_others_are_counted(tmp_path: Path) -> None:
    answer = contenders(a_run(tmp_path, {number: right(900, first=number) for number in range(30)}))
    assert len(answer.table) == 20
    assert answer.notes[0].startswith("10 more trials can't be told apart")


def test_contenders_of_a_table_or_of_failures_are_a_sentence(tmp_path: Path) -> None:
    assert contenders(study([1, 2], x=[1, 2])).table.empty
    failed = contenders(a_run(tmp_path, {0: "failed", 1: "diverged"}))
    assert failed.table.empty
    assert failed.sentence.startswith("The trials can't be held against each other: ")


def confirmed_run(folder: Path) -> Results:
    """Return a run of two trials, each trained again from two seeds; one net of trial 1 diverged."""
    write(folder / "journal.jsonl", [started(), *trial(0, 0.5, 0.9), *trial(1, 0.5, 0.8)])
    values = {0: (0.88, 0.9), 1: (0.7, None)}
    events: list[Any] = [started()]
    for again, its in values.items():
        for place, value in enumerate(its):
            number = 2 * again + place
            events.append(replace(drawn(number), again=again, seed=place))
            if value is not None:
                events.append(trained(number, record(1, 0.5, 0.5, 0.5, value)))
            events.append(ended(number, "finished" if value is not None else "diverged"))
    (folder / "followups/confirm").mkdir(parents=True)
    write(folder / "followups/confirm/journal.jsonl", events)
    return Results.load(folder)


def test_each_net_of_a_confirmed_configuration_is_a_row(tmp_path: Path) -> None:
    answer = confirmed_seeds(confirmed_run(tmp_path))
    assert list(answer.table[["trial", "seed", "value"]].itertuples(index=False, name=None)) == [
        (0, 0, 0.88),
        (0, 1, 0.9),
    ]
    (configuration,) = answer.facts["configurations"]
    assert configuration["mean"] == pytest.approx(0.89)
    assert configuration["searched"] == 0.9


def test_without_a_confirmation_the_sentence_names_the_command(tmp_path: Path) -> None:
    write(tmp_path / "journal.jsonl", [started(), *trial(0, 0.5)])
    answer = confirmed_seeds(Results.load(tmp_path))
    assert answer.table.empty
    assert f"tune-mlp confirm {tmp_path}" in answer.sentence


def test_a_damaged_confirmation_is_a_sentence(tmp_path: Path) -> None:
    results = confirmed_run(tmp_path)
    (tmp_path / "followups/confirm/journal.jsonl").write_bytes(b'{"n": 1}\n')
    assert confirmed_seeds(results).sentence.startswith("What was trained again can't be read: ")


# What is worked out once


def test_importance_is_worked_out_once_for_the_summary_the_charts_and_the_advice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []
    judge = judgement.judge
    monkeypatch.setattr(judgement, "judge", lambda *args: calls.append(1) or judge(*args))
    results, _ = made.two_effects(0)
    results = made.results_of(list(results.params.values()), results.trials["val_accuracy"].to_numpy())
    first = importance(results)
    advice(results)
    judged_parameters(results)
    parameters(results)
    assert importance(results, seed=0) is first
    assert len(calls) == 1
    assert importance(results, seed=1) is not first
    assert len(calls) == 2


def test_what_is_remembered_goes_with_its_results() -> None:
    results = study([1, 2, 3], x=[1, 2, 3])
    importance(results)
    gone = weakref.ref(results)
    del results
    gc.collect()
    assert gone() is None


def test_parameters_that_could_not_be_judged_have_no_bar() -> None:
    assert judged_parameters(study([1, 2], x=[1, 2])).table.empty
    few = study(range(20), x=list(range(20)), constant=[1] * 20)
    assert list(judged_parameters(few).table["parameter"]) == ["x"]
