"""The charts of the score along each parameter, as small multiples."""

from __future__ import annotations

import json
from typing import Any

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.marked_trial import IS_MARKED, MARKED
from tune_mlp.charts.scores import number_scale
from tune_mlp.charts.theme import ACCENT, BAND, MUTED, SECOND, WIDTH
from tune_mlp.insight.importance import EFFECT
from tune_mlp.insight.views.scales import MOST_LABELS
from tune_mlp.results.answer import percent

ACROSS = 3
HEIGHT = 130
AROUND = 46
BETWEEN: Any = {"row": 92, "column": AROUND}
"""The distances between the panels, which leave room for their labels and headings."""


def parameters(frame: pd.DataFrame) -> Chart:
    """Draw a panel for each parameter: a point for each trial, the middle half of the scores as a band or boxes, the median on it."""
    panels = frame.attrs["panels"]
    across = min(ACROSS, len(panels))
    width = WIDTH / across - AROUND
    drawn = [_panel(frame, number, width, titled=number % across == 0) for number in range(len(panels))]
    return alt.concat(*drawn, columns=across, data=frame, bounds="flush", spacing=BETWEEN, params=[MARKED.param])


def score_axis(frame: pd.DataFrame, field: str, title: str | None) -> alt.Y:
    """Return the axis of the scores, whose scale is the frame's fact `scale`; worse scores stand at its end."""
    scale = frame.attrs["scale"]
    low, high = scale["low"], scale["high"]
    return alt.Y(field, title=title, scale=number_scale(low, high, scale["by_logarithm"], clamp=True, nice=True))


def _panel(frame: pd.DataFrame, number: int, width: float, titled: bool) -> Chart:
    panel, field = frame.attrs["panels"][number], f"v{number}"
    names, title = panel["names"], frame.attrs["metric"] if titled else None
    y = score_axis(frame, "score:Q", title)
    x = _x(field, panel, width)
    tooltip = [
        alt.Tooltip("trial:Q"),
        alt.Tooltip("score:Q", format=".4g"),
        alt.Tooltip("settings:N"),
    ]
    trials = alt.Chart().transform_filter(f"isValid(datum.{field})").encode(x=x, y=y, tooltip=tooltip)
    if names:  # trials of the same value beside each other, by the golden section
        trials = trials.transform_calculate(beside=f"datum.{field} + 0.5 * ((datum.trial * 0.618034) % 1 - 0.5)")
        trials = trials.encode(x=_x("beside", panel, width))
    opacity = 0.35 + 0.4 * min(1.0, 40 / len(frame))
    layers = [
        *_spread(frame, panel, width, title),
        trials.mark_circle(style=MUTED, size=18, opacity=opacity),
        trials.transform_filter(IS_MARKED).mark_circle(style=SECOND, size=110, opacity=1),
    ]
    judged = panel["share"] is not None
    said = f"{percent(panel['share'])} of the variance" if panel["known"] else "an effect of unknown size"
    subtitle = said if judged and panel["verdict"] == EFFECT else "no evidence of an effect"
    heading = alt.TitleParams(
        panel["name"], subtitle=subtitle, fontSize=12, subtitleFontSize=11, offset=6, frame="group", limit=width + 40
    )
    return alt.layer(*layers, width=width, height=HEIGHT, title=heading)


def _x(field: str, panel: dict[str, Any], width: float) -> alt.X:
    names = panel["names"]
    if not names:
        axis = alt.Axis(tickCount=4, format="~g", grid=False, labelOverlap=True, labelSeparation=6)
        scale = number_scale(panel["low"], panel["high"], panel["log"], nice=False, padding=8)
        return alt.X(f"{field}:Q", title=None, axis=axis, scale=scale)
    last, shown = len(names) - 1, len(names) if len(names) <= MOST_LABELS else MOST_LABELS // 2
    narrow = max(map(len, names)) * 7 > width / len(names)
    axis = alt.Axis(
        values=sorted({round(place * last / (shown - 1)) for place in range(shown)}),
        labelExpr=f"{json.dumps(names)}[datum.value]",
        labelAngle=-35 if narrow else 0,
        labelLimit=75,
        labelOverlap=False,
        grid=False,
    )
    return alt.X(f"{field}:Q", title=None, axis=axis, scale=alt.Scale(domain=[-0.5, len(names) - 0.5], nice=False))


def _spread(frame: pd.DataFrame, panel: dict[str, Any], width: float, title: str | None) -> list[Chart]:
    """Return the middle half of the scores and their median: boxes at values, a band along a range."""
    if not panel["spread"]:
        return []
    tooltip = [
        alt.Tooltip("name:N", title="at"),  # no name of the user: Vega-Lite writes titles into code
        *(alt.Tooltip(f"{name}:Q", format=".4g") for name in ("median", "low", "high")),
        alt.Tooltip("trials:Q"),
    ]
    low, median = (score_axis(frame, f"{name}:Q", title) for name in ("low", "median"))
    parts = alt.Chart(pd.DataFrame(panel["spread"])).encode(x=_x("at", panel, width), tooltip=tooltip)
    if panel["names"]:
        wide = max(4.0, 0.6 * width / len(panel["names"]))
        return [
            parts.mark_bar(style=BAND, width=wide, cornerRadius=1).encode(y=low, y2="high:Q"),
            parts.mark_tick(style=ACCENT, width=wide, thickness=2.5, orient="horizontal").encode(y=median),
        ]
    return [
        parts.mark_area(style=BAND, interpolate="monotone").encode(y=low, y2="high:Q"),
        parts.mark_line(style=ACCENT, strokeWidth=2, fill=None, interpolate="monotone").encode(y=median),
    ]
