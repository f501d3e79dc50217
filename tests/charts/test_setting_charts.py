"""Tests of the charts of settings: each can be drawn of every kind of search, and is no larger than a page can bear."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import vl_convert

from benchmarks import made_studies as made
from tune_mlp.charts.search_figures import search_figure
from tune_mlp.results.results import Results

NAMES = [
    "importance",
    "parallel_coordinates",
    "parameters",
    "strongest_pair",
    "time_against_score",
    "weights_against_score",
]
HOSTILE = "a[0].b'\"</script><img onerror>\\"


@cache
def search(kind: str) -> Results:
    """Return a made search of a kind that is hard to draw."""
    random = np.random.default_rng(0)
    count = {"large": 10_000, "one": 1}.get(kind, 40)
    some = made.draws(count, random)
    scores = random.normal(0.5, 0.1, count) + 0.1 * np.array([one["optimizer"] == "sgd" for one in some])
    states = np.array(["finished"] * count, object)
    for one in some:
        if kind == "hostile":
            one[HOSTILE] = float(random.uniform())
            one["widths"] = [8] * int(random.integers(4))
    if kind == "diverged":
        scores[:4], states[:4] = [math.nan, math.inf, 1e300, -1e300], "diverged"
        scores[4] = -1e12
    if kind == "failed":
        scores[:], states[:] = math.nan, "failed"
    costs: Any = {"seconds": random.uniform(0.1, 100, count), "weights": random.integers(100, 10**6, count)}
    found = made.results_of(some, scores, state=states, **costs)
    return found.judged_by(mode="min") if kind == "small is good" else found


@pytest.mark.parametrize("kind", ["hostile", "diverged", "small is good"])
@pytest.mark.parametrize("name", NAMES)
def test_each_chart_can_be_drawn_of_any_search(name: str, kind: str) -> None:
    figure = search_figure(search(kind), name)
    assert figure.chart is not None
    svg = vl_convert.vegalite_to_svg(figure.themed("dark").to_dict())
    assert "NaN" not in svg
    assert "undefined" not in svg


@pytest.mark.parametrize("kind", ["one", "failed"])
@pytest.mark.parametrize("name", NAMES[:4])
def test_a_search_without_anything_to_compare_has_a_sentence_instead(name: str, kind: str) -> None:
    figure = search_figure(search(kind), name)
    assert figure.chart is None
    assert figure.finding.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_of_10_000_trials_is_small(name: str) -> None:
    assert len(json.dumps(search_figure(search("large"), name).specification())) < 130_000


def test_a_parameters_name_is_never_a_field() -> None:
    for name in NAMES:
        specification = search_figure(search("hostile"), name).specification()
        fields = [value for value in _fields(specification) if HOSTILE in value]
        assert fields == [], name


def _fields(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [value for key, value in node.items() if key in ("field", "as", "fold") and isinstance(value, str)]
        return [*own, *(field for key, value in node.items() if key != "datasets" for field in _fields(value))]
    return [field for inner in node for field in _fields(inner)] if isinstance(node, list) else []


def test_a_brush_on_each_axis_keeps_the_lines_that_pass_there() -> None:
    chart = search_figure(search("hostile"), "parallel_coordinates").specification()
    brushes = {param["name"]: param for param in chart["params"] if param["name"].startswith("axis_")}
    axes = sum(column.startswith("p") for column in search_figure(search("hostile"), "parallel_coordinates").data)
    assert len(brushes) == axes
    test = chart["layer"][0]["encoding"]["opacity"]["condition"]["test"]
    assert all(f"inrange(datum.p{number}, axis_{number}.at)" in test for number in range(axes))
