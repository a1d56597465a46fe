"""Quantization of a TFLite file's tensors, operator by operator."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mobiledeploy.runtimes.quantization import (
    Listing,
    Quantization,
    QuantizedOp,
    QuantizedWeights,
    quantized_weights,
)
from mobiledeploy.runtimes.tflite_file import Node, Tensor, read_graph

_CODES = frozenset({"int8", "uint8", "int16"})
# Operator -> place of its weights, place of its bias, axes of the weights with output channels first.
_LAYERS = {
    "CONV_2D": (1, 2, (0, 3, 1, 2)),
    "DEPTHWISE_CONV_2D": (1, 2, (3, 0, 1, 2)),
    "FULLY_CONNECTED": (1, 2, (0, 1)),
    "TRANSPOSE_CONV": (1, 3, (0, 3, 1, 2)),
}


def read_quantized_ops(path: Path) -> tuple[QuantizedOp, ...]:
    """The operators of the first subgraph; see ``quantization.read_quantization``."""
    graph = read_graph(path)
    tensors = dict(enumerate(graph.tensors))
    listing = Listing()
    for node in graph.nodes:
        if node.kind == "DEQUANTIZE" and tensors[node.inputs[0]].is_constant:
            # Its readers see the stored weights.
            tensors[node.outputs[0]] = tensors[node.inputs[0]]
        else:
            _tell(node, tensors, listing)
    return listing.ops()


def _tell(node: Node, tensors: dict[int, Tensor], listing: Listing) -> None:
    weights = _weights(node, tensors)
    constants = node.inputs[_LAYERS[node.kind][0] :][:2] if weights else ()
    read = [index for index in node.inputs if index >= 0 and index not in constants]
    for index in read:
        known = _quantization(tensors[index])
        if known is not None:
            listing.dequantize(str(index), known)
            if node.kind == "DEQUANTIZE":
                listing.dequantize(str(node.outputs[0]), known)
    if node.kind not in ("QUANTIZE", "DEQUANTIZE"):
        listing.compute(node.kind, [str(index) for index in read], [str(i) for i in node.outputs], weights)
    for index in node.outputs:
        known = _quantization(tensors[index])
        if known is not None:
            listing.quantize(str(read[0] if node.kind == "QUANTIZE" else index), known)


def _quantization(tensor: Tensor) -> Quantization | None:
    if tensor.dtype not in _CODES or len(tensor.scales) != 1:
        return None
    return Quantization(tensor.dtype, float(tensor.scales[0]), (*tensor.zero_points, 0)[0])


def _weights(node: Node, tensors: dict[int, Tensor]) -> QuantizedWeights | None:
    if node.kind not in _LAYERS or len(node.inputs) < 2:
        return None
    place, bias_place, axes = _LAYERS[node.kind]
    weight = tensors[node.inputs[place]]
    if weight.dtype not in _CODES or not weight.stored or not weight.scales:
        return None
    bias_index = node.inputs[bias_place] if bias_place < len(node.inputs) else -1
    scales = np.asarray(weight.scales, np.float32)
    zero_points = np.resize(np.asarray(weight.zero_points or (0,), np.int64), scales.shape)
    bias = None if bias_index < 0 else _reals(tensors[bias_index])
    return quantized_weights(_array(weight).transpose(axes), scales, zero_points, bias)


def _reals(bias: Tensor) -> np.ndarray:
    codes = _array(bias)
    return codes * np.asarray(bias.scales, np.float64) if bias.scales else codes


def _array(tensor: Tensor) -> np.ndarray:
    return np.frombuffer(tensor.stored, tensor.dtype).reshape(tensor.shape)
