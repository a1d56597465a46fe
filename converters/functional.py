"""In-place operations as ordinary ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mobiledeploy.converters.nodes import operand

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node


def functional(program: ExportedProgram) -> ExportedProgram:
    """The program with every later reader of a tensor that was written in place reading the result.

    Before: ``relu_(x); add(x, y)``.  After: ``r = relu_(x); add(r, y)``.  Where views of the tensor are
    about, torch functionalises the whole program instead, which is slower and always right.
    """
    place = {node: index for index, node in enumerate(program.graph.nodes)}
    writers = [node for node in place if _is_mutable(node)]
    if any(_has_views(node) for node in writers):
        whole: ExportedProgram = program.run_decompositions({})
        return whole
    for writer in writers:
        written = operand(writer, 0)
        for reader in list(written.users):
            if place[reader] > place[writer]:
                reader.replace_input_with(written, writer)
    return program


def _is_mutable(node: Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and bool(node.target._schema.is_mutable)


def _has_views(writer: Node) -> bool:
    written = operand(writer, 0)
    return _is_view(written) or written.op == "placeholder" or any(_is_view(user) for user in written.users)


def _is_view(node: Node) -> bool:
    """Whether its result may share memory with its argument, by the operator's schema."""
    if not isinstance(node.target, torch._ops.OpOverload) or _is_mutable(node):
        return False
    if str(node.target) in {"aten.dropout.default", "aten.contiguous.default", "aten.to.dtype"}:
        return True
    return any(result.alias_info is not None for result in node.target._schema.returns)
