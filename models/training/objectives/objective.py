"""What an objective promises to the loop that trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mobiledeploy.models.training.dataset import Encode

# Of a module: one tensor, or several in a dict.
Outputs = Any


# Mean loss of a batch, a scalar, from outputs and targets.
Loss = Callable[[Outputs, Any], torch.Tensor]
# Targets of a batch from those of its images and the inputs, those of a teacher last.
Gather = Callable[[Sequence[Any], Sequence[torch.Tensor]], Any]


def _outputs(module: nn.Module, inputs: torch.Tensor, _targets: Any) -> Outputs:
    return module(inputs)


@dataclass(frozen=True, slots=True)
class Objective:
    """What a network is trained for.

    Attributes:
        encode: what it should say of a view of one image.
        gather: of a batch, on the device of its inputs.
        loss: what training makes small.
        answer: what the loss is given of a network, its inputs and the targets: its outputs, but where
            targets have a say in what it computes.
        figure: name of the share of images that are right; empty where there is no such share.
        right: how many images of a batch are right.
    """

    encode: Encode
    gather: Gather
    loss: Loss
    answer: Callable[[nn.Module, torch.Tensor, Any], Outputs] = _outputs
    figure: str = ""
    right: Callable[[Outputs, Any], int] = lambda _outputs, _targets: 0


def stack(targets: Sequence[Any], inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """One tensor of the targets, each a number or an array."""
    return torch.as_tensor(_rows(targets), device=inputs[0].device)


def _rows(targets: Sequence[Any]) -> Any:
    import numpy as np

    return np.stack([np.asarray(target) for target in targets])
