"""The compiled engine: whole chunks of an epoch in one numba call, on weights that the PyTorch module shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.config import TrialConfig
from tune_mlp.data.batches import CHUNK, epoch_order
from tune_mlp.data.dataset import Dataset, Fold, Problem
from tune_mlp.data.transforms import InputScaler
from tune_mlp.engines.base import TrainedEpoch
from tune_mlp.engines.check import check_compiled, check_start
from tune_mlp.engines.class_weights import class_weights
from tune_mlp.engines.compiled import activations, batch_of_one, kernels, losses, optimisers
from tune_mlp.engines.compiled.arguments import Chunk, Net, Optimiser
from tune_mlp.engines.compiled.cache import note_compiled
from tune_mlp.engines.compiled.eval_order import evaluation_order
from tune_mlp.engines.compiled.sparse import read_only
from tune_mlp.engines.denormals import denormals_as_zero
from tune_mlp.engines.running_scores import NO_OUTCOMES, Further, RunningScores, nan_scores
from tune_mlp.engines.tiny_epochs import train_tiny_epochs
from tune_mlp.models.dropout import draw_masks, mask_generator
from tune_mlp.models.mlp import build_mlp
from tune_mlp.seeds import derive

Floats = NDArray[np.float32]

EVALUATED_TOGETHER = 60
"""So many samples are evaluated together: enough for a product of matrices, and few enough for the second cache."""
NO_ROWS = read_only(np.empty(0, np.int64))
NO_FLOATS = np.empty((0, 0), np.float32)
NO_WEIGHTS = np.empty(0, np.float32)
NO_MASKS = np.empty((0, 0), np.uint8)
NO_PICTURES = read_only(np.empty((0, 0), np.uint8))


class CompiledRun:
    """One fold of one configuration, trained by kernels."""

    def __init__(self, config: TrialConfig, problem: Problem, fold: int, seed: int) -> None:
        self._config = config
        self._dataset = problem.dataset
        self._fold: Fold = problem.folds[fold]
        self._fold_number = fold
        self._seed = seed
        self.outcomes = NO_OUTCOMES
        features, outputs = problem.inputs(fold), self._dataset.outputs
        self._model = build_mlp(features, outputs, config, derive(seed, "weights", fold))
        self._net, self._batches_seen = _shared_net(self._model, config)
        self._optimiser = Optimiser(
            kind=optimisers.NUMBERS[config.optimizer.name],
            settings=optimisers.settings(config),
            plain=optimisers.is_plain(config),
            steps=0,
            gradients=np.zeros_like(self._net.weights),
            first=np.zeros_like(self._net.weights),
            second=np.zeros_like(self._net.weights),
        )
        self._class_weights = class_weights(config, self._dataset, self._fold)
        scaler = _one_scale(self._dataset, self._fold)
        self._sparse = scaler is not None
        self._scale = np.float32(scaler.scale[0]) if scaler else np.float32(1)
        self._shift = np.float32(scaler.shift[0]) if scaler else np.float32(0)
        self._scratch_size, self._scratch = 0, kernels.scratch(0, self._net.dims, False)

    @property
    def weights(self) -> int:
        return self._net.weight_count

    @denormals_as_zero()
    def train_epoch(self, epoch: int) -> TrainedEpoch:
        config, fold = self._config, self._fold
        self._optimiser.settings[optimisers.LR] = config.lr_in(epoch)
        masks = mask_generator(self._seed, self._fold_number, epoch)
        order = fold.train[epoch_order(len(fold.train), self._seed, self._fold_number, epoch)]
        running = RunningScores(self._dataset.task, fold.targets, _largest_outputs)
        size = min(config.batch_size, len(order))
        samples = max(1, CHUNK // config.batch_size) * config.batch_size
        steps, by_chunk = 0, []
        for low in range(0, len(order), samples):
            rows = order[low : low + samples]
            wanted = fold.targets.apply(self._dataset.y.take(rows, axis=0))
            chunk = self._chunk(self._dataset.x, rows, wanted, size)._replace(class_weights=self._class_weights)
            if config.dropout > 0:
                units = int(self._net.units_before[-1])
                drawn = draw_masks(masks, len(rows), units, config.dropout)
                chunk = chunk._replace(masks=drawn, keep=np.float32(1 - config.dropout))
            done = self._train(chunk)
            steps += done
            by_chunk.append(chunk.losses[:done])
            running.add(chunk.outputs, wanted, chunk.losses, size)
            if not running.finite:
                break
        self._batches_seen += steps - (steps if size == 1 else int(len(order) % size == 1))
        with np.errstate(over="ignore"):
            step_losses = np.concatenate(by_chunk).astype(np.float32)
        finite = all(np.isfinite(values).all() for values in (self._net.weights, self._net.means, self._net.variances))
        scores = running.scores() if finite else nan_scores(self._dataset.task)
        return TrainedEpoch(scores, steps, step_losses)

    def _train(self, chunk: Chunk) -> int:
        net, optimiser = self._net, self._optimiser
        if chunk.size == 1 and optimiser.plain and not net.batch_norm and self._config.dropout == 0:
            scratch = batch_of_one.scratch_of_one(net.dims)
            done: int = batch_of_one.train_batches_of_one(
                net, chunk, _float32(optimiser.settings[optimisers.LR]), scratch
            )
        else:
            done = kernels.run_batches(True, net, chunk, optimiser, self._scratch_for(chunk.size))
        self._optimiser = optimiser._replace(steps=optimiser.steps + done)
        return done

    @denormals_as_zero()
    def evaluate(
        self, x: NDArray[Any], y: NDArray[Any], index: NDArray[Any] | None = None, further: Sequence[str] = ()
    ) -> dict[str, float]:
        order = None
        if index is None:
            index = np.arange(len(x))
        elif self._sparse:  # these are evaluated again in each epoch
            order = evaluation_order(x, index)
            index = order.rows
        wanted_too = Further(further, self._config.loss)
        running = RunningScores(self._dataset.task, self._fold.targets, _largest_outputs, wanted_too)
        samples = max(1, len(index)) if self._sparse else CHUNK  # pictures are read where they stand
        for low in range(0, len(index), samples):
            rows = index[low : low + samples]
            wanted = self._fold.targets.apply(y.take(rows, axis=0))
            chunk = self._chunk(x, rows, wanted, EVALUATED_TOGETHER)
            kernels.run_batches(False, self._net, chunk, self._optimiser, self._scratch_for(chunk.size))
            running.add(chunk.outputs, wanted, chunk.losses, chunk.size)
        self.outcomes = running.outcomes()
        if order is not None and running.finite:
            self.outcomes = order.undone(self.outcomes)
        return running.scores()

    def _chunk(self, x: NDArray[Any], rows: NDArray[np.int64], wanted: NDArray[Any], size: int) -> Chunk:
        """Return these samples and their scaled targets, in batches of `size`, without dropout."""
        are_classes = wanted.dtype == np.int64
        return Chunk(
            sparse=self._sparse,
            rows=read_only(rows) if self._sparse else NO_ROWS,
            pictures=read_only(x) if self._sparse else NO_PICTURES,
            scale=self._scale,
            shift=self._shift,
            inputs=NO_FLOATS if self._sparse else self._fold.inputs.apply(x.take(rows, axis=0)),
            classes=wanted if are_classes else np.zeros(len(wanted), np.int64),
            targets=NO_FLOATS if are_classes else wanted,
            class_weights=NO_WEIGHTS,
            size=size,
            masks=NO_MASKS,
            keep=np.float32(1),
            outputs=np.empty((len(rows), self._dataset.outputs), np.float32),
            losses=np.empty(-(-len(rows) // size)),
        )

    def _scratch_for(self, size: int) -> kernels.Scratch:
        """Return room for batches of `size`."""
        if size > self._scratch_size:
            self._scratch_size, self._scratch = size, kernels.scratch(size, self._net.dims, self._sparse)
        return self._scratch

    def state(self) -> dict[str, Any]:
        return {
            "model": {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()},
            "optimizer": {
                "name": self._config.optimizer.name,
                "step": self._optimiser.steps,
                "m": torch.from_numpy(self._optimiser.first.copy()),
                "v": torch.from_numpy(self._optimiser.second.copy()),
            },
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; the settings stay this run's own, since population based training changes the rate."""
        self._model.load_state_dict(state["model"])  # copies into the tensors that the kernels share
        left, optimiser = state["optimizer"], self._optimiser
        same = left["name"] == self._config.optimizer.name
        self._optimiser = optimiser._replace(steps=left["step"] if same else 0)
        optimiser.first[:] = left["m"].numpy() if same else 0
        optimiser.second[:] = left["v"].numpy() if same else 0

    def module(self) -> nn.Module:
        return self._model


class CompiledEngine:
    """Starts compiled runs."""

    name = "compiled"

    def load(self, problem: Problem | None = None, device: str = "cpu") -> None:
        """Load every kernel, or compile it where it isn't on disk, and order the problem's validation pictures."""
        train_tiny_epochs(self, (TrialConfig(batch_size=size) for size in (1, 4)))
        note_compiled()
        if problem is not None:
            for fold in problem.folds:
                if _one_scale(problem.dataset, fold):
                    evaluation_order(problem.dataset.x, fold.validation)

    def start(self, config: TrialConfig, problem: Problem, fold: int, seed: int, device: str = "cpu") -> CompiledRun:
        check_start(config, problem.dataset)
        check_compiled(config)
        return CompiledRun(config, problem, fold, seed)


def _one_scale(dataset: Dataset, fold: Fold) -> InputScaler | None:
    """Return the scaling of pictures whose pixels are all scaled alike: their zeros are left out. Else return None."""
    inputs = fold.inputs
    if dataset.x.dtype == np.uint8 and isinstance(inputs, InputScaler) and not inputs.per_sample:
        return inputs
    return None


def _float32(value: float) -> np.float32:
    """Return infinity, without a warning, for what float32 can't hold: the trial then diverges."""
    with np.errstate(over="ignore"):
        return np.float32(value)


def _shared_net(model: nn.Sequential, config: TrialConfig) -> tuple[Net, NDArray[np.int64]]:
    """Return the net whose numbers the module shares, and how many batches each batch norm layer has seen."""
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    norms = [layer for layer in model if isinstance(layer, nn.BatchNorm1d)]
    weights, places = _shared_weights(model, len(linear))
    moments, batches_seen = _shared_moments(norms)
    net = Net(
        dims=np.array([linear[0].in_features, *(layer.out_features for layer in linear)]),
        places=places,
        units_before=np.concatenate([[0], np.cumsum(config.hidden)]).astype(np.int64),
        weights=weights.numpy(),
        weight_count=sum(parameter.numel() for parameter in model.parameters()),
        means=moments[0],
        variances=moments[1],
        activation=activations.NUMBERS[config.activation],
        loss=losses.NUMBERS[config.loss],
        batch_norm=config.batch_norm,
    )
    return net, batches_seen


def _shared_weights(model: nn.Sequential, layers: int) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Move all parameters into one flat tensor, matrices input by input, and make the module's own views of it.

    Return it with `Net.places`.
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
    return flat, places


def _shared_moments(norms: list[nn.BatchNorm1d]) -> tuple[Floats, NDArray[np.int64]]:
    """Make one flat array each of batch norm's running means, its variances and its counts of batches.

    The module shares all three.
    """
    widths = [layer.num_features for layer in norms]
    flat = torch.empty(2, sum(widths))
    at = 0
    for layer, width in zip(norms, widths, strict=True):
        for row, name in enumerate(("running_mean", "running_var")):
            view = flat[row, at : at + width]
            view.copy_(getattr(layer, name))
            setattr(layer, name, view)
        at += width
    batches_seen = torch.zeros(len(norms), dtype=torch.int64)
    for number, layer in enumerate(norms):
        layer.num_batches_tracked = batches_seen[number]
    return flat.numpy(), batches_seen.numpy()


def _largest_outputs(outputs: NDArray[Any]) -> NDArray[np.int64]:
    """Return the place of each row's largest output."""
    found = np.empty(len(outputs), np.int64)
    losses.largest_outputs(outputs, found)
    return found
