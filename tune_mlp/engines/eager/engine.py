"""The eager engine: PyTorch as everybody knows it, on the CPU or a GPU. It is the reference for all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.config import REGRESSION_LOSSES, TrialConfig
from tune_mlp.data.batches import chunks, epoch_order
from tune_mlp.data.dataset import Problem
from tune_mlp.engines.base import Trained
from tune_mlp.engines.denormals import denormals_as_zero
from tune_mlp.engines.eager.losses import LOSSES, loss_targets
from tune_mlp.engines.eager.optimisers import add_l1, as_float32, build_optimiser, linear_weights
from tune_mlp.engines.tally import Tally, no_scores
from tune_mlp.errors import UsageError
from tune_mlp.models.dropout import Dropout, draw_masks, mask_generator
from tune_mlp.models.mlp import build_mlp
from tune_mlp.seeds import derive


class EagerRun:
    """One fold of one config, trained by torch.optim."""

    def __init__(self, config: TrialConfig, problem: Problem, fold: int, seed: int, device: str) -> None:
        self._config = config
        self._dataset = problem.dataset
        self._fold = problem.folds[fold]
        self._fold_number = fold
        self._seed = seed
        self._device = torch.device(device)
        self._model = build_mlp(
            self._dataset.x.shape[1], self._dataset.outputs, config, derive(seed, "weights", fold)
        ).to(self._device)
        self._dropouts = [layer for layer in self._model.modules() if isinstance(layer, Dropout)]
        self._parameters = list(self._model.parameters())
        self._optimiser = build_optimiser(self._parameters, config)
        self._loss = LOSSES[config.loss]

    @property
    def weights(self) -> int:
        return sum(parameter.numel() for parameter in self._parameters)

    @denormals_as_zero()
    def train_epoch(self, epoch: int) -> Trained:
        seed, number, fold, size = self._seed, self._fold_number, self._fold, self._config.batch_size
        generator = mask_generator(seed, number, epoch)
        self._model.train()
        order = fold.train[epoch_order(len(fold.train), seed, number, epoch)]
        tally = Tally(self._dataset.task, fold.targets)
        steps = 0
        for x, y in chunks(self._dataset.x, self._dataset.y, order, size, fold.inputs, fold.targets):
            labels = torch.from_numpy(y).to(self._device)
            masks = self._masks(generator, len(x)) if self._dropouts else []
            outputs, losses = self._train_batches(torch.from_numpy(x).to(self._device), labels, masks)
            steps += len(losses)
            tally.add(torch.cat(outputs), labels, torch.stack(losses), size)
            if not tally.finite:
                break
        if not self._weights_are_finite():
            return Trained(no_scores(self._dataset.task), steps)
        return Trained(tally.scores(), steps)

    def _masks(self, generator: np.random.Generator, samples: int) -> list[list[torch.Tensor]]:
        """Dropout's masks for a chunk: by batch, by layer."""
        masks = torch.from_numpy(draw_masks(generator, samples, sum(self._config.hidden), self._config.dropout))
        by_batch = torch.split(masks.to(self._device), self._config.batch_size)
        return [list(torch.split(batch, list(self._config.hidden), dim=1)) for batch in by_batch]

    def _train_batches(
        self, x: torch.Tensor, labels: torch.Tensor, masks: list[list[torch.Tensor]]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """A step for each batch; gives each batch's outputs and loss.

        At a batch of one PyTorch's own calls are all of the time, so this loop makes no other: scores are computed
        from the outputs of a whole chunk later, and nothing is read back from the device.
        """
        size, l1 = self._config.batch_size, as_float32(self._config.l1)
        model, loss_of, step, parameters = self._model, self._loss, self._optimiser.step, self._parameters
        matrices = linear_weights(model) if l1 > 0 else []
        targets = loss_targets(self._config.loss, labels, self._dataset.outputs)
        outputs: list[torch.Tensor] = []
        losses: list[torch.Tensor] = []
        for i, (batch, target) in enumerate(zip(torch.split(x, size), torch.split(targets, size), strict=True)):
            if masks:
                for layer, mask in zip(self._dropouts, masks[i], strict=True):
                    layer.mask = mask
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

    @denormals_as_zero()
    def evaluate(self, x: NDArray[Any], y: NDArray[Any], index: NDArray[Any] | None = None) -> dict[str, float]:
        index = np.arange(len(x)) if index is None else index
        tally = Tally(self._dataset.task, self._fold.targets)
        self._model.eval()
        with torch.no_grad():
            for scaled, wanted in chunks(x, y, index, 1, self._fold.inputs, self._fold.targets):
                labels = torch.from_numpy(wanted).to(self._device)
                outputs = self._model(torch.from_numpy(scaled).to(self._device))
                loss = self._loss(outputs, loss_targets(self._config.loss, labels, self._dataset.outputs))
                tally.add(outputs, labels, loss.reshape(1), len(labels))
        return tally.scores()

    def state(self) -> dict[str, Any]:
        optimiser = self._optimiser.state_dict()
        return {
            "model": _copies(self._model.state_dict()),
            "optimizer": {"name": self._config.optimizer.name, "state": _copies(optimiser["state"])},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The settings stay this run's own: under population based training a state goes on at another rate."""
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

    def start(self, config: TrialConfig, problem: Problem, fold: int, seed: int, device: str = "cpu") -> EagerRun:
        if problem.dataset.task == "regression" and config.loss not in REGRESSION_LOSSES:
            raise UsageError(
                f"loss: regression needs one of {', '.join(REGRESSION_LOSSES)}, got {config.loss} on {problem.dataset.name}"
            )
        return EagerRun(config, problem, fold, seed, device)


def _copies(tree: Any) -> Any:
    """The same nest of dicts with tensors copied to the CPU: a state may be taken up on another machine."""
    if isinstance(tree, Mapping):
        return {name: _copies(value) for name, value in tree.items()}
    return tree.detach().to("cpu", copy=True) if isinstance(tree, torch.Tensor) else tree
