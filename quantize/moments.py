"""Mean and deviation of every activation's channels, from batch norm statistics, without any input."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node

from mobiledeploy.quantize.graph import CLIPS, source
from mobiledeploy.source import OUTPUT_MOMENTS

# Points of equal probability that stand for a normal distribution; more change the third digit.
_POINTS = 64
_ELEMENTWISE = CLIPS | {
    "aten.hardswish.default",
    "aten.hardsigmoid.default",
    "aten.silu.default",
    "aten.gelu.default",
    "aten.elu.default",
    "aten.leaky_relu.default",
    "aten.sigmoid.default",
    "aten.tanh.default",
}
# The mean of a channel stays; its deviation at most shrinks.
_AVERAGES = frozenset(
    {
        "aten.adaptive_avg_pool2d.default",
        "aten.avg_pool2d.default",
        "aten.mean.dim",
        "aten.flatten.using_ints",
        "aten.pad.default",
        "aten.constant_pad_nd.default",
    }
)


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and standard deviation per channel, (channels,) each."""

    mean: torch.Tensor
    deviation: torch.Tensor


def expected_moments(module: GraphModule) -> dict[Node, Moments]:
    """What batch norm statistics say of each activation; nodes of which they say nothing are left out.

    A layer's output is taken for normal, with its batch norm's beta and abs(gamma); activations are
    computed on that distribution; sums and products take their operands for independent.

    Source: Nagel et al., Data-Free Quantization, arXiv 1906.04721, section 4.2 and appendix C, where the
    mean of the clipped normal distribution is a formula; here it is a sum over quantiles, which serves
    every activation.

    Args:
        module: with or without observers.
    """
    found: dict[Node, Moments] = {}
    for node in module.graph.nodes:
        rule = _rule(node)
        if rule is not None:
            given = [found[item] for item in node.all_input_nodes if item in found]
            moments = rule(node, given)
            if moments is not None:
                found[node] = moments
    return found


_Rule = Callable[[Node, list[Moments]], Moments | None]


def _rule(node: Node) -> _Rule | None:
    name = str(node.target)
    if OUTPUT_MOMENTS in node.meta:
        return _of_layer
    if node.op == "call_module" or name in _AVERAGES:
        return _unchanged
    if name in _ELEMENTWISE:
        return _of_function
    return _ARITHMETIC.get(name)


def _of_layer(node: Node, _: list[Moments]) -> Moments:
    return Moments(*node.meta[OUTPUT_MOMENTS])


def _unchanged(node: Node, given: list[Moments]) -> Moments | None:
    if len(given) != 1 or not _keeps_channels(node):
        return None
    return given[0]


def _keeps_channels(node: Node) -> bool:
    """Flattening one pixel per channel does, flattening a map does not."""
    if node.op == "call_module":
        return True
    # An observer in between has no shape.
    before, after = source(node.all_input_nodes[0]).meta.get("val"), node.meta.get("val")
    if before is None or after is None:
        return False
    return after.dim() > 1 and bool(before.shape[1] == after.shape[1])


def _of_function(node: Node, given: list[Moments]) -> Moments | None:
    if len(given) != 1:
        return None
    places = (torch.arange(_POINTS) + 0.5) / _POINTS
    points = torch.special.ndtri(places)[:, None] * given[0].deviation + given[0].mean
    function: Any = node.target
    values = function(points, *node.args[1:], **node.kwargs)
    return Moments(values.mean(0), values.std(0, correction=0))


def _sum(node: Node, given: list[Moments]) -> Moments | None:
    return _joined(node, given, operator.add)


def _difference(node: Node, given: list[Moments]) -> Moments | None:
    return _joined(node, given, operator.sub)


def _joined(node: Node, given: list[Moments], join: Callable[[Any, Any], Any]) -> Moments | None:
    """Of operands as they are; one with a factor (``alpha``) says nothing."""
    if node.kwargs or len(given) != 2 or len(given[0].mean) != len(given[1].mean):
        return None
    first, second = given
    deviation = torch.sqrt(first.deviation**2 + second.deviation**2)
    return Moments(join(first.mean, second.mean), deviation)


def _product(_: Node, given: list[Moments]) -> Moments | None:
    if len(given) != 2 or len(given[0].mean) != len(given[1].mean):
        return None
    first, second = given
    squares = (first.mean**2 + first.deviation**2) * (second.mean**2 + second.deviation**2)
    mean = first.mean * second.mean
    return Moments(mean, (squares - mean**2).clamp(min=0).sqrt())


def _concatenation(node: Node, given: list[Moments]) -> Moments | None:
    axis = node.args[1] if len(node.args) > 1 else 0
    if len(given) != len(node.all_input_nodes) or axis != 1:
        return None
    of = dict(zip(node.all_input_nodes, given, strict=True))
    # An operand that comes twice is one input node.
    operands: Any = node.args[0]
    parts = [of[item] for item in operands]
    return Moments(torch.cat([item.mean for item in parts]), torch.cat([item.deviation for item in parts]))


_ARITHMETIC: dict[str, _Rule] = {
    "aten.add.Tensor": _sum,
    "aten.sub.Tensor": _difference,
    "aten.mul.Tensor": _product,
    "aten.cat.default": _concatenation,
}
