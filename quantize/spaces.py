"""Which tensors of a graph carry the same channels, from the layers that write them to those that read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from torch.fx import GraphModule, Node

from mobiledeploy.quantize.graph import CLIPS, LAYERS, Layer, clip_of, layers

# Operations that commute with a positive factor per channel.
_CHANNELWISE = frozenset(
    {
        "aten.pad.default",
        "aten.constant_pad_nd.default",
        "aten.max_pool2d.default",
        "aten.avg_pool2d.default",
        "aten.adaptive_avg_pool2d.default",
    }
)

Reading = Literal["dense", "depthwise"]


@dataclass
class ChannelSpace:
    """Tensors whose channel i can be divided by one number everywhere without changing the model.

    Attributes:
        writers: layers whose output channels these are.
        readers: layers whose input channels these are, and how they read them.
        tensors: the activations in it, in graph order.
        highest: the lowest upper clip in it; infinite without one.
    """

    writers: list[Layer] = field(default_factory=list)
    readers: list[tuple[Layer, Reading]] = field(default_factory=list)
    tensors: list[Node] = field(default_factory=list)
    highest: float = float("inf")
    closed: bool = True

    def absorb(self, other: ChannelSpace) -> None:
        """Become one with a space that an addition ties to this one."""
        self.writers += other.writers
        self.readers += other.readers
        self.tensors += other.tensors
        self.highest = min(self.highest, other.highest)
        self.closed &= other.closed


def channel_spaces(module: GraphModule) -> Iterator[ChannelSpace]:
    """Every space that begins and ends in layers with weights of their own, residual sums included."""
    found = {layer.node: layer for layer in layers(module)}
    home: dict[Node, ChannelSpace] = {}
    for node in module.graph.nodes:
        spaces = [home[item] for item in node.all_input_nodes if item in home]
        name = str(node.target)
        if node in found and _owns_weight(found[node]):
            _read(found[node], home)
            home[node] = ChannelSpace([found[node]], [], [node])
        elif len(spaces) == 1 and (name in _CHANNELWISE or _is_one_sided_clip(node) or _is_flat(node)):
            spaces[0].tensors.append(node)
            spaces[0].highest = min(spaces[0].highest, clip_of(node)[1])
            home[node] = spaces[0]
        elif name == "aten.add.Tensor" and _same_shapes(node, home):
            first, second = spaces
            if first is not second:
                first.absorb(second)
                home.update({item: first for item, space in home.items() if space is second})
            first.tensors.append(node)
            home[node] = first
        else:
            for space in spaces:
                space.closed = False
    unique = {id(space): space for space in home.values()}
    for space in unique.values():
        if space.closed and space.readers:
            yield space


def _read(layer: Layer, home: dict[Node, ChannelSpace]) -> None:
    space = home.get(layer.node.all_input_nodes[0])
    if space is None:
        return
    groups = layer.node.args[6] if len(layer.node.args) > 6 else 1
    shape = layer.node.all_input_nodes[1].meta["val"].shape
    if groups == 1 or str(layer.node.target) == "aten.linear.default":
        space.readers.append((layer, "dense"))
    elif groups == shape[0] and shape[1] == 1:
        space.readers.append((layer, "depthwise"))
    else:
        space.closed = False


def _owns_weight(layer: Layer) -> bool:
    return str(layer.node.target) in LAYERS and len(layer.node.all_input_nodes[1].users) == 1


def _is_one_sided_clip(node: Node) -> bool:
    return str(node.target) in CLIPS and clip_of(node)[0] == 0


def _is_flat(node: Node) -> bool:
    """Flattened from one pixel per channel, so that features are channels."""
    if str(node.target) != "aten.flatten.using_ints":
        return False
    before, after = node.all_input_nodes[0].meta["val"].shape, node.meta["val"].shape
    return len(after) == 2 and tuple(before[:2]) == tuple(after)


def _same_shapes(node: Node, home: dict[Node, ChannelSpace]) -> bool:
    operands = node.all_input_nodes
    shapes = {tuple(item.meta["val"].shape) for item in operands}
    return len(operands) == 2 and len(shapes) == 1 and all(item in home for item in operands)
