"""The summary at the end of a study."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.results.journals import a_study, write
from tune_mlp.console.board import Board, Display
from tune_mlp.console.summary import show_best_so_far, show_summary
from tune_mlp.results.results import Results

PHASES = {"data": 1.0, "ray": 5.0, "workers": 4.0, "trials": 8.2, "test": 1.5, "tables": 0.3}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folder = tmp_path / "o $(id)"
    folder.mkdir()
    write(folder / "journal.jsonl", a_study())
    return replace(Results.load(folder), manifest={"seconds": 20.0, "phases": PHASES, "seed": 3})


def summary(results: Results, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    show_summary(console, results, None)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_best_value_is_named_as_the_best(results: Results) -> None:
    assert f"best_{results.metric} " in summary(results)


@pytest.mark.parametrize(("width", "a_table"), [(160, True), (72, True), (50, False)])
def test_a_narrow_console_gets_a_list_in_place_of_the_table(results: Results, width: int, a_table: bool) -> None:
    text = summary(results, width)
    assert ("parameters" in text) == a_table
    assert "trial " in text
    if not a_table:
        start, end = text.index("Best"), text.index("took")
        assert all(len(line) <= width for line in text[start:end].splitlines())


def test_it_says_what_simple_answers_reach(results: Results) -> None:
    rows = [
        {"name": "the commonest class", "val_accuracy": 0.9},
        {"name": "a linear model", "val_accuracy": 0.9512},
    ]
    text = summary(replace(results, manifest={**results.manifest, "baselines": rows}))
    assert "for comparison, val_accuracy of the commonest class 0.9000, of a linear model 0.9512\n" in text
    assert "for comparison" not in summary(results), "a run of an earlier version has none"


def test_it_says_what_start_and_end_took(results: Results) -> None:
    assert "took 0:20: start 0:10, trials 0:08, test and end 0:02" in summary(results)


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ({"time_budget": 8.0, "trials": 5000}, "ended the search: 4,996 of 5,000 trials never began"),
        ({"time_budget": 8.0, "trials": 4}, "ended the search\n"),
        ({"time_budget": 60.0, "trials": 5000}, None),
        ({"time_budget": None, "trials": 4}, None),
        ({}, None),
    ],
)
def test_it_says_that_the_time_budget_ended_the_search(
    results: Results, study: dict[str, object], said: str | None
) -> None:
    text = summary(replace(results, study=study))
    assert ("time budget" in text) == (said is not None)
    assert said is None or said in text


def test_the_commands_that_come_next_are_quoted(results: Results) -> None:
    text = summary(results)
    assert f"tune-mlp export '{results.path}' --to xlsx" in text
    assert f"tune-mlp search --space '{results.path}/study.yaml' --seed 4 " in text


def test_an_interrupted_search_shows_the_best_so_far() -> None:
    console = Console(file=io.StringIO(), width=100)
    assert isinstance(console.file, io.StringIO)
    display = Display()
    show_best_so_far(console, display)
    display.begin(Board("", "val_accuracy", "max", trials=9, epochs=9))
    show_best_so_far(console, display)
    assert console.file.getvalue() == "", "none is known yet"
    display.trial_started(4, {"lr": 0.1})
    display.trial_trained(4, 1, 1, 0.5, 0.75)
    show_best_so_far(console, display)
    assert console.file.getvalue() == "best so far: trial 4  best_val_accuracy 0.7500  lr 0.1\n"


def test_it_counts_the_looks_at_the_test_part(results: Results) -> None:
    assert results.looks == 2
    assert "On the test set, looked at 2 times in all: trial 0 has" in summary(results)
    assert "On the test set, used once: trial 0 has" in summary(replace(results, looks=1))
