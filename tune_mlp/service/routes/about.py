"""Routes about the service itself: its health, who asks, and what studies may hold."""

from __future__ import annotations

from fastapi import APIRouter

from tune_mlp.service.dependencies import Who
from tune_mlp.service.messages import Health, Me
from tune_mlp.version import __version__

router = APIRouter(tags=["service"])


@router.get("/health")
def health() -> Health:
    """Say that the service answers."""
    return Health(status="ok", version=__version__)


@router.get("/me")
def me(user: Who) -> Me:
    """Say whose token the request has."""
    return Me(name=user.name, admin=user.admin)
