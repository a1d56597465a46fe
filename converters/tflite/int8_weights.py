"""int8 weights in a graph of reals: kernels that quantize their input as they run, or widened weights."""

from __future__ import annotations

from dataclasses import replace

from mobiledeploy.converters.tflite.graph import Graph, Operator, Quantization, Tensor
from mobiledeploy.converters.tflite.integer import LAYERS, along, stored


def use_dynamic_kernels(graph: Graph) -> None:
    """Give layers their weights as int8.

    Before: ``CONV_2D(x, w float32)``.  After: ``CONV_2D(x, w int8)``, a kernel that quantizes ``x`` by its
    range each time and sums up in integers.  The depthwise one reads a scale per channel, even
    where there is one for all.
    """
    for op, place, axis, weights in _quantized_weights(graph):
        codes = stored(weights, along(weights.quantization, axis))
        if op.kind == "DEPTHWISE_CONV_2D":
            codes.quantization = _by_channel(codes, axis)
        op.inputs[place] = codes


def widen_weights(graph: Graph) -> None:
    """Store weights as int8 and compute in reals.

    Before: ``CONV_2D(x, w float32)``.  After: ``CONV_2D(x, DEQUANTIZE(w int8))``; runtimes widen the
    weights once, when the model is loaded.
    """
    widened: list[Operator] = []
    for op, place, axis, weights in _quantized_weights(graph):
        codes = stored(weights, along(weights.quantization, axis))
        op.inputs[place] = wide = Tensor(weights.name, weights.shape, "float32")
        codes.name = f"{weights.name}/codes"
        widened.append(Operator("DEQUANTIZE", [codes], [wide], {}, op.module))
    graph.operators[:0] = widened


def _by_channel(codes: Tensor, axis: int) -> Quantization | None:
    known = codes.quantization
    if known is None or len(known.scales) > 1:
        return known
    return replace(known, scales=known.scales * codes.shape[axis], axis=axis)


def _quantized_weights(graph: Graph) -> list[tuple[Operator, int, int, Tensor]]:
    """(layer, place of its weights, axis of their channels, weights) where the program quantized them."""
    found = []
    for op in graph.operators:
        if op.kind in LAYERS:
            place, _, axis = LAYERS[op.kind]
            weights = op.inputs[place]
            if weights is not None and weights.data is not None and weights.quantization is not None:
                found.append((op, place, axis, weights))
    return found
