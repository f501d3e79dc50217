"""The reports of the main job and of each published study, which are real runs in a small form, in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.pages import CHROMIUM, chromium
from tune_mlp import Study
from tune_mlp.published.reproduce import Options, reproduce
from tune_mlp.published.studies import load, published_studies
from tune_mlp.report.verify import verify
from tune_mlp.report.write import write_report
from tune_mlp.results.results import Results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("local_ray"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium isn't installed"),
]


def check_page(run: Path) -> None:
    """Write the report of a run, work its numbers out again, and open it: light and dark, on a desk, on a phone and on paper."""
    page = Path(write_report(Results.load(run)))
    assert verify(page).facts["differ"] == 0
    with chromium() as reader:
        seen = reader.open(page)
        assert reader.faults(page) == []
        charts = seen.locator("figure .chart").count()
        assert charts == seen.locator("figure .chart svg").count() > 0
        figures = seen.locator("figure").count()
        assert figures == seen.locator("figure figcaption").count()
        assert seen.locator("details[data-figure]").count() >= charts
        for scheme in ("dark", "light"):
            seen.emulate_media(color_scheme=scheme)
            seen.wait_for_timeout(300)
            assert reader.hindrances() == []
        seen.set_viewport_size({"width": 360, "height": 740})
        seen.wait_for_timeout(600)
        assert seen.evaluate("document.documentElement.scrollWidth") == 360
        assert len(seen.pdf()) > 50_000
        assert reader.said == []


def test_the_report_of_the_main_job_can_be_read_by_everybody(tmp_path: Path) -> None:
    """The search of `mnist_asha` as it is, on fewer samples for fewer epochs, so that it takes a minute."""
    study = Study.load("mnist_asha", trials=60, epochs=4, **{"data.samples": 2000})
    check_page(study.run(out=tmp_path, quiet=True).path)


@pytest.mark.parametrize("name", sorted(published_studies()))
def test_the_report_of_a_published_study_can_be_read_by_everybody(name: str, tmp_path: Path) -> None:
    first = next(key for key, experiment in load(name).published.experiments.items() if not experiment.check)
    done = reproduce([name], Options(quick=True, only=(first,), out=tmp_path))
    assert done.failed == 0, done.first_failure
    runs = [path.parent for path in done.path.glob("*/journal.jsonl")]
    assert len(runs) == 1
    check_page(runs[0])
