"""Routes of what a study found: what matters, what can be told apart, what to do next, charts, the report, and several studies compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Response
from fastapi.concurrency import run_in_threadpool

from tune_mlp.errors import UsageError
from tune_mlp.results.answer import Answer
from tune_mlp.results.results import Results
from tune_mlp.service.dependencies import AppState, Name, State
from tune_mlp.service.fault_answers import refusals
from tune_mlp.service.faults import Conflict, ServiceFault
from tune_mlp.service.guards.response_headers import FRAMED
from tune_mlp.service.messages import NAME_PATTERN
from tune_mlp.service.responses import PageResponse
from tune_mlp.service.result_messages import AnswerMessage, ChartMessage, ChartName, StudiesCompared
from tune_mlp.service.stamps import stamp_of

router = APIRouter(tags=["results"])
REFUSED = refusals(404, 409)
MOST_COMPARED = 10
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads allow-popups; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    f"style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; {FRAMED}"
)
"""The policy of a report, whose scripts stand in the page. Its sandbox gives the page an origin of its own, so that whatever a run's
folder holds can't act as the user of this service; the page's own policy allows only the scripts that it names."""

T = TypeVar("T")


async def _once(state: AppState, kind: str, name: str, work: Callable[[Results], T], *further: object) -> T:
    """Work something out from a study's results, once for each state of its journal."""
    summary = await run_in_threadpool(state.service.get, name)

    def answered() -> T:
        results = state.service.results(name)
        try:
            return work(results)
        except ServiceFault:
            raise
        except UsageError as error:  # the request is right, but the study hasn't come so far
            raise Conflict(str(error)) from None

    return await state.heavy.once((kind, name, *further, stamp_of(summary)), answered)


def _importance(results: Results) -> Answer:
    from tune_mlp.insight.importance import importance

    return importance(results)


def _comparison(results: Results) -> Answer:
    from tune_mlp.insight.compare import compare

    return compare(results, ())


def _advice(results: Results) -> Answer:
    from tune_mlp.insight.advice import advice

    return advice(results)[0]


def _message(make: Callable[[Results], Answer]) -> Callable[[Results], AnswerMessage]:
    def made(results: Results) -> AnswerMessage:
        from tune_mlp.service.trial_detail import answer_message

        return answer_message(make(results))

    return made


@router.get("/studies/{name}/importance", responses=REFUSED)
async def importance(name: Name, state: State) -> AnswerMessage:
    """Say which parameters matter for the score, judged beside shuffled copies of themselves."""
    return await _once(state, "importance", name, _message(_importance))


@router.get("/studies/{name}/comparison", responses=REFUSED)
async def comparison(name: Name, state: State) -> AnswerMessage:
    """Say which trials can't be told from the winner, on the same validation samples."""
    return await _once(state, "comparison", name, _message(_comparison))


@router.get("/studies/{name}/advice", responses=REFUSED)
async def advice(name: Name, state: State) -> AnswerMessage:
    """Say what to change for the next search."""
    return await _once(state, "advice", name, _message(_advice))


@router.get("/studies/{name}/charts", responses=REFUSED)
async def charts(name: Name, state: State) -> list[ChartName]:
    """List the charts that a study may have."""
    await run_in_threadpool(state.service.get, name)

    def work() -> list[ChartName]:
        from tune_mlp.service.chart_messages import chart_names

        return chart_names()

    return await state.heavy.once("charts", work)


@router.get("/studies/{name}/charts/{chart}", response_model=ChartMessage, responses=REFUSED)
async def chart(
    name: Name,
    chart: Annotated[str, Path(pattern=r"^[a-z_]+$", max_length=40)],
    state: State,
    theme: Literal["light", "dark"] = "light",
) -> Response:
    """Return a chart as a Vega-Lite specification."""

    def work(results: Results) -> bytes:
        from tune_mlp.service.chart_messages import chart_message

        return chart_message(results, chart, theme).model_dump_json().encode()

    # As JSON at once: a chart of thousands of trials takes longer to check and to write than to draw.
    return Response(await _once(state, "chart", name, work, chart, theme), media_type="application/json")


@router.get("/studies/{name}/report", response_class=PageResponse, responses=REFUSED)
async def report(name: Name, state: State) -> PageResponse:
    """Return a study's report as one page. It is drawn anew when the study has gone on since."""

    def work(results: Results) -> bytes:
        from tune_mlp.service.report_page import report_bytes

        return report_bytes(results)

    content = await _once(state, "report", name, work)
    return PageResponse(content, headers={"Content-Security-Policy": REPORT_POLICY})


@router.get("/compare", responses=REFUSED)
async def compare(
    study: Annotated[
        list[Annotated[str, Query(pattern=NAME_PATTERN, max_length=64)]],
        Query(min_length=2, max_length=MOST_COMPARED, description="The names of the studies."),
    ],
    state: State,
) -> StudiesCompared:
    """Put several studies side by side: settings that differ, the best score over trials and over time, and their best trials."""
    summaries = [await run_in_threadpool(state.service.get, name) for name in dict.fromkeys(study)]

    def work() -> StudiesCompared:
        from tune_mlp.service.compared_studies import compare_studies

        return compare_studies([(summary, state.service.results(summary.name)) for summary in summaries])

    return await state.heavy.once(("compare", *((one.name, stamp_of(one)) for one in summaries)), work)
