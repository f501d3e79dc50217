"""Routes of a study's best model: what it takes, its answers for new samples, and its files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from tune_mlp.errors import UsageError
from tune_mlp.service.dependencies import AppState, Name, State
from tune_mlp.service.fault_answers import refusals
from tune_mlp.service.faults import Conflict
from tune_mlp.service.responses import BinaryResponse, FileDownload, attachment
from tune_mlp.service.result_messages import ModelFacts, Predictions, Question
from tune_mlp.service.served_files import file_inside
from tune_mlp.service.stamps import stamp_of

router = APIRouter(tags=["model"])
REFUSED = refusals(404, 409)


@router.get("/studies/{name}/model", responses=REFUSED)
async def model(name: Name, state: State) -> ModelFacts:
    """Say what the best model takes and what it answers. While the search goes on, it is the best so far."""

    def work() -> ModelFacts:
        best = state.models.load(name)
        from tune_mlp.service.predictions import facts_of

        return facts_of(best)

    return await state.heavy.each_time(work)


@router.post("/studies/{name}/predict", responses=refusals(404, 408, 409, 413, 415))
async def predict(name: Name, question: Question, state: State) -> Predictions:
    """Answer for samples with the best model, and say what it looked at if the gradient is asked for. Nothing is kept."""

    def work() -> Predictions:
        best = state.models.load(name)
        from tune_mlp.service.predictions import answer

        return answer(best, question)

    return await state.heavy.each_time(work)


@router.get("/studies/{name}/best/model.pt", response_class=BinaryResponse, responses=REFUSED)
def weights(name: Name, state: State) -> FileDownload:
    """Return the best model's weights, a plain state dict of PyTorch."""
    state.service.get(name)
    return FileDownload(file_inside(state.service.folder(name), "best", "model.pt"), f"{name}.pt")


@router.get("/studies/{name}/best/model.onnx", response_class=BinaryResponse, responses=REFUSED)
async def onnx(name: Name, state: State) -> BinaryResponse:
    """Return the best model as ONNX, with the scaling of its inputs inside."""
    summary = await run_in_threadpool(state.service.get, name)
    content = await state.heavy.once(("onnx", name, stamp_of(summary)), lambda: _as_onnx(state, name))
    return BinaryResponse(content, headers=attachment(f"{name}.onnx"))


def _as_onnx(state: AppState, name: str) -> bytes:
    best = state.models.load(name)
    from tune_mlp.prediction.onnx_export import export_onnx

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            export_onnx(best.model, path)
        except UsageError as error:  # the package is missing, or ONNX has no word for a part of this net
            raise Conflict(str(error)) from None
        return path.read_bytes()
