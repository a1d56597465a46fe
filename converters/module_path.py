"""Which PyTorch module a graph node came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.fx import Node


def module_path(node: Node) -> str:
    """Dotted path of the innermost module, as ``model.get_submodule`` takes it; empty at the top."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values()]
    return paths[-1].removeprefix("L['self'].") if paths else ""
