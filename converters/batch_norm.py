"""Batch norm folded into the convolution or linear layer before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from mobiledeploy.converters.nodes import operand
from mobiledeploy.source import OUTPUT_MOMENTS

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

# Axis of the weight that holds the output channels.
_OUTPUT_AXIS = {
    "aten.conv1d.default": 0,
    "aten.conv2d.default": 0,
    "aten.conv2d.padding": 0,
    "aten.linear.default": 0,
    "aten.conv_transpose2d.input": 1,
}
# Place of ``groups`` among a transposed convolution's arguments.
_GROUPS_OF_TRANSPOSED = 6


def fold_batch_norm(program: ExportedProgram) -> ExportedProgram:
    """The program with every batch norm that follows a layer of its own folded into that layer.

    Before: ``y = batch_norm(conv(x, w), gamma, beta, mean, var)``.
    After: ``y = conv(x, w * s, beta + (b - mean) * s)`` with ``s = gamma / sqrt(var + eps)``, computed in
    float64.  The folded bias takes the place of beta (or of the layer's own bias).  A layer whose
    result or weight has other readers keeps its batch norm.  What the batch norm knew of its output, mean
    beta and deviation abs(gamma), stays in the layer's ``meta``.
    """
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    state = program.state_dict
    for node in list(program.graph.nodes):
        if str(node.target) == "aten.batch_norm.default" and _can_fold(node, names):
            _fold(node, names, state)
    program.graph.lint()
    program.graph_module.recompile()
    return program


def _can_fold(norm: Node, names: dict[str, str]) -> bool:
    layer = operand(norm, 0)
    if str(layer.target) not in _OUTPUT_AXIS or len(layer.users) != 1:
        return False
    if norm.args[1] is None or norm.args[2] is None or norm.args[5]:
        return False
    grouped = len(layer.args) > _GROUPS_OF_TRANSPOSED and layer.args[_GROUPS_OF_TRANSPOSED] != 1
    if str(layer.target) == "aten.conv_transpose2d.input" and grouped:
        return False
    owned = [operand(layer, 1), operand(norm, 2), *_bias(layer)]
    return all(item.name in names and len(item.users) == 1 for item in owned)


def _bias(layer: Node) -> list[Node]:
    return [operand(layer, 2)] if len(layer.args) > 2 and layer.args[2] is not None else []


def _fold(norm: Node, names: dict[str, str], state: dict[str, torch.Tensor]) -> None:
    layer = operand(norm, 0)
    gamma, beta, mean, variance = (state[names[operand(norm, index).name]].double() for index in range(1, 5))
    scale = gamma / torch.sqrt(variance + cast("float", norm.args[7]))
    bias = _bias(layer)
    shift = beta + (-mean + (state[names[bias[0].name]].double() if bias else 0)) * scale
    weight_name = names[operand(layer, 1).name]
    weight = state[weight_name]
    shape = [1] * weight.dim()
    shape[_OUTPUT_AXIS[str(layer.target)]] = -1
    holder = bias[0] if bias else operand(norm, 2)
    state[weight_name] = _like(weight, weight.double() * scale.reshape(shape))
    state[names[holder.name]] = _like(weight, shift)
    layer.args = (*layer.args[:2], holder, *layer.args[3:])
    layer.meta[OUTPUT_MOMENTS] = (beta.float(), gamma.abs().float())
    norm.replace_all_uses_with(layer)
    norm.graph.erase_node(norm)


def _like(parameter: torch.Tensor, value: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(value.to(parameter.dtype), requires_grad=False)
