"""The trial that a reader has marked: every chart of a page draws it in the second colour, wherever it was clicked."""

from __future__ import annotations

from typing import Any

import altair as alt

MARKED = alt.param(name="marked", value=-1)
"""The number of the marked trial, -1 for none. A page sets it in all of its charts when a mark of a trial is clicked."""
IS_MARKED = "datum.trial === marked"


def unless_marked(usual: Any, marked: Any) -> dict[str, Any]:
    """Return an encoding's condition: one value for the marked trial, another one for all others."""
    return {"condition": {"test": IS_MARKED, "value": marked}, "value": usual}
