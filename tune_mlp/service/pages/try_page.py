"""The page on which a reader asks the best model: a drawn digit, or rows of a table."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from tune_mlp.errors import TuneMlpError
from tune_mlp.service.dependencies import Name, Service, State
from tune_mlp.service.pages.rendering import page
from tune_mlp.service.result_messages import ModelFacts

router = APIRouter(include_in_schema=False)
DRAWN = ((28, 28), (8, 8))
"""The sizes of pictures that can be drawn as digits are: MNIST's, and scikit-learn's."""


@router.get("/studies/{name}/try")
def try_model(request: Request, name: Name, service: Service) -> Response:
    """Show the page at once; it then asks for the model, which may take seconds to load."""
    return page(request, "try.html", study=service.get(name), here="try")


@router.get("/studies/{name}/parts/model")
async def model_part(request: Request, name: Name, state: State) -> Response:
    """Send what the best model takes, so that a reader can ask it."""

    def work() -> ModelFacts:
        best = state.models.load(name)
        from tune_mlp.service.predictions import facts_of

        return facts_of(best)

    model, fault = None, ""
    try:
        model = await state.heavy.each_time(work)
    except TuneMlpError as error:
        fault = str(error)
    drawn = model is not None and model.shape in DRAWN
    return page(request, "try_model.html", model=model, drawn=drawn, fault=fault)
