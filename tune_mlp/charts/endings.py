"""How trials ended, as colours and shapes that mean the same in all charts; the second colour is left to the marked trial."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt

# The place in the list of categories is the colour. Names that no trial has leave out the colours at their places.
PLACES = ["finished", "(marked)", "running", "diverged", "failed", "(light blue)", "stopped"]
SHAPES = {
    "finished": "circle",
    "running": "circle",
    "diverged": "cross",
    "failed": "square",
    "stopped": "triangle-down",
}


def ending_color(present: Iterable[str], title: str | None = None) -> alt.Color:
    """Return the colours of the ways of ending; the legend has those that are present."""
    return alt.Color(
        "ended:N",
        scale=alt.Scale(domain=PLACES, range="category"),
        legend=alt.Legend(values=_ordered(present), title=title, orient="top"),
    )


def ending_shape(present: Iterable[str], title: str | None = None) -> alt.Shape:
    """Return the shapes of the ways of ending; the legend has those that are present, and joins that of the colours."""
    return alt.Shape(
        "ended:N",
        scale=alt.Scale(domain=PLACES, range=[SHAPES.get(name, "circle") for name in PLACES]),
        legend=alt.Legend(values=_ordered(present), title=title, orient="top"),
    )


def _ordered(present: Iterable[str]) -> list[str]:
    found = {*present}
    return [name for name in SHAPES if name in found]
