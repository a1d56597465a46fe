"""Cross-layer equalisation: the same function with channels of similar size."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch.fx import GraphModule, Node

from mobiledeploy.quantize.graph import Layer, along, parameter, set_parameter
from mobiledeploy.quantize.reach import Extremes, seen
from mobiledeploy.quantize.recipe import Granularity
from mobiledeploy.quantize.spaces import ChannelSpace, Reading, channel_spaces
from mobiledeploy.source import OUTPUT_MOMENTS

# A channel below the clip stays below it by this factor on inputs that calibration has not seen.
_HEADROOM = 2.0
# No channel changes by more than this factor, up or down.
_MOST = 1000.0


def equalise(module: GraphModule, extremes: Mapping[Node, Extremes], granularity: Granularity) -> None:
    """Divide channel i of a space by s_i where it is written, multiply by s_i where it is read.

    Before: ``y = W2 clip(W1 x + b1)``.  After: ``y = (W2 S) clip(S^-1 W1 x + S^-1 b1)``: the same, since
    ``clip`` commutes with positive factors, except for an upper clip (ReLU6).  There, a channel that
    reaches the clip in calibration keeps its size, and any other stays below the clip.  With scales per
    channel no channel of a clipped tensor shrinks: the clip ends its range, so that it would lose codes.

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
        extremes: from ``extremes_of``.
        granularity: of the weights' scales.
    """
    reach = {node: torch.maximum(high, -low) for node, (low, high) in extremes.items()}
    for space in channel_spaces(module):
        if granularity == "per-tensor":
            _neutralise(module, space, reach)
        largest = torch.stack([reach[node] for node in seen(space)]).amax(0)
        _scale(module, space, _factors(module, space, largest, granularity))


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
        if granularity == "per-channel":
            factors = factors.clamp(max=1)
    return factors


def _neutralise(module: GraphModule, space: ChannelSpace, reach: Mapping[Node, torch.Tensor]) -> None:
    """Zero weights and bias of the channels that their activation never lets through."""
    for layer in space.writers:
        clip = next(iter(layer.node.users))
        if layer.clip[0] == 0 and clip in reach:
            fires = reach[clip] > 0
            weight = parameter(module, layer.weight)
            set_parameter(module, layer.weight, weight * along(fires, weight.dim(), 0))
            set_parameter(module, layer.bias, parameter(module, layer.bias) * fires)


def _relative(sizes: torch.Tensor) -> torch.Tensor:
    return sizes / sizes.amax()


def _scale(module: GraphModule, space: ChannelSpace, factors: torch.Tensor) -> None:
    for layer in space.writers:
        weight = parameter(module, layer.weight)
        set_parameter(module, layer.weight, weight / along(factors, weight.dim(), 0))
        set_parameter(module, layer.bias, parameter(module, layer.bias) / factors)
        if OUTPUT_MOMENTS in layer.node.meta:
            moments = layer.node.meta[OUTPUT_MOMENTS]
            layer.node.meta[OUTPUT_MOMENTS] = tuple(moment / factors for moment in moments)
    for layer, how in space.readers:
        weight = parameter(module, layer.weight)
        axis = 0 if how == "depthwise" else 1
        set_parameter(module, layer.weight, weight * along(factors, weight.dim(), axis))


def _rows(weight: torch.Tensor) -> torch.Tensor:
    return weight.abs().flatten(1).amax(1)


def _columns(module: GraphModule, layer: Layer, how: Reading) -> torch.Tensor:
    weight = parameter(module, layer.weight)
    return _rows(weight if how == "depthwise" else weight.movedim(1, 0))
