"""A few pictures of the best net for the report; or why there are none."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from tune_mlp.charts.figure import Figure
from tune_mlp.errors import TuneMlpError, one_line
from tune_mlp.explain.data_source import AS_THE_RUN_SAYS, DataSource
from tune_mlp.results.results import Results


class NetInside(NamedTuple):
    """Figures of the best net."""

    figures: tuple[Figure, ...] = ()
    why_none: str = "a table of trials holds no net"


NO_NET = NetInside()


def net_inside(results: Results, source: DataSource = AS_THE_RUN_SAYS) -> NetInside:
    """Return the figures that are drawn quickly, measured on the validation part."""
    if results.files is None:
        return NO_NET
    if not (results.path / "best" / "trial.json").exists():
        return NetInside(why_none="the run has no winner's net, or none yet")
    # PyTorch takes 2 s to import, and a table or a run without a winner needs none of it.
    explain_figures = importlib.import_module("tune_mlp.charts.net_figures").explain_figures
    try:
        return NetInside(tuple(explain_figures(results, few=True, source=source)))
    except TuneMlpError as error:
        return NetInside(why_none=one_line(error, 300))
