"""Charts that share what Altair would copy are written as those that share nothing, and Altair is as before afterwards."""

from __future__ import annotations

import json
import re
from pathlib import Path

from altair.utils import schemapi

from tests.report.pages import a_reported_run
from tune_mlp.charts.fast_altair import INNER, fast_altair
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
