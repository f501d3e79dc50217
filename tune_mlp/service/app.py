"""The web application of the service: the HTTP API below /api, the pages beside it, and the guards around both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from tune_mlp.service.access import Access
from tune_mlp.service.app_options import AppOptions
from tune_mlp.service.dependencies import AppState
from tune_mlp.service.pages import router as pages
from tune_mlp.service.routes import about
from tune_mlp.service.studies import StudyService
from tune_mlp.version import __version__


def make_app(service: StudyService, access: Access, options: AppOptions | None = None) -> FastAPI:
    """Make the application that answers for a service; the service is opened and closed with it."""
    options = options or AppOptions()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.open()
        yield
        service.close()

    app = FastAPI(
        title="tune_mlp", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.ours = AppState(service, access, options)
    api = APIRouter(prefix="/api")
    api.include_router(about.router)
    app.include_router(api)
    app.include_router(pages)
    return app
