"""Cross-layer equalisation: the same function with channels of similar size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from mobiledeploy.quantize.calibration import Inputs, not_finite
from mobiledeploy.quantize.graph import EVERYTHING, Layer, parameter, set_parameter
from mobiledeploy.quantize.recipe import Granularity
from mobiledeploy.quantize.spaces import ChannelSpace, Reading, channel_spaces

# A channel below the clip stays below it by this factor on inputs that calibration has not seen.
_HEADROOM = 1.25
# No channel changes by more than this factor, up or down.
_MOST = 1000.0


def reaches(module: GraphModule, inputs: Sequence[Inputs]) -> dict[Node, torch.Tensor]:
    """Largest absolute value of every channel of every activation that equalisation may scale.

    Args:
        module: tidy, without observers.
        inputs: calibration inputs, batch 1.

    Returns:
        (channels,) by node.

    Raises:
        InputError: NaN or infinite activations.
    """
    watcher = _Reach(module, {node for space in channel_spaces(module) for node in _seen(space)})
    with torch.no_grad():
        for index, values in enumerate(inputs):
            watcher.run(*values)
            if any(torch.isnan(reach).any() or torch.isinf(reach).any() for reach in watcher.found.values()):
                raise not_finite(module, values, index)
    return watcher.found


def equalise(module: GraphModule, reach: Mapping[Node, torch.Tensor], granularity: Granularity) -> None:
    """Divide channel i of a space by s_i where it is written, multiply by s_i where it is read.

    Before: ``y = W2 clip(W1 x + b1)``.  After: ``y = (W2 S) clip(S^-1 W1 x + S^-1 b1)``: the same, since
    ``clip`` commutes with positive factors, except for an upper clip (ReLU6).  There, a channel that
    reaches the clip in calibration keeps its size, and any other stays below the clip.

    ``s_i = sqrt(r1_i / r2_i)`` makes the sizes on both sides equal.  ``r2`` is the channel's largest
    weight where it is read.  ``r1`` is its largest weight where it is written, if the weights share
    one scale per tensor.  With scales per channel those do not matter, nor do a depthwise reader's
    weights: ``r1`` is the channel's largest activation, and ``s_i = r1_i`` where all readers are depthwise.
    With one scale per tensor, a channel that never leaves 0 gets zero weights: folding a batch norm of
    almost no variance makes them huge, and they would spoil the range of all others.

    Source: Nagel et al., Data-Free Quantization, arXiv 1906.04721, section 4.1; with activations
    for ``r1``: Xiao et al., SmoothQuant, arXiv 2211.10438, section 4; the treatment of ReLU6 and of
    residual sums as one space is ours.

    Args:
        module: tidy, without observers; its weights change.
        reach: from ``reaches`` (or from batch norm statistics).
        granularity: of the weights' scales.
    """
    for space in channel_spaces(module):
        if granularity == "per-tensor":
            _neutralise(module, space, reach)
        largest = torch.stack([reach[node] for node in _seen(space)]).amax(0)
        _scale(module, space, _factors(module, space, largest, granularity))


def _seen(space: ChannelSpace) -> list[Node]:
    """The tensors of a space without those that an activation clips before anyone sees them."""
    hidden = {layer.node for layer in space.writers if layer.clip != EVERYTHING}
    return [node for node in space.tensors if node not in hidden]


def _factors(
    module: GraphModule, space: ChannelSpace, largest: torch.Tensor, granularity: Granularity
) -> torch.Tensor:
    written, readers = largest, [reader for reader in space.readers if reader[1] == "dense"]
    if granularity == "per-tensor":
        written = torch.stack([_rows(parameter(module, layer.weight)) for layer in space.writers]).amax(0)
        readers = space.readers
    ratio = _relative(written)
    if readers:
        read = torch.stack([_columns(module, layer, how) for layer, how in readers]).amax(0)
        ratio = (ratio / _relative(read)).sqrt()
    alive = (largest > 0) & (ratio > 0) & torch.isfinite(ratio)
    factors = torch.where(alive, ratio, 1.0).clamp(1 / _MOST, _MOST)
    if math.isfinite(space.highest):
        needed = largest * _HEADROOM / space.highest
        factors = torch.where(needed < 1, torch.maximum(factors, needed), torch.ones_like(factors))
    return factors


def _neutralise(module: GraphModule, space: ChannelSpace, reach: Mapping[Node, torch.Tensor]) -> None:
    """Zero weights and bias of the channels that their activation never lets through."""
    for layer in space.writers:
        clip = next(iter(layer.node.users))
        if layer.clip[0] == 0 and clip in reach:
            fires = reach[clip] > 0
            weight = parameter(module, layer.weight)
            set_parameter(module, layer.weight, weight * _along(fires, weight, 0))
            set_parameter(module, layer.bias, parameter(module, layer.bias) * fires)


def _relative(sizes: torch.Tensor) -> torch.Tensor:
    return sizes / sizes.amax()


def _scale(module: GraphModule, space: ChannelSpace, factors: torch.Tensor) -> None:
    for layer in space.writers:
        weight = parameter(module, layer.weight)
        set_parameter(module, layer.weight, weight / _along(factors, weight, 0))
        set_parameter(module, layer.bias, parameter(module, layer.bias) / factors)
    for layer, how in space.readers:
        weight = parameter(module, layer.weight)
        set_parameter(module, layer.weight, weight * _along(factors, weight, 0 if how == "depthwise" else 1))


def _along(factors: torch.Tensor, weight: torch.Tensor, axis: int) -> torch.Tensor:
    shape = [1] * weight.dim()
    shape[axis] = -1
    return factors.reshape(shape)


def _rows(weight: torch.Tensor) -> torch.Tensor:
    return weight.abs().flatten(1).amax(1)


def _columns(module: GraphModule, layer: Layer, how: Reading) -> torch.Tensor:
    weight = parameter(module, layer.weight)
    return _rows(weight if how == "depthwise" else weight.movedim(1, 0))


class _Reach(Interpreter):
    def __init__(self, module: GraphModule, wanted: set[Node]) -> None:
        super().__init__(module)
        self.wanted = wanted
        self.found: dict[Node, torch.Tensor] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n in self.wanted:
            axes = [0, *range(2, result.dim())]
            reach = torch.maximum(result.amax(axes), -result.amin(axes))
            self.found[n] = torch.maximum(self.found.get(n, reach), reach)
        return result
