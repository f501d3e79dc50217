"""Applications for tests: the real service below a folder, on a real server, and a run with a trained winner in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from tests.service.servers import FREELY, asking
from tests.service.services import service
from tune_mlp.service.access import Access, digest_of
from tune_mlp.service.app import make_app
from tune_mlp.service.app_options import AppOptions
from tune_mlp.service.studies import StudyService
from tune_mlp.service.users import User

TOKENS = {"ada": "a" * 43, "bob": "b" * 43, "root": "r" * 43}
"""The token of each user; root is an admin."""
USERS = Access({digest_of(token): User(name, admin=name == "root") for name, token in TOKENS.items()})


def bearer(name: str) -> dict[str, str]:
    """Return the header that proves who a user is."""
    return {"Authorization": f"Bearer {TOKENS[name]}"}


@contextmanager
def opened(
    root: Path, access: Access | None = None, web: AppOptions = FREELY, **options: Any
) -> Iterator[tuple[FastAPI, StudyService]]:
    """Open a service below a folder, with quick drivers, and make its application."""
    with service(root, **options) as studies:
        yield make_app(studies, access or Access(), web), studies


@contextmanager
def client_of(
    root: Path, access: Access | None = None, web: AppOptions = FREELY, **options: Any
) -> Iterator[httpx.Client]:
    """Serve a folder, and yield a client that talks to the service."""
    with opened(root, access, web, **options) as (app, _), asking(app) as client:
        yield client


def submitted(client: httpx.Client, body: Mapping[str, Any], **headers: str) -> dict[str, Any]:
    """Submit a study, and return its summary."""
    answer = client.post("/api/studies", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    summary: dict[str, Any] = answer.json()
    return summary
