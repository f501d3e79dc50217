"""The eager engine trains with PyTorch, on the CPU or a GPU. It is the reference that other engines are held to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.config import TrialConfig
from tune_mlp.data.batches import chunks, epoch_order
from tune_mlp.data.dataset import Problem
from tune_mlp.engines.base import TrainedEpoch
from tune_mlp.engines.check import check_start
from tune_mlp.engines.class_weights import class_weights
from tune_mlp.engines.denormals import denormals_as_zero
from tune_mlp.engines.eager.augment import augmented
from tune_mlp.engines.eager.evaluate import TrainedOn, evaluate
from tune_mlp.engines.eager.losses import LOSSES, loss_targets, weighted
from tune_mlp.engines.eager.optimisers import (
    OPTIMISERS,
    add_l1,
    as_float32,
    build_optimiser,
    penalised_weights,
    set_rate,
)
from tune_mlp.engines.running_scores import NO_OUTCOMES, RunningScores, nan_scores
from tune_mlp.engines.tiny_epochs import train_tiny_epochs
from tune_mlp.models.build import build_model
from tune_mlp.models.dropout import Dropout, draw_by_batch, mask_generator
from tune_mlp.seeds import derive


class EagerRun:
    """The training of one fold of one config by torch.optim."""

    def __init__(self, config: TrialConfig, problem: Problem, fold: int, seed: int, device: str) -> None:
        self._config = config
        self._dataset = problem.dataset
        self._fold = problem.folds[fold]
        self._fold_number = fold
        self._seed = seed
        self._device = torch.device(device)
        self.outcomes = NO_OUTCOMES
        data = self._dataset
        self._model = build_model(
            problem.inputs(fold), data.shape, data.outputs, config, derive(seed, "weights", fold)
        ).to(self._device)
        self._dropouts = [layer for layer in self._model.modules() if isinstance(layer, Dropout)]
        self._parameters = list(self._model.parameters())
        self._optimiser = build_optimiser(self._parameters, config)
        loss, weights = LOSSES[config.loss], class_weights(config, data, self._fold)
        self._training_loss = weighted(loss, torch.from_numpy(weights).to(self._device)) if len(weights) else loss

    @property
    def weights(self) -> int:
        return sum(parameter.numel() for parameter in self._parameters)

    @denormals_as_zero()
    def train_epoch(self, epoch: int) -> TrainedEpoch:
        seed, number, fold, size = self._seed, self._fold_number, self._fold, self._config.batch_size
        generator = mask_generator(seed, number, epoch)
        self._model.train()
        if self._config.lr_decay < 1:
            set_rate(self._optimiser, self._config, epoch)
        order = fold.train[epoch_order(len(fold.train), seed, number, epoch)]
        running = RunningScores(self._dataset.task, fold.targets)
        by_chunk: list[torch.Tensor] = []
        for x, y in self._chunks(order, epoch):
            labels = torch.from_numpy(y).to(self._device)
            masks = self._masks(generator, len(x)) if self._dropouts else None
            outputs, losses = self._train_batches(torch.from_numpy(x).to(self._device), labels, masks)
            by_chunk.append(torch.stack(losses))
            running.add(torch.cat(outputs).cpu().numpy(), y, by_chunk[-1].cpu().numpy(), size)
            if not running.finite:
                break
        scores = running.scores() if self._weights_are_finite() else nan_scores(self._dataset.task)
        step_losses = torch.cat(by_chunk).cpu().numpy()
        return TrainedEpoch(scores, len(step_losses), step_losses)

    def _chunks(self, order: NDArray[np.int64], epoch: int) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        config, data, fold = self._config, self._dataset, self._fold
        if config.rotation > 0 or config.noise > 0:
            return augmented(config, data, fold, order, self._seed, self._fold_number, epoch)
        return chunks(data.x, data.y, order, config.batch_size, fold.inputs, fold.targets)

    def _masks(self, generator: np.random.Generator, samples: int) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield dropout's masks for each batch of a chunk, one for each layer."""
        config, units = self._config, [layer.units for layer in self._dropouts]
        for drawn in draw_by_batch(generator, samples, config.batch_size, sum(units), config.dropout):
            yield torch.split(torch.from_numpy(drawn).to(self._device), units, dim=1)

    def _train_batches(
        self, x: torch.Tensor, labels: torch.Tensor, masks: Iterator[tuple[torch.Tensor, ...]] | None
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Take a step for each batch; return each batch's outputs and loss.

        At a batch of one PyTorch's own calls are all of the time, so this loop makes no other: scores are computed
        from the outputs of a whole chunk later, and nothing is read back from the device.
        """
        size, l1 = self._config.batch_size, as_float32(self._config.l1)
        model, loss_of, step, parameters = self._model, self._training_loss, self._optimiser.step, self._parameters
        matrices = penalised_weights(model) if l1 > 0 else []
        targets = loss_targets(self._config.loss, labels, self._dataset.outputs)
        outputs: list[torch.Tensor] = []
        losses: list[torch.Tensor] = []
        for batch, target in zip(torch.split(x, size), torch.split(targets, size), strict=True):
            if masks is not None:
                for layer, mask in zip(self._dropouts, next(masks), strict=True):
                    layer.take(mask)
            output = model(batch)
            loss = loss_of(output, target)
            loss.backward()  # type: ignore[no-untyped-call]
            if matrices:
                add_l1(matrices, l1)
            step()
            for parameter in parameters:  # as zero_grad(set_to_none=True), less its profiler hooks
                parameter.grad = None
            outputs.append(output.detach())
            losses.append(loss.detach())
        return outputs, losses

    def _weights_are_finite(self) -> bool:
        tensors = [*self._parameters, *self._model.buffers()]
        return bool(torch.stack([tensor.detach().isfinite().all() for tensor in tensors]).all())

    def evaluate(
        self, x: NDArray[Any], y: NDArray[Any], index: NDArray[Any] | None = None, further: Sequence[str] = ()
    ) -> dict[str, float]:
        trained = TrainedOn(self._config, self._dataset, self._fold, self._device)
        running = evaluate(self._model, trained, x, y, index, further)
        self.outcomes = running.outcomes()
        return running.scores()

    def state(self) -> dict[str, Any]:
        optimiser = self._optimiser.state_dict()
        return {
            "model": _copies(self._model.state_dict()),
            "optimizer": {"name": self._config.optimizer.name, "state": _copies(optimiser["state"])},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; the settings stay this run's own, since population based training changes the rate."""
        self._model.load_state_dict(state["model"])
        optimiser = build_optimiser(self._parameters, self._config)
        if state["optimizer"]["name"] == self._config.optimizer.name:
            groups = optimiser.state_dict()["param_groups"]
            # Copied: load_state_dict takes tensors over that are of the right kind already.
            optimiser.load_state_dict({"state": _copies(state["optimizer"]["state"]), "param_groups": groups})
            for parameter, values in optimiser.state.items():
                if optimiser.defaults.get("momentum", 0) > 0:  # which rmsprop takes for granted after its first step
                    values.setdefault("momentum_buffer", torch.zeros_like(parameter))
        self._optimiser = optimiser

    def module(self) -> nn.Module:
        return self._model


class EagerEngine:
    """Starts eager runs."""

    name = "eager"

    def load(self, problem: Problem | None = None, device: str = "cpu") -> None:
        """Take the first steps of each optimiser: PyTorch imports and makes ready a second's worth of code for them."""
        configs = (TrialConfig.model_validate({"optimizer": {"name": name}}) for name in OPTIMISERS)
        train_tiny_epochs(self, configs, device)

    def start(self, config: TrialConfig, problem: Problem, fold: int, seed: int, device: str = "cpu") -> EagerRun:
        check_start(config, problem.dataset)
        return EagerRun(config, problem, fold, seed, device)


def _copies(tree: Any) -> Any:
    """Copy nested dicts, and their tensors to the CPU: a state may be loaded on another machine."""
    if isinstance(tree, Mapping):
        return {name: _copies(value) for name, value in tree.items()}
    return tree.detach().to("cpu", copy=True) if isinstance(tree, torch.Tensor) else tree
