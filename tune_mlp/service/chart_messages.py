"""The charts of a study as messages: the same charts that its report has, as Vega-Lite specifications."""

from __future__ import annotations

from tune_mlp.charts.fast_altair import ALTAIR
from tune_mlp.charts.search_figures import SEARCH_FIGURES, search_figure
from tune_mlp.charts.theme import config
from tune_mlp.results.answer import plain
from tune_mlp.results.results import Results
from tune_mlp.service.faults import UnknownStudy
from tune_mlp.service.result_messages import ChartMessage, ChartName


def chart_names() -> list[ChartName]:
    """Return all charts that a study may have."""
    return [ChartName(name=name, title=kind.title, caption=kind.caption) for name, kind in SEARCH_FIGURES.items()]


def chart_message(results: Results, name: str, look: str) -> ChartMessage:
    """Draw a chart."""
    if name not in SEARCH_FIGURES:
        raise UnknownStudy(f"there is no chart {name}; known: {', '.join(SEARCH_FIGURES)}")
    with ALTAIR:
        figure = search_figure(results, name)
        specification = None if figure.chart is None else plain({**figure.specification(), "config": config(look)})
    return ChartMessage(
        name=name,
        title=figure.title,
        finding=figure.finding,
        caption=figure.caption,
        notes=figure.notes,
        specification=specification,
    )
