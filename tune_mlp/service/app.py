"""The web application of the service: the HTTP API below /api, the pages beside it, and the guards around both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from tune_mlp.service.access import Access
from tune_mlp.service.api_page import describe_api
from tune_mlp.service.app_options import AppOptions
from tune_mlp.service.best_model import BestModels
from tune_mlp.service.dependencies import AppState
from tune_mlp.service.fault_answers import answer_faults
from tune_mlp.service.guards.body_guard import BodyGuard
from tune_mlp.service.guards.head_guard import HeadGuard
from tune_mlp.service.guards.host_guard import HostGuard
from tune_mlp.service.guards.origin_guard import OriginGuard
from tune_mlp.service.guards.rates import Buckets, RateGuard
from tune_mlp.service.guards.response_headers import ResponseHeaders
from tune_mlp.service.guards.sign_in import SignInGuard
from tune_mlp.service.heavy_work import HeavyWork
from tune_mlp.service.pages import error_page
from tune_mlp.service.pages import router as pages
from tune_mlp.service.routes import about, answers, events, model, session, studies, tables
from tune_mlp.service.studies import StudyService
from tune_mlp.version import __version__

DESCRIPTION = "Submit, watch, stop, compare and use hyperparameter studies. An error is a Fault of one line."


def make_app(service: StudyService, access: Access, options: AppOptions | None = None) -> FastAPI:
    """Make the application that answers for a service, which whoever calls this has opened and will close."""
    options = options or AppOptions()
    failures = Buckets(options.failures)
    heavy = HeavyWork(options.heavy_threads)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        heavy.close()

    app = FastAPI(
        title="tune_mlp",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
    )
    app.state.ours = AppState(service, access, options, heavy, BestModels(service), failures)
    answer_faults(app, error_page)
    for part in (about, studies, events, tables, answers, model):
        app.include_router(part.router, prefix="/api")
    app.include_router(session.router)
    app.include_router(pages)
    describe_api(app, access)
    # The one that is added last is asked first.
    app.add_middleware(BodyGuard, most_bytes=options.most_body_bytes, seconds=options.body_seconds)
    app.add_middleware(RateGuard, reads=options.reads, changes=options.changes)
    app.add_middleware(SignInGuard, access=access, failures=failures)
    app.add_middleware(OriginGuard)
    app.add_middleware(HostGuard, host=options.host, allowed=options.allowed_hosts)
    app.add_middleware(HeadGuard)
    app.add_middleware(ResponseHeaders)
    return app
