"""The router of all pages; the app mounts it beside the API's."""

from __future__ import annotations

from fastapi import APIRouter

from tune_mlp.service.pages import (
    assets,
    compare_page,
    login_page,
    new_study,
    studies_page,
    study_changes,
    study_page,
    trial_page,
    try_page,
)

router = APIRouter(include_in_schema=False)
for part in (
    assets,
    login_page,
    studies_page,
    new_study,
    compare_page,
    study_page,
    trial_page,
    try_page,
    study_changes,
):
    router.include_router(part.router)
