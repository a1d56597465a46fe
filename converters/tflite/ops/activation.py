"""Activations and other functions of one element."""

from __future__ import annotations

import math

import torch

from mobiledeploy.converters.tflite.graph import Quantization
from mobiledeploy.converters.tflite.lowering import CannotLowerError, Lowering, Operand, Value, lowers
from mobiledeploy.converters.tflite.ops.arithmetic import Scalar, binary, combine, operand

_SAME_NAME = {
    "abs": "ABS",
    "ceil": "CEIL",
    "cos": "COS",
    "exp": "EXP",
    "floor": "FLOOR",
    "hardswish": "HARD_SWISH",
    "log": "LOG",
    "neg": "NEG",
    "relu": "RELU",
    "relu6": "RELU6",
    "round": "ROUND",
    "rsqrt": "RSQRT",
    "sigmoid": "LOGISTIC",
    "sign": "SIGN",
    "sin": "SIN",
    "sqrt": "SQRT",
    "tanh": "TANH",
}


def _elementwise(name: str, kind: str) -> None:
    @lowers(f"{name}.default", f"{name}_.default")
    def lower(lo: Lowering, x: Value) -> Value:
        return lo.map(kind, x)


for _name, _kind in _SAME_NAME.items():
    _elementwise(_name, _kind)


@lowers("clamp.default", "clamp_.default", "clamp.Tensor", "hardtanh.default", "hardtanh_.default")
def clamp(
    lo: Lowering, x: Value, low: Scalar | Operand | None = None, high: Scalar | Operand | None = None
) -> Value:
    if low == 0 and high is None:
        return lo.map("RELU", x)
    if low == 0 and high == 6:
        return lo.map("RELU6", x)
    if low == -1 and high == 1:
        return lo.map("RELU_N1_TO_1", x)
    if low is not None:
        x = lo.map("RELU", x) if low == 0 else combine(lo, "MAXIMUM", [x, operand(low, x)])
    if high is not None:
        x = combine(lo, "MINIMUM", [x, operand(high, x)])
    return x


@lowers("clamp_min.default", "clamp_min_.default")
def clamp_min(lo: Lowering, x: Value, low: Scalar) -> Value:
    return clamp(lo, x, low, None)


@lowers("clamp_max.default", "clamp_max_.default")
def clamp_max(lo: Lowering, x: Value, high: Scalar) -> Value:
    return clamp(lo, x, None, high)


@lowers("hardsigmoid.default", "hardsigmoid_.default")
def hardsigmoid(lo: Lowering, x: Value) -> Value:
    """``relu6(x + 3) / 6``: ADD (its RELU6 fused later), MUL.

    Of int8 codes the sum has codes too, over the 0..6 that the clip lets through.
    """
    clipped = lo.map("RELU6", binary(lo, "ADD", x, 3.0))
    if x.tensor.quantization is not None and x.tensor.quantization.dtype == "int8":
        clipped.tensor.quantization = Quantization("int8", (6 / 255,), -128)
    return binary(lo, "MUL", clipped, 1 / 6)


@lowers("silu.default", "silu_.default")
def silu(lo: Lowering, x: Value) -> Value:
    return combine(lo, "MUL", [x, lo.map("LOGISTIC", x)])


@lowers("gelu.default", "gelu_.default")
def gelu(lo: Lowering, x: Value, approximate: str = "none") -> Value:
    return lo.map("GELU", x, approximate=approximate == "tanh")


@lowers("leaky_relu.default", "leaky_relu_.default")
def leaky_relu(lo: Lowering, x: Value, negative_slope: float = 0.01) -> Value:
    return lo.map("LEAKY_RELU", x, alpha=negative_slope)


@lowers("elu.default", "elu_.default")
def elu(lo: Lowering, x: Value, alpha: Scalar = 1, scale: Scalar = 1, input_scale: Scalar = 1) -> Value:
    if input_scale != 1 or scale != 1:
        raise CannotLowerError("a scaled ELU has no TFLite operator")
    if alpha == 1:
        return lo.map("ELU", x)
    # max(x, 0) + alpha * (exp(min(x, 0)) - 1)
    negative = lo.map("EXP", combine(lo, "MINIMUM", [x, operand(0.0, x)]))
    return binary(lo, "ADD", lo.map("RELU", x), binary(lo, "MUL", binary(lo, "SUB", negative, 1.0), alpha))


@lowers("prelu.default", "_prelu_kernel.default")
def prelu(lo: Lowering, x: Value, weight: Operand) -> Value:
    if isinstance(weight, Value):
        raise CannotLowerError("PReLU with a computed slope")
    slope = weight.reshape(1, -1, *(1,) * (x.rank - 2)).expand(1, x.shape[1], *(1,) * (x.rank - 2))
    stored = slope.permute(x.order)[0]
    return Value(
        lo.emit("PRELU", [x.tensor, lo.constant(stored, lo.parameter_name(weight))], x.tensor.shape, x.dtype),
        x.order,
    )


@lowers("softplus.default")
def softplus(lo: Lowering, x: Value, beta: Scalar = 1, threshold: Scalar = 20) -> Value:
    """``relu(x) + log(1 + exp(-|x|))``, which overflows nowhere."""
    if beta != 1:
        raise CannotLowerError("softplus with beta other than 1")
    tail = lo.map("LOG", binary(lo, "ADD", lo.map("EXP", lo.map("NEG", lo.map("ABS", x))), 1.0))
    return combine(lo, "ADD", [lo.map("RELU", x), tail])


@lowers("mish.default", "mish_.default")
def mish(lo: Lowering, x: Value) -> Value:
    return combine(lo, "MUL", [x, lo.map("TANH", softplus(lo, x))])


@lowers("log_sigmoid.default")
def log_sigmoid(lo: Lowering, x: Value) -> Value:
    return lo.map("NEG", softplus(lo, lo.map("NEG", x)))


@lowers("softmax.int", "_softmax.default", "log_softmax.int", "_log_softmax.default")
def softmax(lo: Lowering, x: Value, dim: int, third: torch.dtype | bool | None = None) -> Value:
    last = _stored_last(lo, x, dim)
    if "log" in lo.overload:
        return lo.map("LOG_SOFTMAX", last)
    return lo.map("SOFTMAX", last, beta=1.0)


def _stored_last(lo: Lowering, x: Value, dim: int) -> Value:
    """TFLite normalises over the last stored axis."""
    axis = dim % x.rank
    if x.order[-1] == axis:
        return x
    return lo.to_order(x, (*(a for a in x.order if a != axis), axis))


@lowers("expm1.default")
def expm1(lo: Lowering, x: Value) -> Value:
    return binary(lo, "SUB", lo.map("EXP", x), 1.0)


@lowers("log1p.default")
def log1p(lo: Lowering, x: Value) -> Value:
    return lo.map("LOG", binary(lo, "ADD", x, 1.0))


@lowers("log2.default")
def log2(lo: Lowering, x: Value) -> Value:
    return binary(lo, "MUL", lo.map("LOG", x), 1 / math.log(2))
