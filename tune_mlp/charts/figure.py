"""A figure: a chart or pictures, with what they show in a sentence, how to read them, and the rows that were drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from textwrap import wrap
from typing import Any, cast

import altair as alt
import pandas as pd

from tune_mlp.charts.fast_altair import ALTAIR
from tune_mlp.charts.theme import config

alt.data_transformers.disable_max_rows()  # charts aggregate by themselves; Altair would refuse 5,000 rows

Chart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart | alt.ConcatChart


def without_facts(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of an answer alone."""
    rows = frame.copy(deep=False)
    rows.attrs = {}
    return rows


@dataclass(frozen=True)
class Image:
    """A picture that is no chart, such as a digit or a matrix of weights."""

    png: bytes
    alt: str
    """What it shows, for those who can't see it."""
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """One figure of a report. It has a chart or images."""

    name: str
    """Its name in Python and in files, such as `learning_curves`."""
    title: str
    finding: str
    """What this figure shows of this run, in one sentence."""
    caption: str
    """How to read it: what the marks and axes are."""
    data: pd.DataFrame
    """The rows that were drawn."""
    chart: Chart | None = None
    images: tuple[Image, ...] = ()
    trials: tuple[int, ...] = ()
    """The trials that the finding's numbers come from; empty means all of them."""
    notes: tuple[str, ...] = field(default=())
    """What a reader must know, such as how many trials were left out."""

    def specification(self) -> dict[str, Any]:
        """Return the chart as a Vega-Lite specification without colours; a page adds the configuration of a look."""
        return dict(self._specification)

    @cached_property
    def _specification(self) -> dict[str, Any]:
        assert self.chart is not None
        rows: dict[int, tuple[pd.DataFrame, Any]] = {}

        def once(frame: Any) -> Any:
            """Turn a table into rows only once, though each layer of a chart has it."""
            if id(frame) not in rows:
                # pandas copies the answer's facts with each step, and Altair takes many. A frame that lives keeps its number.
                rows[id(frame)] = frame, alt.to_values(without_facts(frame))
            return rows[id(frame)][1]

        with ALTAIR:
            alt.data_transformers.register("once", once)
            with alt.data_transformers.enable("once"):
                # The tests validate all charts; it takes as long again.
                found: dict[str, Any] = self.chart.to_dict(validate=False)
        found.pop("config", None)
        return found

    def themed(self, look: str = "light") -> Chart:
        """Return the chart with its title and colours, as it stands alone in a notebook or a file."""
        assert self.chart is not None
        title = alt.TitleParams(self.title, subtitle=wrap(self.finding, 90))
        return cast("Chart", self.chart.properties(title=title).configure(**config(look)))
