"""The files that training leaves: checkpoints to go on from, and the best model with its description.

Each is written under another name and then renamed, so that a reader, or a resume after a kill, finds a whole file or none.
Reading one unpickles nothing but tensors and plain values.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn

from tune_mlp.config import MAX_NETS, TrialConfig
from tune_mlp.errors import RunError, one_line
from tune_mlp.models.average import together
from tune_mlp.models.build import build_model
from tune_mlp.regular_files import read_regular
from tune_mlp.results.storage import FolderStorage

MODEL = "model.pt"
DESCRIPTION = "trial.json"
MAX_MODEL_BYTES = 10 * 10**9
"""The largest size of a file of weights, since it is read into memory as a whole."""
MAX_DESCRIPTION_BYTES = 100 * 10**6
"""The largest size of a model's description, which has a number for each input."""


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values to `path`, whole or not at all."""
    # By way of memory: torch.save reports a full disk as an error without a reason.
    FolderStorage(path.parent).write(path.name, packed(state))


def load(path: Path) -> dict[str, Any]:
    """Return what `save` wrote, with its tensors on the CPU."""
    try:
        content = read_regular(path, MAX_MODEL_BYTES)
    except OSError as error:
        raise RunError(f"checkpoint can't be read: {path}: {error.strerror or one_line(error)}") from error
    return unpacked(content, path)


def packed(state: Mapping[str, Any]) -> bytes:
    """Return tensors and plain values as the content of a file."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


def unpacked(content: bytes, path: str | Path) -> dict[str, Any]:
    """Return what `packed` was given, with its tensors on the CPU; `path` is named in an error."""
    data = io.BytesIO(content)
    try:
        _check_sums(data)
        state = torch.load(data, weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged archive or pickle raises nearly anything
        raise RunError(f"checkpoint is damaged: {path}: {one_line(error, 200)}") from error
    if not isinstance(state, dict):
        raise RunError(f"checkpoint is damaged: {path}: it must hold a dict, got {type(state).__name__}")
    return state


def save_model(folder: Path, weights: Mapping[str, torch.Tensor], description: Mapping[str, Any]) -> None:
    """Write a plain state dict as `folder`/model.pt, and its description as `folder`/trial.json in strict JSON.

    For `load_model` the description needs `config` (TrialConfig.model_dump()), `inputs` and `outputs`, for a CNN
    `shape` (Dataset.shape), and for an average of several nets their number, `nets`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / MODEL, {name: tensor.detach().cpu() for name, tensor in weights.items()})
    text = json.dumps(_strict(description), indent=2, ensure_ascii=False, allow_nan=False)
    FolderStorage(folder).write(DESCRIPTION, f"{text}\n".encode())


def load_model(folder: str | Path) -> nn.Module:
    """Return the model that `save_model` wrote to `folder` (a run's `best/`) as a PyTorch module in evaluation mode."""
    return build_described(folder, load_description(folder))


def build_described(folder: str | Path, description: Mapping[str, Any]) -> nn.Module:
    """Return the model of a description that `load_description` read, with the weights beside it, in evaluation mode."""
    path = Path(folder) / DESCRIPTION
    try:
        config = TrialConfig.model_validate(description["config"])
        shape = tuple(int(side) for side in description.get("shape", ()))  # none in the files of version 0.1
        inputs, outputs = description["inputs"], description["outputs"]
        nets = description.get("nets", 1)  # none in files from before averages
        for name, count in (("inputs", inputs), ("outputs", outputs), ("nets", nets)):
            if type(count) is not int or count < 1:
                raise ValueError(f"{name}: must be a whole number from 1 on, got {count!r:.40}")
        if nets > MAX_NETS:
            raise ValueError(f"nets: must be at most {MAX_NETS}, got {nets}")
        model = together([build_model(inputs, shape, outputs, config, seed=0) for _ in range(nets)], config.loss)
        model.load_state_dict(load(Path(folder) / MODEL))
    except (ValueError, KeyError, TypeError, RuntimeError, OverflowError, ValidationError) as error:
        raise RunError(f"model can't be built from {path}: {one_line(error, 200)}") from error
    return model.eval()


def load_description(folder: str | Path) -> dict[str, Any]:
    """Return what `best/trial.json` says of the model."""
    path = Path(folder) / DESCRIPTION
    try:
        description = json.loads(read_regular(path, MAX_DESCRIPTION_BYTES).decode("utf-8"))
    except OSError as error:
        raise RunError(f"model can't be read: {path}: {error.strerror or one_line(error)}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"model can't be built from {path}: {one_line(error, 200)}") from error
    if not isinstance(description, dict):
        raise RunError(f"model can't be built from {path}: it must hold a mapping, got {type(description).__name__}")
    return description


def _check_sums(data: io.BytesIO) -> None:
    """Check the file's checksums: torch.load ignores those that torch.save wrote, and reads damaged weights without an error."""
    with zipfile.ZipFile(data) as archive:
        # The directory has no checksum. torch.save neither compresses nor sets attributes; where one bit says
        # otherwise, torch.load reads nothing and hands out whatever was in memory. First, for what isn't compressed
        # can't be a bomb either.
        if any(
            part.compress_type or part.compress_size != part.file_size or part.external_attr
            for part in archive.infolist()
        ):
            raise ValueError("its directory isn't as it was written")
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"wrong checksum of {damaged!r}")
    data.seek(0)


def _strict(value: Any) -> Any:
    """Return a value that strict JSON can hold: numbers that aren't finite become null."""
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
