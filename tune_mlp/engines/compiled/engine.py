"""The compiled engine: whole chunks of an epoch in one numba call, on weights that the PyTorch module shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.config import TrialConfig
from tune_mlp.data.batches import CHUNK, epoch_order
from tune_mlp.data.dataset import Fold, Problem
from tune_mlp.engines.base import TrainedEpoch
from tune_mlp.engines.check import check_compiled, check_start
from tune_mlp.engines.compiled import activations, batch_of_one, kernels, losses, optimisers
from tune_mlp.engines.compiled.eval_order import evaluation_order
from tune_mlp.engines.compiled.sparse import read_only
from tune_mlp.engines.denormals import denormals_as_zero
from tune_mlp.engines.running_scores import RunningScores, nan_scores
from tune_mlp.models.dropout import draw_masks, mask_generator
from tune_mlp.models.mlp import build_mlp
from tune_mlp.seeds import derive

Floats = NDArray[np.float32]

TOGETHER = 60
"""So many samples are evaluated together: enough for a product of matrices, and few enough for the second cache."""
NO_ROWS = read_only(np.empty(0, np.int64))
NO_FLOATS = np.empty((0, 0), np.float32)
NO_MASKS = np.empty((0, 0), np.uint8)
NO_PICTURES = read_only(np.empty((0, 0), np.uint8))


class CompiledRun:
    """One fold of one config, trained by kernels."""

    def __init__(self, config: TrialConfig, problem: Problem, fold: int, seed: int) -> None:
        self._config = config
        self._dataset = problem.dataset
        self._fold: Fold = problem.folds[fold]
        self._fold_number = fold
        self._seed = seed
        features, outputs = int(self._dataset.x.shape[1]), self._dataset.outputs
        self._dims = np.array([features, *config.hidden, outputs])
        self._hidden = np.concatenate([[0], np.cumsum(config.hidden)]).astype(np.int64)
        self._model = build_mlp(features, outputs, config, derive(seed, "weights", fold))
        self._places, self._flat = _flatten(self._model, len(self._dims) - 1)
        self._p = self._flat.numpy()
        self._count = sum(parameter.numel() for parameter in self._model.parameters())
        norms = [layer for layer in self._model if isinstance(layer, nn.BatchNorm1d)]
        self._moments, self._tracked = _shared_moments(norms)
        self._m, self._v, self._g = (torch.zeros_like(self._flat).numpy() for _ in range(3))
        self._steps = 0
        self._numbers = optimisers.settings(config)
        self._plain = optimisers.is_plain(config)
        self._room_size, self._room = 0, kernels.room(0, self._dims, False)
        scaler = self._fold.inputs
        self._sparse = self._dataset.x.dtype == np.uint8 and not scaler.per_sample
        self._a, self._c = (np.float32(scaler.scale[0]), np.float32(scaler.shift[0])) if self._sparse else (
            np.float32(1), np.float32(0))  # fmt: skip

    @property
    def weights(self) -> int:
        return self._count

    @denormals_as_zero()
    def train_epoch(self, epoch: int) -> TrainedEpoch:
        config, fold = self._config, self._fold
        masks = mask_generator(self._seed, self._fold_number, epoch)
        order = fold.train[epoch_order(len(fold.train), self._seed, self._fold_number, epoch)]
        running = RunningScores(self._dataset.task, fold.targets, _best_outputs)
        size = min(config.batch_size, len(order))
        chunk = max(1, CHUNK // config.batch_size) * config.batch_size
        steps, by_chunk = 0, []
        for low in range(0, len(order), chunk):
            rows = order[low : low + chunk]
            wanted = fold.targets.apply(self._dataset.y.take(rows, axis=0))
            outputs = np.empty((len(rows), self._dims[-1]), np.float32)
            batch_losses = np.empty(-(-len(rows) // size))
            kept = draw_masks(masks, len(rows), int(self._hidden[-1]), config.dropout) if config.dropout > 0 else None
            done = self._train_chunk(rows, wanted, size, kept, outputs, batch_losses)
            steps += done
            by_chunk.append(batch_losses[:done])
            running.add(outputs, wanted, batch_losses, size)
            if not running.finite:
                break
        self._tracked += steps - (steps if size == 1 else int(len(order) % size == 1))
        with np.errstate(over="ignore"):
            step_losses = np.concatenate(by_chunk).astype(np.float32)
        if not (np.isfinite(self._p).all() and np.isfinite(self._moments).all()):
            return TrainedEpoch(nan_scores(self._dataset.task), steps, step_losses)
        return TrainedEpoch(running.scores(), steps, step_losses)

    def _train_chunk(
        self,
        rows: NDArray[np.int64],
        wanted: NDArray[Any],
        size: int,
        masks: NDArray[np.uint8] | None,
        outputs: Floats,
        batch_losses: NDArray[np.float64],
    ) -> int:
        config = self._config
        classes, values = _targets(wanted)
        first = self._first_layer(self._dataset.x, rows)
        if size == 1 and self._plain and not config.batch_norm and masks is None:
            done = batch_of_one.train_batches_of_one(
                *first, classes, values, self._dims, self._places, self._hidden, self._p,
                activations.NUMBERS[config.activation], losses.NUMBERS[config.loss], _single(config.lr),
                *batch_of_one.room(self._dims), outputs, batch_losses,
            )  # fmt: skip
        else:
            done = self._run_batches(True, first, classes, values, size, masks, outputs, batch_losses)
        self._steps += done
        return int(done)

    def _run_batches(
        self,
        learn: bool,
        first: tuple[Any, ...],
        classes: NDArray[np.int64],
        values: Floats,
        size: int,
        masks: NDArray[np.uint8] | None,
        outputs: Floats,
        batch_losses: NDArray[np.float64],
    ) -> int:
        config = self._config
        done: int = kernels.run_batches(
            learn, *first, classes, values, size, self._dims, self._places, self._hidden, self._p, *self._moments,
            activations.NUMBERS[config.activation], losses.NUMBERS[config.loss], config.batch_norm,
            NO_MASKS if masks is None else masks, np.float32(1 if masks is None else 1 - config.dropout),
            optimisers.NUMBERS[config.optimizer.name], self._numbers, self._plain, self._steps,
            self._m, self._v, self._g, self._count, *self._room_for(size), outputs, batch_losses,
        )  # fmt: skip
        return done

    @denormals_as_zero()
    def evaluate(self, x: NDArray[Any], y: NDArray[Any], index: NDArray[Any] | None = None) -> dict[str, float]:
        if index is None:
            index = np.arange(len(x))
        elif self._sparse:  # what is met again each epoch
            index = evaluation_order(x, index)
        running = RunningScores(self._dataset.task, self._fold.targets, _best_outputs)
        chunk = max(1, len(index)) if self._sparse else CHUNK  # pictures are read where they stand
        for low in range(0, len(index), chunk):
            rows = index[low : low + chunk]
            wanted = self._fold.targets.apply(y.take(rows, axis=0))
            outputs = np.empty((len(rows), self._dims[-1]), np.float32)
            batch_losses = np.empty(-(-len(rows) // TOGETHER))
            self._run_batches(
                False, self._first_layer(x, rows), *_targets(wanted), TOGETHER, None, outputs, batch_losses
            )
            running.add(outputs, wanted, batch_losses, TOGETHER)
        return running.scores()

    def _first_layer(self, x: NDArray[Any], rows: NDArray[np.int64]) -> tuple[Any, ...]:
        """What the kernel's first layer reads: rows of pictures, or scaled rows."""
        if self._sparse:
            return True, read_only(rows), read_only(x), self._a, self._c, NO_FLOATS
        return False, NO_ROWS, NO_PICTURES, self._a, self._c, self._fold.inputs.apply(x.take(rows, axis=0))

    def _room_for(self, size: int) -> tuple[Any, ...]:
        """What the kernel writes on, for batches of `size`."""
        if size > self._room_size:
            self._room_size, self._room = size, kernels.room(size, self._dims, self._sparse)
        return self._room

    def state(self) -> dict[str, Any]:
        return {
            "model": {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()},
            "optimizer": {
                "name": self._config.optimizer.name,
                "step": self._steps,
                "m": torch.from_numpy(self._m.copy()),
                "v": torch.from_numpy(self._v.copy()),
            },
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The settings stay this run's own: under population based training a state goes on at another rate."""
        self._model.load_state_dict(state["model"])  # copies into the tensors that the kernels share
        optimiser = state["optimizer"]
        if optimiser["name"] == self._config.optimizer.name:
            self._steps = optimiser["step"]
            self._m[:] = optimiser["m"].numpy()
            self._v[:] = optimiser["v"].numpy()
        else:
            self._steps = 0
            self._m[:] = 0
            self._v[:] = 0

    def module(self) -> nn.Module:
        return self._model


class CompiledEngine:
    """Starts compiled runs."""

    name = "compiled"

    def start(self, config: TrialConfig, problem: Problem, fold: int, seed: int, device: str = "cpu") -> CompiledRun:
        check_start(config, problem.dataset)
        check_compiled(config)
        return CompiledRun(config, problem, fold, seed)


def _single(value: float) -> np.float32:
    """Infinity for what float32 can't hold, and no word about it: the trial then diverges."""
    with np.errstate(over="ignore"):
        return np.float32(value)


def _flatten(model: nn.Sequential, layers: int) -> tuple[NDArray[np.int64], torch.Tensor]:
    """Move all parameters into one flat tensor, matrices input-major, and make the module's own views of it.

    Returns where each layer's weights, bias and batch norm's scale and shift begin.
    """
    weights = sum(parameter.numel() for parameter in model.parameters())
    widest = max(module.out_features for module in model if isinstance(module, nn.Linear))
    flat = torch.zeros(weights + widest)  # the rest is the bias of layers that have none
    places = np.full((layers, 4), weights, np.int64)
    at, layer = 0, -1
    for module in model:
        if isinstance(module, nn.Linear):
            layer += 1
        for name, parameter in module.named_parameters(recurse=False):
            part = flat[at : at + parameter.numel()]
            view = part.view(parameter.shape[1], parameter.shape[0]).t() if parameter.dim() == 2 else part
            view.copy_(parameter.detach())
            parameter.data = view
            places[layer, (name == "bias") + 2 * isinstance(module, nn.BatchNorm1d)] = at
            at += parameter.numel()
    return places, flat


def _shared_moments(norms: list[nn.BatchNorm1d]) -> tuple[Floats, NDArray[np.int64]]:
    """Batch norm's running means and variances as two flat arrays, and of how many batches, all shared by the module."""
    widths = [layer.num_features for layer in norms]
    flat = torch.empty(2, sum(widths))
    at = 0
    for layer, width in zip(norms, widths, strict=True):
        for row, name in enumerate(("running_mean", "running_var")):
            view = flat[row, at : at + width]
            view.copy_(getattr(layer, name))
            setattr(layer, name, view)
        at += width
    tracked = torch.zeros(len(norms), dtype=torch.int64)
    for number, layer in enumerate(norms):
        layer.num_batches_tracked = tracked[number]
    return flat.numpy(), tracked.numpy()


def _best_outputs(outputs: NDArray[Any]) -> NDArray[np.int64]:
    found = np.empty(len(outputs), np.int64)
    losses.best_outputs(outputs, found)
    return found


def _targets(wanted: NDArray[Any]) -> tuple[NDArray[np.int64], Floats]:
    """Classes and values, one of them empty."""
    if wanted.dtype == np.int64:
        return wanted, NO_FLOATS
    return np.zeros(len(wanted), np.int64), wanted
