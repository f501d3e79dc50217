"""A refusal: the answer of a guard that lets a request go no further, in the same form as every other fault."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from tune_mlp.service.messages import Fault


def refusal(status: int, why: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the answer that refuses a request in one line."""
    return JSONResponse(Fault(error=why).model_dump(), status, dict(headers or {}))
