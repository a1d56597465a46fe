"""Quantization of a Core ML file's tensors, operation by operation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mobiledeploy.errors import UnsupportedError
from mobiledeploy.runtimes.coreml_package import damage_as_input_error, load
from mobiledeploy.runtimes.mil_program import Constant, Operation, Program
from mobiledeploy.runtimes.quantization import (
    Listing,
    Quantization,
    QuantizedOp,
    QuantizedWeights,
    quantized_weights,
)

# Operation -> parameter of its weights.
_LAYERS = {"conv": "weight", "conv_transpose": "weight", "linear": "weight", "matmul": "y"}


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """Codes that a ``constexpr_`` operation expands."""

    codes: np.ndarray
    scales: np.ndarray
    zero_points: np.ndarray


def read_quantized_ops(path: Path) -> tuple[QuantizedOp, ...]:
    """The operations of the program; see ``quantization.read_quantization``."""
    model = load(path)
    if not isinstance(model.body, Program):
        raise UnsupportedError(
            "an older neural network has no quantized activations",
            where=str(path),
            hint="Give an ML Program",
        )
    with damage_as_input_error(path):
        return _Reading(model.body).ops()


class _Reading:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._stored: dict[str, _Stored] = {}
        self._listing = Listing()

    def ops(self) -> tuple[QuantizedOp, ...]:
        for op in self._program.operations:
            if op.kind in ("constexpr_affine_dequantize", "constexpr_blockwise_shift_scale"):
                self._store(op)
            elif op.kind == "dequantize":
                self._listing.dequantize(op.name, self._quantization(op, self._dtype(op)))
            elif op.kind == "quantize":
                known = self._quantization(op, op.outputs[0][1].dtype)
                self._listing.quantize(self._names(op, "input")[0], known)
            elif op.kind != "classify":  # It names a label; computes nothing.
                self._compute(op)
        return self._listing.ops()

    def _compute(self, op: Operation) -> None:
        names = self._names(op, _LAYERS.get(op.kind, ""))
        weights = self._weights(op, self._stored[names[0]]) if names and names[0] in self._stored else None
        inputs = [name for key in op.inputs for name in self._names(op, key) if name not in self._stored]
        self._listing.compute(op.kind, inputs, [name for name, _ in op.outputs], weights)

    def _weights(self, op: Operation, weight: _Stored) -> QuantizedWeights:
        turned = op.kind == "conv_transpose" or (op.kind == "matmul" and not self._flag(op, "transpose_y"))
        codes = weight.codes.swapaxes(0, 1) if turned else weight.codes
        bias = self._constant(op, "bias")
        return quantized_weights(
            codes, weight.scales, weight.zero_points, None if bias is None else bias.array
        )

    def _store(self, op: Operation) -> None:
        """The two spellings: iOS 16's, and iOS 18's where one block is one output channel."""
        is_affine = op.kind == "constexpr_affine_dequantize"
        data = self._constant(op, "quantized_data" if is_affine else "data")
        scales = self._constant(op, "scale")
        zero_points = self._constant(op, "zero_point" if is_affine else "offset")
        if data is None or scales is None:
            raise ValueError(f"{op.name} has no data or no scale")
        shifts = np.zeros(scales.type.shape, data.array.dtype) if zero_points is None else zero_points.array
        self._stored[op.name] = _Stored(data.array, scales.array, np.resize(shifts, scales.array.shape))

    def _quantization(self, op: Operation, dtype: str) -> Quantization:
        scale, zero_point = self._constant(op, "scale"), self._constant(op, "zero_point")
        if scale is None or scale.type.size != 1:
            raise ValueError(f"{op.name} has no single scale")
        shift = 0 if zero_point is None else int(zero_point.array.item())
        return Quantization(dtype, float(scale.array.item()), shift)

    def _dtype(self, op: Operation) -> str:
        return self._program.types[self._names(op, "input")[0]].dtype

    def _names(self, op: Operation, parameter: str) -> list[str]:
        return [item for item in op.inputs.get(parameter, ()) if isinstance(item, str)]

    def _flag(self, op: Operation, parameter: str) -> bool:
        value = self._constant(op, parameter)
        return value is not None and bool(value.array)

    def _constant(self, op: Operation, parameter: str) -> Constant | None:
        if parameter in op.attributes:
            return op.attributes[parameter]
        for item in op.inputs.get(parameter, ()):
            return self._program.constants.get(item) if isinstance(item, str) else item
        return None
