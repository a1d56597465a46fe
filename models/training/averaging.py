"""An exponential moving average of a module's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

# Early on, an average over fewer steps: TensorFlow's rule for its ExponentialMovingAverage.
_EARLY = 10


class Average:
    """Weights and batch norm statistics averaged over the steps.

    Args:
        module: that is trained.
        decay: of the average, per step.

    Attributes:
        module: a copy with the average; in eval mode.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in what the module is after a step, counted from 0."""
        decay = min(self._decay, (1 + step) / (_EARLY + step))
        for mean, value in zip(self.module.state_dict().values(), module.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)
