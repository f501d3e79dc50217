"""Several nets that answer together: the mean of their outputs, as a module of PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from tune_mlp.config import Loss


class Average(nn.Module):
    """Averages the outputs of nets that were trained alike; its state dict has their keys after `nets.0.`, `nets.1.` and so on.

    No loss is larger than the mean of the nets' losses, since each is convex in the outputs.
    """

    def __init__(self, nets: Sequence[nn.Module], loss: Loss) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self._logarithms = loss == "nll"
        """True if outputs are logarithms of probabilities: those of the mean must come to 1, too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of the nets' outputs, [n, outputs]."""
        mean = torch.stack([net(x) for net in self.nets]).mean(dim=0)
        return mean.log_softmax(dim=1) if self._logarithms else mean


def together(nets: Sequence[nn.Module], loss: Loss) -> nn.Module:
    """Return the average of several nets, or the net itself if it is alone."""
    return nets[0] if len(nets) == 1 else Average(nets, loss)
