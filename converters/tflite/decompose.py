"""Operations without a lowering of their own, in terms of smaller ones."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Graph, Node
from torch.utils import _pytree as pytree

from mobiledeploy.converters.tflite.lowering import lowerable


def decompose(node: Node) -> tuple[Graph, int] | None:
    """The node as a graph of ATen operations that torch itself says it consists of.

    Given: ``aten.pairwise_distance(a, b)``.  Result: a graph of ``sub``, ``pow``, ``sum``, ... with
    one placeholder per tensor argument.

    Returns:
        The graph and its number of outputs; None if torch has no decomposition either.
    """
    from torch._decomp import core_aten_decompositions
    from torch.fx.experimental.proxy_tensor import make_fx

    target = node.target
    arguments = pytree.tree_map_only(Node, lambda n: n.meta["val"], (node.args, node.kwargs))
    leaves, spec = pytree.tree_flatten(arguments)
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    known = set(lowerable())
    table = {op: rule for op, rule in dict(core_aten_decompositions()).items() if str(op) not in known}

    def call(*values: torch.Tensor) -> Any:
        remaining = iter(values)
        filled = [next(remaining) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        args, kwargs = pytree.tree_unflatten(filled, spec)
        return target(*args, **kwargs)  # type: ignore[operator]

    with torch.no_grad():
        graph = make_fx(call, decomposition_table=table, tracing_mode="fake")(*tensors).graph
    inner = [n for n in graph.nodes if n.op == "call_function"]
    if any(n.target == target for n in inner):
        return None
    results = pytree.tree_leaves(next(n for n in graph.nodes if n.op == "output").args)
    return graph, len(results)
