"""An integer graph from one on reals whose tensors know their quantization."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mobiledeploy.converters.tflite.graph import Graph, Operator, Quantization, Tensor

# The result of these is their input's values in another arrangement, or some of them.
_KEEPS_QUANTIZATION = frozenset(
    {"CONCATENATION", "GATHER", "MAX_POOL_2D", "PAD", "REDUCE_MAX", "RESHAPE", "REVERSE_V2", "SLICE", "SPLIT",
     "STRIDED_SLICE", "TILE", "TRANSPOSE", "BROADCAST_TO", "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"}
)  # fmt: skip
# TFLite's kernels know these results in one quantization per dtype only.
_FIXED = {
    ("LOGISTIC", "int8"): Quantization("int8", (1 / 256,), -128),
    ("SOFTMAX", "int8"): Quantization("int8", (1 / 256,), -128),
    ("TANH", "int8"): Quantization("int8", (1 / 128,), 0),
    ("LOGISTIC", "int16"): Quantization("int16", (1 / 32768,), 0),
    ("SOFTMAX", "int16"): Quantization("int16", (1 / 32768,), 0),
    ("TANH", "int16"): Quantization("int16", (1 / 32768,), 0),
}
# Operator -> place of its weights, place of its bias, axis of the output channels in the weights.
LAYERS = {
    "CONV_2D": (1, 2, 0),
    "DEPTHWISE_CONV_2D": (1, 2, 3),
    "FULLY_CONNECTED": (1, 2, 0),
    "TRANSPOSE_CONV": (1, 3, 0),
}


def is_quantized(graph: Graph) -> bool:
    """Whether any computed tensor or input is to be stored as integers."""
    return any(tensor.quantization for op in graph.operators for tensor in op.outputs)


def to_integer(graph: Graph) -> None:
    """Make operators integer where everything they read and write has a quantization, weights too.

    At the borders to operators that stay float, QUANTIZE and DEQUANTIZE are written.
    """
    _spread(graph)
    borders = _Borders()
    for op in graph.operators:
        borders.add(op)
    graph.operators = borders.operators
    for tensor in (*graph.inputs, *(out for op in graph.operators for out in op.outputs)):
        if tensor.quantization is not None:
            tensor.dtype = tensor.quantization.dtype


def _spread(graph: Graph) -> None:
    """Quantization of results that follows from the operator."""
    for op in graph.operators:
        data = next((x for x in op.inputs if x is not None and x.data is None), None)
        if data is None or data.quantization is None:
            continue
        for out in op.outputs:
            if out.quantization is None and out.dtype == "float32":
                if op.kind in _KEEPS_QUANTIZATION:
                    out.quantization = data.quantization
                elif out not in graph.results:
                    out.quantization = _FIXED.get((op.kind, data.quantization.dtype))


class _Borders:
    """Operators in order, with conversions between integers and reals where they meet."""

    def __init__(self) -> None:
        self.operators: list[Operator] = []
        self._reals: dict[Tensor, Tensor] = {}

    def add(self, op: Operator) -> None:
        computed = [x for x in op.inputs if x is not None and x.data is None and x.dtype == "float32"]
        results = [x for x in op.outputs if x.dtype == "float32"]
        if op.kind == "QUANTIZE":
            self.operators.append(op)
        elif computed and all(x.quantization for x in (*computed, *results)) and not _has_real_weights(op):
            op.inputs = _stored_constants(op)
            self.operators.append(op)
        else:
            self._add_float(op)

    def _add_float(self, op: Operator) -> None:
        weights = _stored_weights(op)
        op.inputs = [self._real(x) for x in op.inputs]
        if weights is not None:
            op.inputs[LAYERS[op.kind][0]] = weights
        written = []
        for place, out in enumerate(op.outputs):
            if out.quantization is not None:
                real = Tensor(f"{out.name}/real", out.shape, out.dtype)
                op.outputs[place] = real
                written.append(Operator("QUANTIZE", [real], [out], {}, op.module))
        self.operators += [op, *written]

    def _real(self, tensor: Tensor | None) -> Tensor | None:
        if tensor is None or tensor.quantization is None:
            return tensor
        if tensor not in self._reals:
            if tensor.data is not None:
                self._reals[tensor] = replace(tensor, quantization=None)
            else:
                real = Tensor(f"{tensor.name}/real", tensor.shape, "float32")
                self.operators.append(Operator("DEQUANTIZE", [tensor], [real], {}, ""))
                self._reals[tensor] = real
        return self._reals[tensor]


def _has_real_weights(op: Operator) -> bool:
    """Whether it is a layer that the program left in float: between int8 neighbours, it stays so."""
    place = LAYERS.get(op.kind, (-1,))[0]
    weights = op.inputs[place] if place >= 0 else None
    return weights is not None and weights.data is not None and weights.quantization is None


def _stored_weights(op: Operator) -> Tensor | None:
    """Weights that stay int8 in a layer on reals, whose kernel quantizes its input as it runs."""
    if op.kind not in {"FULLY_CONNECTED", "CONV_2D"}:
        return None
    weights = op.inputs[1]
    if weights is None or weights.data is None or weights.quantization is None:
        return None
    return stored(weights, along(weights.quantization, 0))


def along(quantization: Quantization | None, axis: int) -> Quantization | None:
    """The same, with its scales along an axis if there are several."""
    if quantization is None or len(quantization.scales) == 1:
        return quantization
    return replace(quantization, axis=axis)


def _stored_constants(op: Operator) -> list[Tensor | None]:
    """The operator's inputs with its constants of reals as integers."""
    weight_place, bias_place, axis = LAYERS.get(op.kind, (-1, -1, 0))
    inputs = list(op.inputs)
    dtype = next(
        x.quantization.dtype for x in op.inputs if x is not None and x.data is None and x.quantization
    )
    for place, tensor in enumerate(op.inputs):
        if tensor is None or tensor.data is None or tensor.dtype != "float32" or place == bias_place:
            continue
        known = tensor.quantization or _symmetric(tensor.data, dtype)
        inputs[place] = stored(tensor, along(known, axis) if place == weight_place else known)
    data, weight = inputs[_data_place(op)], inputs[weight_place] if weight_place >= 0 else None
    bias = inputs[bias_place] if 0 <= bias_place < len(inputs) else None
    if bias is not None and weight is not None and data is not None:
        inputs[bias_place] = _stored_bias(bias, data, weight)
    return inputs


def _data_place(op: Operator) -> int:
    return 2 if op.kind == "TRANSPOSE_CONV" else 0


def _stored_bias(bias: Tensor, data: Tensor, weight: Tensor) -> Tensor:
    """In units of input scale times weight scale, as the accumulators are, and as wide as they."""
    if data.quantization is None or weight.quantization is None:
        raise ValueError(f"bias {bias.name} of a layer that is not quantized")
    scales = tuple(data.quantization.scales[0] * scale for scale in weight.quantization.scales)
    axis = 0 if len(scales) > 1 else None
    dtype = "int64" if data.quantization.dtype == "int16" else "int32"
    return stored(bias, Quantization(dtype, scales, 0, axis))


def _symmetric(values: np.ndarray, dtype: str) -> Quantization:
    """A constant that nobody quantized: its largest value at the last code."""
    return Quantization(dtype, (float(np.abs(values).max(initial=0.0)) / np.iinfo(dtype).max or 1.0,))


def stored(tensor: Tensor, quantization: Quantization | None) -> Tensor:
    """A constant of reals as codes."""
    if tensor.data is None or quantization is None:
        raise ValueError(f"{tensor.name} is no constant that is quantized")
    scales = np.asarray(quantization.scales, dtype=np.float64)
    if quantization.axis is not None:
        shape = [1] * tensor.data.ndim
        shape[quantization.axis] = -1
        scales = scales.reshape(shape)
    limits = np.iinfo(quantization.dtype)
    codes = np.rint(tensor.data / scales) + quantization.zero_point
    stored = np.clip(codes, limits.min, limits.max).astype(quantization.dtype)
    return Tensor(tensor.name, tensor.shape, quantization.dtype, stored, quantization)
