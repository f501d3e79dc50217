"""Tests of advice: made searches with a known flaw each, the next study's file, and the command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.made_searches import SPACE, advised_wins, place, search, study_of
from tests.results.journals import a_study, write
from tune_mlp.cli import main
from tune_mlp.insight.advice import advice
from tune_mlp.insight.next_study import next_study
from tune_mlp.results.results import Results
from tune_mlp.study.study import Study

FREE = ("batch_size", "width", "activation", "dropout")
"""The parameters that don't matter where a score is of the learning rate alone."""


def lr(one: Mapping[str, Any]) -> float:
    return place(one["lr"], 1e-4, 1e-1)


def given(results: Results) -> set[tuple[str, str]]:
    answer, _ = advice(results)
    return {(row["advice"], row["parameter"]) for row in answer.to_dict()["rows"]}


def pins(*names: str) -> set[tuple[str, str]]:
    return {("pin", name) for name in names}


FLAWS: dict[str, tuple[Any, set[tuple[str, str]], set[tuple[str, str]]]] = {
    "best at the upper end": (lambda one: lr(one), {("extend", "lr")}, {("cut", "lr"), *pins(*FREE)}),
    "best at the lower end": (lambda one: -lr(one), {("extend", "lr")}, {("cut", "lr"), *pins(*FREE)}),
    "dead above": (lambda one: -3 * (lr(one) - 0.3) ** 2, {("cut", "lr")}, pins(*FREE)),
    "dead below": (lambda one: -3 * (lr(one) - 0.7) ** 2, {("cut", "lr")}, pins(*FREE)),
    "a dead choice": (
        lambda one: 0.3 * (one["activation"] != "sigmoid"),
        {("cut", "activation")},
        pins("lr", "batch_size", "width", "dropout"),
    ),
    "best at the largest choice": (
        lambda one: one["width"] / 128,
        {("extend", "width")},
        {("cut", "width"), *pins("lr", "batch_size", "activation", "dropout")},
    ),
    "parameters without effect": (
        lambda one: -((lr(one) - 0.5) ** 2),
        pins(*FREE),
        {("cut", "lr")},
    ),
    "best at a batch of 1, which can't be smaller": (
        lambda one: -np.log(one["batch_size"]),
        set(),
        {("cut", "batch_size"), *pins("lr", "width", "activation", "dropout")},
    ),
    "a peak inside": (
        lambda one: (
            -0.3 * (lr(one) - 0.5) ** 2 - 0.5 * (one["dropout"] - 0.25) ** 2 + 0.02 * (one["activation"] == "tanh")
        ),
        set(),
        {("cut", "lr"), ("cut", "dropout"), *pins("batch_size", "width")},
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_known_flaw_gets_the_right_advice_and_no_wrong_one(flaw: str) -> None:
    score, wanted, allowed = FLAWS[flaw]
    space = SPACE | ({"batch_size": {"choice": [1, 8, 32, 128]}} if "batch of 1" in flaw else {})
    results = search(study_of(space), score, 80, noise=0.02)
    assert wanted <= given(results) <= wanted | allowed


def test_curves_that_still_rise_get_more_epochs() -> None:
    results = search(study_of(trials=20), lr, 20)
    count, epochs = len(results.trials), 10
    rising = [(t, e, 0.5 + 0.03 * e + 0.01 * t) for t in range(count) for e in range(1, epochs + 1)]
    flat = [(t, e, 0.8 - 0.3 * 0.2**e + 0.01 * t + 0.001 * (-1) ** (e + t)) for t, e, _ in rising]
    trials = results.trials.assign(epochs=epochs, best_epoch=epochs)
    for rows, asked in ((rising, True), (flat, False)):
        curves = pd.DataFrame(rows, columns=["trial", "epoch", "val_accuracy"])
        one = Results(
            **{**vars(results), "trials": trials, "epochs": curves, "study": {**results.study, "epochs": epochs}}
        )
        assert (("epochs", "epochs") in given(one)) is asked


def test_the_next_study_loads_has_the_changes_and_says_why(tmp_path: Path) -> None:
    results = search(study_of(), lr, 80, noise=0.02)
    _, changes = advice(results)
    text = next_study(results, changes)
    study = Study.from_text(text)
    _, high = study.space["lr"]["log"]
    assert high > 0.3
    assert study.seed == 1
    assert "  # extended: it is best at the largest value that was tried" in text
    for name in FREE:
        assert not isinstance(study.space[name], dict)
    assert text.count("  # pinned: no evidence of an effect") == len(FREE)


def test_parameters_inside_of_an_option_are_changed_there() -> None:
    space = {
        "lr": {"log": [1e-4, 1e-1]},
        "optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0.0, 0.5]}}, "adam": {}}},
    }
    results = search(study_of(space), lambda one: one.get("optimizer.sgd.momentum", 0.25), 120, noise=0.01)
    _, changes = advice(results)
    assert ("extend", "optimizer.sgd.momentum") in {(change.advice, change.parameter) for change in changes}
    study = Study.from_text(next_study(results, changes))
    assert study.space["optimizer"]["choice"]["sgd"]["momentum"]["uniform"][1] > 0.5


def test_searching_the_next_study_finds_more_than_going_on() -> None:
    assert advised_wins(8) >= 6


@pytest.mark.slow
def test_searching_the_next_study_finds_more_on_15_of_20_problems() -> None:
    assert advised_wins(20) >= 15


def test_more_trials_are_forecast_with_an_interval() -> None:
    answer, _ = advice(search(study_of(), lr, 80))
    more = answer.facts["more_trials"]
    assert 0 <= more["low"] <= more["gain"] <= more["high"]
    assert any(note.startswith("80 more trials of the same space would bring about ") for note in answer.notes)


def test_the_command_writes_the_next_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    write(tmp_path / "run" / "journal.jsonl", a_study())
    output = tmp_path / "next.yaml"
    assert main(["advise", str(tmp_path / "run")]) == 0
    assert "at least 8 are needed" in capsys.readouterr().out
    assert main(["advise", str(tmp_path / "run"), "--output", str(output)]) == 2
    assert "has no study.yaml, so the next study can't be written" in capsys.readouterr().err
    (tmp_path / "run" / "study.yaml").write_text(study_of().dump())
    assert main(["advise", str(tmp_path / "run"), "--output", str(output)]) == 0
    assert Study.load(output).seed == 1
    said = capsys.readouterr()
    assert "at least 8 are needed" in said.out
    assert f"wrote {output}; next: tune-mlp search --space" in said.err
    assert main(["advise", str(tmp_path / "run"), "--output", str(output)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["advise", str(tmp_path / "run"), "--output", str(tmp_path / "none" / "next.yaml")]) == 2


def test_a_run_whose_study_is_no_study_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "journal.jsonl", a_study())
    (tmp_path / "study.yaml").write_text(study_of().dump().replace("trials: ", "trails: "))
    assert main(["advise", str(tmp_path), "--output", str(tmp_path / "next.yaml")]) == 2
    assert capsys.readouterr().err == (
        f"tune-mlp: {tmp_path}: study.yaml: trails: unknown name 'trails' (did you mean 'trials'?)\n"
    )
    assert not (tmp_path / "next.yaml").exists()


def test_a_table_from_elsewhere_gets_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    x = random.uniform(size=60)
    frame = pd.DataFrame(
        {"number": range(60), "value": x, "params_x": x, "params_y": random.uniform(size=60), "state": "COMPLETE"}
    )
    frame.to_csv(tmp_path / "trials.csv", index=False)
    assert main(["advise", str(tmp_path / "trials.csv"), "--mode", "max", "--to", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert ("extend", "x") in {(row["advice"], row["parameter"]) for row in said["rows"]}
    assert said["more_trials"]["trials"] == 60
    frame = Results.from_table(tmp_path / "trials.csv", mode="max").advice()
    assert frame.attrs["sentence"].startswith("Extend x")
