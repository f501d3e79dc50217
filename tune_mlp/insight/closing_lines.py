"""Closing lines: what the summary at the end of a search says of its answers, each in one line that names the command for more."""

from __future__ import annotations

import contextlib

from tune_mlp.insight.importance import leading_line
from tune_mlp.insight.leaders import indistinguishable_line
from tune_mlp.results.results import Results


def closing_lines(results: Results) -> list[str]:
    """Return the lines. A line that can't be worked out for a run is left out: the search has succeeded all the same."""
    found = []
    for line in (leading_line, indistinguishable_line):
        with contextlib.suppress(Exception):
            found.append(line(results))
    return [line for line in found if line]
