"""Quantize and dequantize nodes: notes on tensors, from which ``integer`` makes an integer graph.

Before: ``q(x) -> dq -> conv2d(., dq(codes)) -> relu6 -> q -> dq``.
After: ``conv2d -> relu6`` on reals, x, weights and the result each with a quantization.
"""

from __future__ import annotations

import torch

from mobiledeploy.converters.tflite.graph import Quantization
from mobiledeploy.converters.tflite.lowering import Lowering, Operand, Value, lowers

_NAMESPACE = "quantized_decomposed"


@lowers("quantize_per_tensor.default", namespace=_NAMESPACE)
def quantize(
    lo: Lowering, x: Operand, scale: float, zero_point: int, low: int, high: int, dtype: torch.dtype
) -> Operand:
    quantization = Quantization(_name(dtype), (scale,), zero_point)
    if isinstance(x, Value):
        return annotate(lo, x, quantization)
    codes = (x / scale).round().add(zero_point).clamp(low, high)
    return lo.quantized_parameter((codes - zero_point) * scale, quantization, lo.parameter_name(x))


def annotate(lo: Lowering, x: Value, quantization: Quantization) -> Value:
    """The value stored as integers; one that is stored otherwise already is requantized."""
    known = x.tensor.quantization
    if known is None:
        x.tensor.quantization = quantization
    elif known != quantization:
        out = lo.emit("QUANTIZE", [x.tensor], x.tensor.shape, x.dtype)
        out.quantization = quantization
        return Value(out, x.order)
    return x


@lowers("dequantize_per_tensor.default", namespace=_NAMESPACE)
def dequantize(
    lo: Lowering,
    x: Operand,
    scale: float,
    zero_point: int,
    low: int,
    high: int,
    dtype: torch.dtype,
    out_dtype: torch.dtype | None = None,
) -> Operand:
    if isinstance(x, Value) or x.is_floating_point():
        return x
    quantization = Quantization(_name(dtype), (scale,), zero_point)
    reals = (x.to(torch.float32) - zero_point) * scale
    return lo.quantized_parameter(reals, quantization, lo.parameter_name(x))


@lowers("dequantize_per_channel.default", namespace=_NAMESPACE)
def dequantize_per_channel(
    lo: Lowering,
    x: torch.Tensor,
    scales: torch.Tensor,
    zero_points: torch.Tensor | None,
    axis: int,
    low: int,
    high: int,
    dtype: torch.dtype,
    out_dtype: torch.dtype | None = None,
) -> torch.Tensor:
    # float64 until the end: int32 codes of a bias have more digits than float32.
    shape = [1] * x.dim()
    shape[axis] = -1
    reals = (x.double() * scales.double().reshape(shape)).float()
    quantization = Quantization(_name(dtype), tuple(scales.tolist()))
    return lo.quantized_parameter(reals, quantization, lo.parameter_name(x))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
