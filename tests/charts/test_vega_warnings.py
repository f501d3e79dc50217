"""A browser draws each figure of each awkward run, with a marked trial, without an error or a warning of Vega."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import vl_convert

from tests.charts.awkward_runs import AWKWARD
from tune_mlp.charts.search_figures import SEARCH_FIGURES, search_figure
from tune_mlp.charts.theme import config

CHROMIUM = "/usr/bin/chromium"
DRAW = """async (text) => {
    document.body.innerHTML = "<div id=chart></div>";
    const drawn = await vegaEmbed("#chart", JSON.parse(text), {actions: false});
    if (text.includes('"marked"')) await drawn.view.signal("marked", 1).runAsync();
}"""


@pytest.mark.slow
def test_vega_warns_of_no_figure(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    specifications = {}
    for run, make in AWKWARD.items():
        folder = tmp_path / run
        folder.mkdir()
        results = make(folder)
        figures = [search_figure(results, name) for name in SEARCH_FIGURES]
        for figure in figures:
            if figure.chart is not None:
                specifications[run, figure.name] = {**figure.chart.to_dict(validate=False), "config": config()}
    assert len(specifications) > 60
    said: list[str] = []
    warnings = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.set_content(vl_convert.vegalite_to_html(specifications["usual", "rungs"], bundle=True))
        for place, specification in specifications.items():
            page.evaluate(DRAW, json.dumps(specification))
            if said:
                warnings[place] = list(said)
            said.clear()
        browser.close()
    assert warnings == {}
