"""The report as the service serves it, in Chromium: it draws all charts, and can't act as the reader of the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.pages import CHROMIUM, a_reported_run, chromium
from tests.service.apps import opened
from tests.service.servers import serving
from tune_mlp.report.write import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium isn't installed")

THIEF = """<!doctype html><title>thief</title><p id="said">nothing</p><script>
const say = (text) => { document.getElementById("said").textContent = text; };
Promise.allSettled([
  fetch("/api/studies/made/stop", {method: "POST"}), fetch("/api/me"), new Promise((_, no) => no(window.origin)),
  (async () => localStorage.length)(), (async () => document.cookie)(), (async () => parent.document.title)(),
]).then((all) => say(all.map((one) => one.status === "rejected" ? "refused" : "done:" + JSON.stringify(one.value)).join(" ")));
</script>"""


def test_a_served_report_draws_its_charts_and_a_hostile_one_can_do_nothing(tmp_path: Path) -> None:
    write_report(a_reported_run(tmp_path / "made", trials=20))
    a_reported_run(tmp_path / "evil", trials=4)
    (tmp_path / "evil" / "report.html").write_text(THIEF)
    with opened(tmp_path) as (app, _), serving(app) as url, chromium() as reader:
        page = reader.page
        page.goto(f"{url}/api/studies/made/report")
        page.wait_for_function("document.querySelectorAll('figure .chart svg').length > 0")
        page.wait_for_function(
            "document.querySelectorAll('figure .chart svg').length === document.querySelectorAll('figure .chart').length"
        )
        assert page.evaluate("window.origin") == "null"
        assert page.locator("#trials-table tbody tr").count() == 20
        assert [line for line in reader.said if "error" in line.lower()] == []
        reader.said.clear()
        page.goto(f"{url}/api/studies/evil/report")
        page.wait_for_function("document.getElementById('said').textContent !== 'nothing'")
        assert page.locator("#said").inner_text().split() == ["refused"] * 5 + ['done:"thief"']
        assert any("Content Security Policy" in line for line in reader.said)
