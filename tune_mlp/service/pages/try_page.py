"""The page on which a reader asks the best model: a drawn digit, or rows of a table."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from tune_mlp.errors import TuneMlpError
from tune_mlp.service.dependencies import Name, State
from tune_mlp.service.pages.rendering import page
from tune_mlp.service.result_messages import ModelFacts

router = APIRouter(include_in_schema=False)
DRAWN = ((28, 28), (8, 8))
"""The sizes of pictures that can be drawn as digits are: MNIST's, and scikit-learn's."""


@router.get("/studies/{name}/try")
async def try_model(request: Request, name: Name, state: State) -> Response:
    """Show what the best model takes, and let the reader ask it."""

    def work() -> ModelFacts:
        from tune_mlp.service.predictions import facts_of

        return facts_of(state.models.load(name))

    study = state.service.get(name)
    model, fault = None, ""
    try:
        model = await state.heavy.each_time(work)
    except TuneMlpError as error:
        fault = str(error)
    drawn = model is not None and model.shape in DRAWN
    return page(request, "try.html", study=study, model=model, drawn=drawn, fault=fault, here="try")
