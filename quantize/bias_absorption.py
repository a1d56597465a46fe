"""High-bias absorption: what a channel always has moves into the bias of its readers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch.fx import GraphModule, Node

from mobiledeploy.quantize.graph import CLIPS, parameter, set_parameter
from mobiledeploy.quantize.reach import Extremes
from mobiledeploy.quantize.spaces import ChannelSpace, channel_spaces
from mobiledeploy.source import OUTPUT_MOMENTS

# Operations that commute with the subtraction of a number per channel, beside the clip itself.
_SHIFTS = frozenset({"aten.adaptive_avg_pool2d.default", "aten.flatten.using_ints", "aten.mean.dim"})
# Inputs that calibration has not seen may lie somewhat lower, or higher.
_MARGIN = 1.25


def absorb_biases(module: GraphModule, extremes: Mapping[Node, Extremes]) -> None:
    """Lower every channel of a clipped activation by what it never falls below.

    Before: ``y = W2 relu(W1 x + b1) + b2``.  After: ``y = W2 relu(W1 x + b1 - c) + b2 + W2 c``: the same
    where ``W1 x + b1 >= c``.  ``c`` is the channel's lowest value in calibration, less a margin.  Readers
    that pad with zeros are left alone, as their zeros would have to become ``-c``; so are channels that
    come near an upper clip.

    Source: Nagel et al., Data-Free Quantization, arXiv 1906.04721, section 4.1.3, which takes three
    deviations below the batch norm's mean for ``c``.

    Args:
        module: tidy, without observers; biases change.
        extremes: from ``extremes_of``.
    """
    for space in channel_spaces(module):
        clip = _clip(space)
        if clip is None or clip not in extremes:
            continue
        lowest, highest = extremes[clip]
        floor = (lowest - (_MARGIN - 1) * (highest - lowest)).clamp(min=0)
        if math.isfinite(space.highest):
            floor = torch.where(highest * _MARGIN < space.highest, floor, 0.0)
        (writer,) = space.writers
        set_parameter(module, writer.bias, parameter(module, writer.bias) - floor)
        if OUTPUT_MOMENTS in writer.node.meta:
            mean, deviation = writer.node.meta[OUTPUT_MOMENTS]
            writer.node.meta[OUTPUT_MOMENTS] = (mean - floor, deviation)
        for reader, _ in space.readers:
            weight = parameter(module, reader.weight)
            gain = weight.reshape(*weight.shape[:2], -1).sum(2) @ floor
            set_parameter(module, reader.bias, parameter(module, reader.bias) + gain)


def _clip(space: ChannelSpace) -> Node | None:
    """The activation of a space that can be shifted, None for any other space."""
    if len(space.writers) != 1 or any(how != "dense" or _pads(layer.node) for layer, how in space.readers):
        return None
    clips = [node for node in space.tensors if str(node.target) in CLIPS]
    others = [node for node in space.tensors if node not in clips and node is not space.writers[0].node]
    if len(clips) != 1 or any(str(node.target) not in _SHIFTS for node in others):
        return None
    return clips[0]


def _pads(layer: Node) -> bool:
    if str(layer.target) == "aten.linear.default":
        return False
    padding = layer.args[4] if len(layer.args) > 4 else [0, 0]
    return padding != "valid" and padding not in ([0, 0], (0, 0))
