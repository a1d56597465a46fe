"""Small questions to nodes of an exported graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.fx import Node


def module_path(node: Node) -> str:
    """Dotted path of the innermost module, as ``model.get_submodule`` takes it; empty at the top."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values()]
    return paths[-1].removeprefix("L['self'].") if paths else ""


def operand(node: Node, index: int) -> Node:
    """The node that is an operation's argument.

    Raises:
        TypeError: the argument is a plain value.
    """
    from torch.fx import Node as FxNode

    argument = node.args[index]
    if not isinstance(argument, FxNode):
        raise TypeError(f"argument {index} of {node} is {argument!r}, not a node")
    return argument
