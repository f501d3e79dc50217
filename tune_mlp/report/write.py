"""Writing a report: to a run's folder or to its object store, whole or not at all, and anew while a run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tune_mlp.explain.data_source import AS_THE_RUN_SAYS, DataSource
from tune_mlp.report.material import materials
from tune_mlp.report.net_inside import NetInside, net_inside
from tune_mlp.report.page import report_page
from tune_mlp.results.export import write_aside
from tune_mlp.results.results import Results
from tune_mlp.results.storage import ObjectStore

REPORT = "report.html"
LIVE_SECONDS = 5.0
"""The pause between two pages of a run that goes on."""


def write_report(
    results: Results,
    path: Path | None = None,
    live: bool = False,
    inside: NetInside | None = None,
    source: DataSource = AS_THE_RUN_SAYS,
) -> str:
    """Write the report of some results, and return where it lies. Without a path it goes to the run itself.

    The pictures of the best net are drawn now, on the samples of `source`, unless they are given.
    """
    page = report_page(results, net_inside(results, source) if inside is None else inside, live).encode(
        "utf-8", "backslashreplace"
    )
    if path is None and isinstance(results.where, ObjectStore):
        results.where.write(REPORT, page)
        return str(results.where.within(REPORT))
    target = results.path / REPORT if path is None else path
    write_aside(target, lambda aside: aside.write_bytes(page))
    return str(target)


def draw_ahead(results: Results, source: DataSource) -> NetInside:
    """Work out the answers and the figures of some results, which are remembered with them until the report is written.
    Return the pictures of the best net, which are drawn beside them: PyTorch and the writing of PNGs leave the interpreter to others."""
    with ThreadPoolExecutor(1) as beside:
        inside = beside.submit(net_inside, results, source)
        materials(results)
        return inside.result()


def write_while_it_runs(
    load: Callable[[], Results],
    path: Path | None,
    pause: float = LIVE_SECONDS,
    source: DataSource = AS_THE_RUN_SAYS,
) -> str:
    """Write the report anew every few seconds until the run has ended; return where it lies."""
    while True:
        results = load()
        where = write_report(results, path, live=True, source=source)
        if results.manifest.get("state") != "running":
            return where
        time.sleep(pause)
