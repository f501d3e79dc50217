"""The report at the end of a search, which never fails the search."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tune_mlp.errors import one_line
from tune_mlp.imports import import_ahead
from tune_mlp.records import Say

if TYPE_CHECKING:  # pandas takes 0.4 s to import
    from tune_mlp.results.results import Results
    from tune_mlp.results.storage import ObjectStore

WRITER = "tune_mlp.report.write"
"""The module that writes reports. It takes half a second to import, most of it for altair."""


class ReportAtTheEnd:
    """Writes a run's report once its trials have ended."""

    def __init__(self) -> None:
        self.results: Results | None = None
        """The results that were reported. What was worked out of them is remembered with them."""

    def begin(self) -> None:
        """Import what is needed, while the trials train."""
        self._importing = import_ahead(WRITER)

    def write(self, folder: Path, where: Path | ObjectStore, say: Say) -> None:
        """Write the report into the run's folder; `where` is the run as a user names it. A fault is said in one line: the
        search has succeeded all the same."""
        self._importing.join()
        try:
            results = importlib.import_module("tune_mlp.results.results").Results.load(folder)
            self.results = replace(results, source=str(where), files=results.files._replace(where=where))
            importlib.import_module(WRITER).write_report(self.results, folder / "report.html")
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
            say(f"warning: report.html couldn't be written: {one_line(error, 300)}", "yellow")
