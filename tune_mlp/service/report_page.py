"""The report of a study: the page that its search left, or one that is drawn now where the study has gone on since."""

from __future__ import annotations

from tune_mlp.charts.fast_altair import fast_altair
from tune_mlp.regular_files import open_regular
from tune_mlp.report.page import report_page
from tune_mlp.report.write import REPORT
from tune_mlp.results.results import Results
from tune_mlp.service.faults import UnknownStudy
from tune_mlp.service.served_files import file_inside

MOST_REPORT_BYTES = 200_000_000


def report_bytes(results: Results) -> bytes:
    """Return the page. One that the search left is newer than the journal, of which it tells."""
    try:
        path = file_inside(results.path, REPORT)
        if path.stat().st_mtime_ns >= (results.path / "journal.jsonl").stat().st_mtime_ns:
            with open_regular(path, MOST_REPORT_BYTES) as file:
                return file.read()
    except (OSError, UnknownStudy):
        pass  # there is none, or it can't be read
    with fast_altair():
        return report_page(results).encode("utf-8", "backslashreplace")
