"""The report at the end of a search, which never fails the search."""

from __future__ import annotations

import importlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tune_mlp.errors import one_line
from tune_mlp.imports import import_ahead
from tune_mlp.records import Say

if TYPE_CHECKING:  # pandas takes 0.4 s to import
    from tune_mlp.data.dataset import Problem
    from tune_mlp.report.net_inside import NetInside
    from tune_mlp.results.results import Results
    from tune_mlp.results.storage import ObjectStore

WRITER = "tune_mlp.report.write"
"""The module that writes reports. It takes half a second to import, most of it for altair."""


class ReportAtTheEnd:
    """Writes a run's report once its trials have ended."""

    def __init__(self) -> None:
        self.results: Results | None = None
        """The results that were reported. What was worked out of them is remembered with them."""
        self._inside: NetInside | None = None
        self._fault: Exception | None = None

    def begin(self) -> None:
        """Import what is needed, while the trials train."""
        import_ahead(WRITER)

    def draw(self, folder: Path, where: Path | ObjectStore, problem: Problem) -> None:
        """Draw the figures once the tables are written, while Ray ends; `where` is the run as a user names it."""
        self._drawing = threading.Thread(target=self._draw, args=(folder, where, problem))
        self._drawing.start()

    def _draw(self, folder: Path, where: Path | ObjectStore, problem: Problem) -> None:
        try:
            import_ahead(WRITER).join()
            found: Results = importlib.import_module("tune_mlp.results.results").Results.load(folder)
            assert found.files is not None
            self.results = replace(found, source=str(where), files=found.files._replace(where=where))
            writer = importlib.import_module(WRITER)
            source = importlib.import_module("tune_mlp.explain.data_source").DataSource(problem=problem)
            self._inside = writer.draw_ahead(self.results, source)
        except Exception as error:  # noqa: BLE001  # `write` says it
            self._fault = error

    def write(self, folder: Path, say: Say) -> None:
        """Write the report into the run's folder. A fault is said in one line: the search has succeeded all the same."""
        try:
            self._drawing.join()
            if self._fault:
                raise self._fault
            assert self.results is not None
            writer, files = importlib.import_module(WRITER), importlib.import_module("tune_mlp.results.run_files")
            self.results.manifest.update(files.read_manifest(folder / "run.json"))  # how the run ended, and when
            writer.write_report(self.results, folder / "report.html", inside=self._inside)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
            say(f"warning: report.html couldn't be written: {one_line(error, 300)}", "yellow")
