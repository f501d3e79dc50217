"""Several nets that answer together, as a module of PyTorch: the mean of their probabilities, or of their numbers.

That is a deep ensemble (Lakshminarayanan et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from tune_mlp.config import REGRESSION_LOSSES, Loss


class Average(nn.Module):
    """Averages the answers of nets that were trained alike; its state dict has their keys after `nets.0.`, `nets.1.` and so on."""

    def __init__(self, nets: Sequence[nn.Module], loss: Loss) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.of_probabilities = loss not in REGRESSION_LOSSES
        """True if the probabilities are averaged that a softmax makes of the outputs; if not, the outputs are."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return outputs [n, outputs] with the same meaning as those of a net: a softmax makes the mean probabilities of them."""
        outputs = torch.stack([net(x) for net in self.nets])
        if self.of_probabilities:
            return outputs.log_softmax(dim=-1).logsumexp(dim=0) - math.log(len(self.nets))
        return outputs.mean(dim=0)


def together(nets: Sequence[nn.Module], loss: Loss) -> nn.Module:
    """Return the average of several nets, or the net itself if it is alone."""
    return nets[0] if len(nets) == 1 else Average(nets, loss)
