"""What the steps ask a program's graph: its layers, their weights and names."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node

LAYERS = frozenset({"aten.conv2d.default", "aten.conv2d.padding", "aten.linear.default"})
# Activations that only clip: they cost nothing behind a layer, whose range ends where they clip.
CLIPS = frozenset({"aten.relu.default", "aten.relu6.default", "aten.hardtanh.default", "aten.clamp.default"})
EVERYTHING = (-math.inf, math.inf)
# Identities in a model that is not trained.
_IDENTITIES = frozenset({"aten.dropout.default", "aten.alias.default", "aten.detach.default"})


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or linear layer with weight and bias of its own.

    Attributes:
        node: the operation.
        path: PyTorch module path.
        weight, bias: names of its parameters in the graph module; output channels first.
    """

    node: Node
    path: str
    weight: str
    bias: str

    @property
    def channel_axis(self) -> int:
        """Axis of the output that holds the channels."""
        return _channel_axis(self.node)

    @property
    def clip(self) -> tuple[float, float]:
        """Range that the activation behind the layer lets through; all numbers if there is none."""
        return clip_of(next(iter(self.node.users))) if len(self.node.users) == 1 else EVERYTHING


def layers(module: GraphModule) -> Iterator[Layer]:
    """Every layer whose weight is a parameter, in order; observers in between are looked through."""
    for node in module.graph.nodes:
        if str(node.target) in LAYERS and len(node.args) > 2:
            weight, bias = source(node.args[1]), source(node.args[2])
            if weight.op == bias.op == "get_attr":
                yield Layer(node, module_path(node), str(weight.target), str(bias.target))


def source(node: object) -> Node:
    """The node that an operand comes from, before observers.

    Raises:
        TypeError: the operand is a plain value.
    """
    if not isinstance(node, Node):
        raise TypeError(f"{node!r} is no node")
    return source(node.args[0]) if node.op == "call_module" else node


def clip_of(node: Node) -> tuple[float, float]:
    """Smallest and largest result of an activation that only clips; all numbers for other operations."""
    name = str(node.target)
    if name == "aten.relu.default":
        return 0.0, math.inf
    if name == "aten.relu6.default":
        return 0.0, 6.0
    if name not in CLIPS:
        return EVERYTHING
    limits: list[Any] = list(node.args[1:3])
    if name == "aten.hardtanh.default":
        limits += [-1.0, 1.0][len(limits) :]
    low, high = [*limits, None, None][:2]
    return (-math.inf if low is None else float(low)), (math.inf if high is None else float(high))


def parameter(module: GraphModule, name: str) -> torch.Tensor:
    """The tensor that a ``get_attr`` node reads."""
    value = operator.attrgetter(name)(module)
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} is no tensor")
    return value.detach()


def set_parameter(module: GraphModule, name: str, value: torch.Tensor) -> None:
    """Put another tensor in the place of one that a ``get_attr`` node reads."""
    owner, _, last = name.rpartition(".")
    setattr(module.get_submodule(owner), last, torch.nn.Parameter(value, requires_grad=False))


def module_path(node: Node) -> str:
    """Dotted path of the innermost module, as ``model.get_submodule`` takes it; empty at the top."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values()]
    return str(paths[-1]).removeprefix("L['self'].") if paths else ""


def along(values: torch.Tensor, dims: int, axis: int) -> torch.Tensor:
    """(channels,) values shaped to go with the channels of a tensor of so many dimensions."""
    shape = [1] * dims
    shape[axis] = -1
    return values.reshape(shape)


def by_channel(output: torch.Tensor, axis: int, most: int) -> torch.Tensor:
    """(channels, positions): about ``most`` of all positions, evenly spread."""
    values = output.movedim(axis, 0).flatten(1)
    # An odd step does not walk down one column of the image.
    return values[:, :: values.shape[1] // most | 1]


def tidy(module: GraphModule) -> None:
    """Bring the graph into the one form that the steps expect.

    * ``y = dropout(x)`` and other identities are gone.
    * ``y = relu_(x)`` is ``y = relu(x)``.
    * Every layer has a bias that no other layer reads; a layer without one gets zeros.
    """
    for node in list(module.graph.nodes):
        if str(node.target) in _IDENTITIES:
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)
        elif isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable:
            _out_of_place(node)
    for index, node in enumerate(n for n in module.graph.nodes if str(n.target) in LAYERS):
        _own_bias(module, node, f"bias_of_layer_{index}")
    module.graph.eliminate_dead_code()
    module.recompile()


def _out_of_place(node: Node) -> None:
    overload = node.target
    _, name = overload._schema.name.split("::")  # type: ignore[union-attr]
    packet = getattr(torch.ops.aten, name.rstrip("_"), None)
    if name.endswith("_") and packet is not None and overload.__name__.split(".")[-1] in packet.overloads():  # type: ignore[union-attr]
        node.target = getattr(packet, overload.__name__.split(".")[-1])  # type: ignore[union-attr]


def _own_bias(module: GraphModule, node: Node, name: str) -> None:
    bias = node.args[2] if len(node.args) > 2 else None
    if isinstance(bias, Node) and bias.op == "get_attr" and len(bias.users) == 1:
        return
    weight = node.args[1]
    if not isinstance(weight, Node) or weight.op != "get_attr":
        return
    if isinstance(bias, Node):
        if bias.op != "get_attr":
            return
        value = parameter(module, str(bias.target)).clone()
    else:
        value = parameter(module, str(weight.target)).new_zeros(node.meta["val"].shape[_channel_axis(node)])
    module.register_parameter(name, torch.nn.Parameter(value, requires_grad=False))
    with module.graph.inserting_before(node):
        own = module.graph.get_attr(name)
        own.meta["val"] = value
    node.args = (*node.args[:2], own, *node.args[3:])


def _channel_axis(node: Node) -> int:
    return -1 if str(node.target) == "aten.linear.default" else 1
