"""What a detector computes of boxes, which stays float: a step of a code would move a box by pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from torch.fx import GraphModule, Node

from mobiledeploy.quantize.graph import CLIPS, LAYERS

SUPPRESSION = "mobiledeploy.non_max_suppression.default"


def geometry(module: GraphModule, moves: frozenset[str]) -> frozenset[Node]:
    """All between the layers before a non-maximum suppression and the layers behind it.

    Given: ``conv -> reshape -> mul -> exp -> suppression -> topk -> matmul -> conv``.  Result: ``mul`` to
    ``matmul``.  What layers made and others only moved is theirs still.

    Args:
        moves: operations whose results are their inputs' values, in other places.
    """
    seeds = [node for node in module.graph.nodes if str(node.target) == SUPPRESSION]
    made: dict[Node, bool] = {}
    for node in module.graph.nodes:
        made[node] = _is_made_by_layers(node, moves, made)
    before = _reached(seeds, lambda node: (item for item in node.all_input_nodes if not made[item]))
    behind = _reached(seeds, lambda node: (user for user in node.users if str(user.target) not in LAYERS))
    return frozenset(node for node in before | behind if node.op == "call_function")


def _is_made_by_layers(node: Node, moves: frozenset[str], made: dict[Node, bool]) -> bool:
    name, inputs = str(node.target), node.all_input_nodes
    if name in LAYERS:
        return True
    if name in CLIPS:
        return str(inputs[0].target) in LAYERS
    return name in moves and all(made[item] for item in inputs)


def _reached(seeds: Iterable[Node], onward: Callable[[Node], Iterator[Node]]) -> set[Node]:
    found: set[Node] = set()
    pending = list(seeds)
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending.extend(onward(node))
    return found
