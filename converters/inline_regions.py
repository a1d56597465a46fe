"""Regions that only switch a mode of the interpreter, flattened into the graph around them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch

from mobiledeploy.converters.nodes import operand

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule, Node

# ``with torch.no_grad()`` and ``with torch.autocast(...)`` inside forward().
_REGIONS = ("wrap_with_set_grad_enabled", "wrap_with_autocast")


def inline_regions(program: ExportedProgram) -> ExportedProgram:
    """The program without no-grad and autocast regions, whose bodies become part of the graph.

    Before: ``t = wrap_with_autocast(..., body, x); y = t[0]``.  After: the body's nodes, ``y`` its result.
    """
    found = [node for node in program.graph.nodes if getattr(node.target, "__name__", "") in _REGIONS]
    for node in found:
        _inline(program.graph_module, node)
    if found:
        program.graph.eliminate_dead_code()
        program.graph_module.recompile()
    return program


def _inline(owner: GraphModule, region: Node) -> None:
    place = next(i for i, item in enumerate(region.args) if _is_body(owner, item))
    body = getattr(owner, str(operand(region, place).target))
    inputs = [node for node in body.graph.nodes if node.op == "placeholder"]
    copies: dict[Node, Any] = dict(zip(inputs, region.args[place + 1 :], strict=True))
    with region.graph.inserting_before(region):
        results = region.graph.graph_copy(body.graph, copies)
    values: Any = results if isinstance(results, list | tuple) else [results]
    for reader in list(region.users):
        if reader.target is operator.getitem:
            reader.replace_all_uses_with(values[reader.args[1]])
            region.graph.erase_node(reader)
    region.graph.erase_node(region)


def _is_body(owner: GraphModule, item: object) -> bool:
    return (
        isinstance(item, torch.fx.Node)
        and item.op == "get_attr"
        and isinstance(getattr(owner, str(item.target), None), torch.fx.GraphModule)
    )
