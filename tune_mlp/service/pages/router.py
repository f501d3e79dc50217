"""The router of all pages; the app mounts it beside the API's."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
