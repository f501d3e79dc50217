"""Charts that share what Altair would copy are written as those that share nothing, and Altair is as before afterwards."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import altair as alt
import pandas as pd
from altair.utils import schemapi

from tests.report.pages import a_reported_run
from tune_mlp.charts.fast_altair import INNER, fast_altair
from tune_mlp.charts.figure import Figure
from tune_mlp.charts.search_figures import SEARCH_FIGURES, search_figure
from tune_mlp.results.results import Results


def written(results: Results) -> dict[str, str]:
    """Return each figure's specification. Altair counts its parameters on, so their numbers are left out."""
    found = {}
    for name in SEARCH_FIGURES:
        figure = search_figure(results, name)
        if figure.chart is not None:
            text = json.dumps(figure.specification(), sort_keys=True, default=str)
            found[name] = re.sub(r"(param|view|data)[_-][0-9a-f]+", r"\1", text)
    return found


def test_charts_are_the_same_with_and_without_shared_parts(tmp_path: Path) -> None:
    results = a_reported_run(tmp_path / "made")
    usual = written(results)
    before = [getattr(schemapi, name) for name in INNER]
    with fast_altair():
        assert [getattr(schemapi, name) for name in INNER] != before, "Altair has other inner parts now"
        fast = written(results)
    assert len(fast) > 10
    assert fast == usual
    assert [getattr(schemapi, name) for name in INNER] == before


def test_a_chart_of_more_than_5_000_rows_is_drawn_by_several_threads_at_once() -> None:
    """Altair refuses so many by itself, and keeps its ways of writing rows for the whole process."""
    frame = pd.DataFrame({"a": range(6000)})
    found: list[int] = []

    def draw() -> None:
        for _ in range(5):
            chart = alt.Chart(frame).mark_point().encode(x="a:Q")
            with fast_altair():
                specification = Figure("many", "", "", "", frame, chart).specification()
            found.append(sum(map(len, specification["datasets"].values())))

    before = [getattr(schemapi, name) for name in INNER]
    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [6000] * 20
    assert [getattr(schemapi, name) for name in INNER] == before
    assert alt.data_transformers.active != "once"
