"""The page of a study while it runs and after: its course, its charts, its table of trials, and what can be done with it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from tune_mlp.charts.search_figures import SEARCH_FIGURES
from tune_mlp.service.dependencies import Service
from tune_mlp.service.pages.curves import CurveCache
from tune_mlp.service.pages.rendering import page, query
from tune_mlp.service.pages.trials_table import WantedTable, trials_table

router = APIRouter(include_in_schema=False)

LIVE_CHARTS = ("best_so_far", "rungs", "workers", "importance")
"""The charts that stand on the page from its start."""
CHOSEN_CHARTS = {
    name: figure.title for name, figure in SEARCH_FIGURES.items() if name not in (*LIVE_CHARTS, "learning_curves")
}
_CURVES = CurveCache()


@router.get("/studies/{name}")
def study(
    request: Request,
    service: Service,
    name: str,
    table: WantedTable,
    chart: Annotated[str, Query(max_length=60)] = "",
) -> Response:
    """Show a study."""
    found = service.get(name)
    return page(
        request,
        "study.html",
        study=found,
        table=trials_table(service, found, table),
        charts={kind: SEARCH_FIGURES[kind].title for kind in LIVE_CHARTS},
        others=CHOSEN_CHARTS,
        chart=chart if chart in CHOSEN_CHARTS else "",
        here="overview",
    )


@router.get("/studies/{name}/parts/head")
def head(request: Request, service: Service, name: str) -> Response:
    """Send what stands above the charts, as it is now."""
    return page(request, "study_head.html", study=service.get(name), here="overview")


@router.get("/studies/{name}/parts/trials")
def table_of_trials(request: Request, service: Service, name: str, table: WantedTable) -> Response:
    """Send a page of the table of trials."""
    found = service.get(name)
    shown = trials_table(service, found, table)
    answer = page(request, "trials_table.html", study=found, table=shown)
    if request.headers.get("hx-trigger") != "trials":  # a reader chose it, so it gets an address
        answer.headers["HX-Push-Url"] = f"/studies/{name}{query(shown.wanted.query)}"
    return answer


@router.get("/studies/{name}/curves")
def curves(service: Service, name: str) -> Response:
    """Send the learning curves as the live page draws them."""
    return JSONResponse(_CURVES.of(service.followed(name)), headers={"Cache-Control": "no-store"})


@router.get("/studies/{name}/file")
def study_file(request: Request, service: Service, name: str) -> Response:
    """Show the study's YAML."""
    return page(request, "study_file.html", study=service.get(name), text=service.study_text(name), here="file")


@router.get("/studies/{name}/report")
def report(request: Request, service: Service, name: str) -> Response:
    """Show the report within the study's pages."""
    return page(request, "report.html", study=service.get(name), here="report")
