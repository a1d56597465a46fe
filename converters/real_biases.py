"""int32 biases of a quantized program as reals, for formats that have no such bias."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from mobiledeploy.converters.nodes import operand

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_DEQUANTIZES = frozenset(
    {
        "quantized_decomposed.dequantize_per_channel.default",
        "quantized_decomposed.dequantize_per_tensor.default",
    }
)


def real_biases(program: ExportedProgram) -> ExportedProgram:
    """The program with its int32 constants dequantized.

    Before: ``conv(x, w, dequantize(codes int32))``.  After: ``conv(x, w, bias float32)``.

    Args:
        program: has a graph of its own, which is changed; its state is not.
    """
    import torch

    signature = program.graph_signature
    homes = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    state = dict(program.state_dict)
    for node in list(program.graph.nodes):
        if str(node.target) not in _DEQUANTIZES or operand(node, 0).name not in homes:
            continue
        holder = operand(node, 0)
        if holder.meta["val"].dtype != torch.int32:
            continue
        scale, zero_point = (_value(item, homes, program.state_dict) for item in node.args[1:3])
        codes = program.state_dict[homes[holder.name]].double()
        state[homes[holder.name]] = ((codes - zero_point) * scale).float()
        holder.meta = {**holder.meta, "val": node.meta["val"]}
        node.replace_all_uses_with(holder)
        program.graph.erase_node(node)
    result = copy.copy(program)
    result._state_dict = state
    result.graph_module.recompile()
    return result


def _value(item: Any, homes: dict[str, str], state: dict[str, Any]) -> Any:
    """A scale or zero point: a number, or a constant of the program."""
    from torch.fx import Node

    if item is None:
        return 0
    return state[homes[item.name]].double() if isinstance(item, Node) else item
