"""Applications for tests: the real service below a folder, on a real server, and runs with a trained winner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI
from sklearn.datasets import load_iris

from tests.explain.nets import searched
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


def trained_runs(root: Path) -> None:
    """Search below a root: `digits` learnt pictures, and `iris` a table, which lies beside them."""
    searched(root)
    (root / "run").rename(root / "digits")
    load_iris(as_frame=True).frame.rename(columns={"target": "kind"}).assign(
        kind=lambda frame: frame["kind"].map({0: "setosa", 1: "versicolor", 2: "virginica"}),
        colour=lambda frame: np.where(frame["petal width (cm)"] < 1, "red", "blue"),
    ).to_csv(root / "iris.csv", index=False)
    searched(root, data={"name": f"csv:{root / 'iris.csv'}", "target": "kind"}, trials=2)
    (root / "run").rename(root / "iris")
