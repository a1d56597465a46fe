"""Padding that a convolution can do itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def pad_in_convolutions(graph: onnx.GraphProto) -> None:
    """``Pad(x, zeros around height and width) -> Conv`` => ``Conv`` with these pads, also within Q and DQ.

    Before: ``DQ(q) -> Pad -> Q -> DQ -> Conv``.  After: ``DQ(q) -> Conv``: the codes are the same, as
    padding shares its input's scale, and ONNX Runtime has an integer kernel for the one and not for the
    other.
    """
    makers = {name: node for node in graph.node for name in node.output}
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(tensor.name for tensor in graph.output)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    dropped: list[str] = []
    for conv in graph.node:
        if conv.op_type != "Conv":
            continue
        chain = _back_to_pad(conv, makers, readers)
        pads = _spatial_pads(chain[-1], constants) if chain else None
        own = next((item for item in conv.attribute if item.name == "pads"), None)
        automatic = next((item.s for item in conv.attribute if item.name == "auto_pad"), b"NOTSET")
        if pads is None or own is None or automatic != b"NOTSET":
            continue
        own.ints[:] = [old + more for old, more in zip(own.ints, pads, strict=True)]
        conv.input[0] = chain[-1].input[0]
        dropped += [node.output[0] for node in chain]
    kept = [node for node in graph.node if node.output[0] not in dropped]
    del graph.node[:]
    graph.node.extend(kept)


def _back_to_pad(
    conv: onnx.NodeProto, makers: dict[str, onnx.NodeProto], readers: Counter[str]
) -> list[onnx.NodeProto]:
    """The nodes from a convolution's input back to the Pad that makes it, that one last; none without."""
    chain: list[onnx.NodeProto] = []
    wanted = ["DequantizeLinear", "QuantizeLinear", "Pad"]
    name = conv.input[0]
    if name in makers and makers[name].op_type == "Pad":
        wanted = ["Pad"]
    for kind in wanted:
        node = makers.get(name)
        if node is None or node.op_type != kind or readers[name] != 1:
            return []
        chain.append(node)
        name = node.input[0]
    if len(chain) == 1:
        return chain
    before = makers.get(name)
    same = before is not None and all(list(node.input[1:3]) == list(before.input[1:3]) for node in chain[:2])
    return chain if same else []


def _spatial_pads(pad: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> list[int] | None:
    """Top, left, bottom and right of a Pad with zeros of an image; None for any other."""
    from onnx import numpy_helper

    modes = [item.s for item in pad.attribute if item.name == "mode"]
    values = [constants.get(name) for name in pad.input[1:] if name]
    if modes not in ([], [b"constant"]) or not values or any(value is None for value in values):
        return None
    arrays = [numpy_helper.to_array(value) for value in values if value is not None]
    sizes = [int(size) for size in arrays[0]]
    if len(arrays) > 2 or (len(arrays) == 2 and arrays[1].any()) or len(sizes) != 8 or min(sizes) < 0:
        return None
    if any(sizes[place] for place in (0, 1, 4, 5)):
        return None
    return [sizes[2], sizes[3], sizes[6], sizes[7]]
