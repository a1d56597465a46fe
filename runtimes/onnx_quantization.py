"""Quantization of an ONNX file's tensors, as its QuantizeLinear and DequantizeLinear state it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mobiledeploy.errors import UnsupportedError
from mobiledeploy.runtimes.onnx_file import load
from mobiledeploy.runtimes.onnx_graph import DEQUANTIZE, QUANTIZE, attribute, dtype_name
from mobiledeploy.runtimes.quantization import (
    Listing,
    Quantization,
    QuantizedOp,
    QuantizedWeights,
    quantized_weights,
)

if TYPE_CHECKING:
    import onnx

    Node = onnx.NodeProto

_LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_INTEGER_PRODUCTS = frozenset({"ConvInteger", "MatMulInteger", "QGemm", "DynamicQuantizeMatMul"})


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """A constant behind a DequantizeLinear."""

    codes: np.ndarray
    scales: np.ndarray
    zero_points: np.ndarray

    @property
    def reals(self) -> np.ndarray:
        """For biases and the like, which have one axis at most."""
        return (self.codes - self.zero_points.astype(np.float64)) * self.scales.astype(np.float64)

    @property
    def quantization(self) -> Quantization | None:
        if self.scales.size != 1:
            return None
        return Quantization(self.codes.dtype.name, float(self.scales.item()), int(self.zero_points.item()))


def read_quantized_ops(path: Path) -> tuple[QuantizedOp, ...]:
    """The operators of the main graph; see ``quantization.read_quantization``."""
    model = load(path)
    constants = _constants(model, path)
    stored: dict[str, _Stored] = {}
    dtypes = {info.name: dtype_name(info.type.tensor_type.elem_type) for info in model.graph.input}
    listing = Listing()
    for node in model.graph.node:
        if node.op_type.startswith("QLinear") or node.op_type in _INTEGER_PRODUCTS:
            raise UnsupportedError(
                f"{node.op_type} states its quantization in its own inputs, which are not listed",
                where=str(path),
                hint="Give a file that has QuantizeLinear and DequantizeLinear instead",
            )
        if node.op_type == DEQUANTIZE and node.input[0] in constants:
            stored[node.output[0]] = _stored(node, constants)
        elif node.op_type == DEQUANTIZE:
            known = _quantization(node, constants, dtypes.get(node.input[0], "uint8"))
            if known is not None:
                listing.dequantize(node.output[0], known)
        elif node.op_type == QUANTIZE:
            known = _quantization(node, constants, "uint8")
            if known is not None:
                dtypes[node.output[0]] = known.dtype
                listing.quantize(node.input[0], known)
        else:
            _compute(node, constants, stored, listing)
    return listing.ops()


def _compute(
    node: Node, constants: dict[str, np.ndarray], stored: dict[str, _Stored], listing: Listing
) -> None:
    is_layer = node.op_type in _LAYERS and node.input[1] in stored
    for name in node.input:
        known = stored[name].quantization if name in stored and not is_layer else None
        if known is not None:
            listing.dequantize(name, known)
    weights = _weights(node, constants, stored) if is_layer else None
    listing.compute(node.op_type, node.input[:1] if is_layer else node.input, node.output, weights)


def _weights(node: Node, constants: dict[str, np.ndarray], stored: dict[str, _Stored]) -> QuantizedWeights:
    weight = stored[node.input[1]]
    turned = {"MatMul": True, "ConvTranspose": True, "Gemm": not attribute(node, "transB", 0)}
    codes = weight.codes.swapaxes(0, 1) if turned.get(node.op_type) else weight.codes
    name = node.input[2] if len(node.input) > 2 else ""
    bias = stored[name].reals if name in stored else constants.get(name)
    return quantized_weights(codes, weight.scales, weight.zero_points, bias)


def _stored(node: Node, constants: dict[str, np.ndarray]) -> _Stored:
    scales = constants[node.input[1]]
    zero_points = constants[node.input[2]] if len(node.input) > 2 else np.zeros(scales.shape, np.int8)
    return _Stored(constants[node.input[0]], scales, zero_points)


def _quantization(node: Node, constants: dict[str, np.ndarray], dtype: str) -> Quantization | None:
    """Scale and zero point of an activation, None if they are found at run time or by channel."""
    scale = constants.get(node.input[1])
    zero_point = constants.get(node.input[2]) if len(node.input) > 2 else np.zeros((), dtype)
    if scale is None or zero_point is None or scale.size != 1:
        return None
    return Quantization(zero_point.dtype.name, float(scale.item()), int(zero_point.item()))


def _constants(model: onnx.ModelProto, path: Path) -> dict[str, np.ndarray]:
    from onnx import TensorProto, numpy_helper

    folder = str(path.parent)
    found = {item.name: numpy_helper.to_array(item, folder) for item in model.graph.initializer}
    for node in model.graph.node:
        value = attribute(node, "value", None) if node.op_type == "Constant" else None
        if isinstance(value, TensorProto):
            found[node.output[0]] = numpy_helper.to_array(value, folder)
    return found
