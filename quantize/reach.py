"""How far the channels of activations reach in calibration, before anything is changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from mobiledeploy.quantize.calibration import Inputs, not_finite
from mobiledeploy.quantize.graph import EVERYTHING
from mobiledeploy.quantize.spaces import ChannelSpace, channel_spaces

# Smallest and largest value per channel, (channels,) each.
Extremes = tuple[torch.Tensor, torch.Tensor]


def extremes_of(module: GraphModule, inputs: Sequence[Inputs]) -> dict[Node, Extremes]:
    """Extremes of every channel of every activation in a channel space.

    Args:
        module: tidy, without observers.
        inputs: calibration inputs, batch 1.

    Raises:
        InputError: NaN or infinite activations.
    """
    watcher = _Watcher(module, {node for space in channel_spaces(module) for node in seen(space)})
    with torch.no_grad():
        for index, values in enumerate(inputs):
            watcher.run(*values)
            if not all(torch.isfinite(low + high).all() for low, high in watcher.found.values()):
                raise not_finite(module, values, index)
    return watcher.found


def seen(space: ChannelSpace) -> list[Node]:
    """The tensors of a space without those that an activation clips before anyone sees them."""
    hidden = {layer.node for layer in space.writers if layer.clip != EVERYTHING}
    return [node for node in space.tensors if node not in hidden]


class _Watcher(Interpreter):
    def __init__(self, module: GraphModule, wanted: set[Node]) -> None:
        super().__init__(module)
        self._wanted = wanted
        self.found: dict[Node, Extremes] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n in self._wanted:
            axes = [0, *range(2, result.dim())]
            low, high = result.amin(axes), result.amax(axes)
            if n in self.found:
                low, high = torch.minimum(low, self.found[n][0]), torch.maximum(high, self.found[n][1])
            self.found[n] = (low, high)
        return result
