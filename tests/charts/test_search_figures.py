"""Every figure of a search answers for every awkward run: it is a valid chart, or a sentence that says why there is none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import vl_convert

from tests.charts.awkward_runs import AWKWARD, NASTY, many
from tune_mlp.charts.plots import Plots
from tune_mlp.charts.search_figures import SEARCH_FIGURES, search_figure
from tune_mlp.charts.theme import config
from tune_mlp.errors import UsageError
from tune_mlp.results.results import Results

MOST_BYTES = 160_000
"""The largest size of a figure's specification with its data, so that a report of all figures stays small."""
OF_CURVES = ("learning_curves", "rungs", "convergence", "overfitting", "workers", "loss_by_step")
"""The figures that a table without epochs can't have."""


@pytest.fixture(scope="module", params=AWKWARD)
def results(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Results:
    return AWKWARD[request.param](tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return AWKWARD["usual"](tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("name", SEARCH_FIGURES)
def test_a_figure_is_a_valid_chart_or_says_why_there_is_none(results: Results, name: str) -> None:
    figure = search_figure(results, name)
    assert re.fullmatch(r"[^\n]+[.]", figure.finding)
    assert figure.caption.endswith(".")
    if figure.chart is None:
        assert figure.data.empty
        return
    specification = figure.specification()  # Altair holds it against Vega-Lite's schema
    text = json.dumps(specification, allow_nan=False)
    assert len(text) < MOST_BYTES
    assert "nan" not in figure.finding.split()


def assert_vega_draws(results: Results, name: str) -> None:
    figure = search_figure(results, name)
    if figure.chart is not None:
        svg = vl_convert.vegalite_to_svg({**figure.chart.to_dict(validate=False), "config": config()})
        assert "<svg" in svg
        assert not re.search(r"NaN|undefined|Infinity", re.sub(r"<text.*?</text>", "", svg))


@pytest.mark.parametrize("name", SEARCH_FIGURES)
@pytest.mark.parametrize("run", ["one_trial", "some_diverged", "regression"])
def test_vega_draws_a_figure_with_all_its_marks_at_a_place(tmp_path: Path, run: str, name: str) -> None:
    assert_vega_draws(AWKWARD[run](tmp_path), name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCH_FIGURES)
def test_vega_draws_each_figure_of_each_awkward_run(results: Results, name: str) -> None:
    assert_vega_draws(results, name)


@pytest.mark.parametrize("name", SEARCH_FIGURES)
def test_a_figure_names_no_colour(usual: Results, name: str) -> None:
    figure = search_figure(usual, name)
    if figure.chart is not None:
        assert not re.search(r'"#[0-9a-fA-F]{3,8}"|rgba?\(', json.dumps(figure.specification()))


@pytest.mark.parametrize("name", SEARCH_FIGURES)
def test_a_figure_is_a_method_of_plots(usual: Results, name: str) -> None:
    figure = search_figure(usual, name)
    method = getattr(usual.plot, name)
    if figure.chart is None:
        with pytest.raises(UsageError, match=re.escape(figure.finding)):
            method()
    else:
        assert method("dark").to_dict(validate=False)["title"]["text"] == figure.title


def test_plots_have_a_method_for_each_figure_in_their_order() -> None:
    methods = [name for name in vars(Plots) if not name.startswith("_") and name != "results"]
    assert sorted(methods) == sorted(SEARCH_FIGURES)


def test_a_parameters_name_is_never_a_fields_path_or_an_expression(tmp_path: Path) -> None:
    results = AWKWARD["nasty_names"](tmp_path)
    for name in SEARCH_FIGURES:
        figure = search_figure(results, name)
        if figure.chart is not None:
            bare = figure.specification()
            bare.pop("datasets", None)
            for key in ("field", "filter", "calculate", "expr", "test", "lookup", "as"):
                for value in _values(bare, key):
                    assert NASTY not in str(value)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return many(tmp_path_factory.mktemp("large"), 700, epochs=6)


@pytest.mark.parametrize("name", [name for name in SEARCH_FIGURES if name != "importance"])
def test_a_figures_size_does_not_grow_with_the_number_of_trials(large: Results, name: str) -> None:
    figure = search_figure(large, name)
    if figure.chart is not None:
        assert len(json.dumps(figure.chart.to_dict(validate=False))) < MOST_BYTES


@pytest.mark.parametrize("name", [name for name in OF_CURVES if name in SEARCH_FIGURES])
def test_a_table_without_epochs_has_no_figure_of_curves(tmp_path: Path, name: str) -> None:
    figure = search_figure(AWKWARD["table"](tmp_path), name)
    assert (figure.chart, len(figure.data)) == (None, 0)


def _values(node: Any, key: str) -> list[Any]:
    if isinstance(node, dict):
        return ([node[key]] if key in node else []) + [
            found for value in node.values() for found in _values(value, key)
        ]
    if isinstance(node, list):
        return [found for value in node for found in _values(value, key)]
    return []
