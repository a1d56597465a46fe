"""Batch, layer, group and instance norm at inference."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mobiledeploy.converters.tflite.lowering import CannotLowerError, Lowering, Operand, Result, Value, lowers
from mobiledeploy.converters.tflite.ops.arithmetic import binary
from mobiledeploy.converters.tflite.ops.reduce import moments


@lowers(
    "batch_norm.default",
    "_native_batch_norm_legit_no_training.default",
    "_native_batch_norm_legit.no_training",
    "native_batch_norm.default",
)
def batch_norm(
    lo: Lowering,
    x: Value,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    running_mean: torch.Tensor,
    running_var: torch.Tensor,
    *rest: object,
) -> Result:
    """One MUL and one ADD: those that follow a convolution were folded into it before."""
    eps = next(value for value in reversed(rest) if isinstance(value, float))
    scale = 1 / torch.sqrt(running_var.double() + eps)
    if weight is not None:
        scale = scale * weight.double()
    shift = -running_mean.double() * scale
    if bias is not None:
        shift = shift + bias.double()
    shape = (1, -1, *(1,) * (x.rank - 2))
    out = binary(lo, "MUL", x, scale.float().reshape(shape))
    out = binary(lo, "ADD", out, shift.float().reshape(shape))
    return (out, out, out) if len(lo.result_shapes) > 1 else out


@lowers("layer_norm.default", "native_layer_norm.default")
def layer_norm(
    lo: Lowering,
    x: Value,
    shape: Sequence[int],
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: float = 1e-5,
    *_: object,
) -> Result:
    out = normalised(lo, x, range(x.rank - len(shape), x.rank), eps)
    out = _affine(lo, out, weight, bias)
    return (out, out, out) if "native" in lo.overload else out


@lowers("group_norm.default")
def group_norm(
    lo: Lowering,
    x: Value,
    groups: int,
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: float = 1e-5,
    *_: object,
) -> Value:
    batch, channels, *space = x.shape
    if groups == 1:
        out = normalised(lo, x, range(1, x.rank), eps)
    else:
        parts = lo.reshape(x, (batch, groups, channels // groups, *space))
        out = lo.reshape(normalised(lo, parts, range(2, parts.rank), eps), x.shape)
    return _affine(lo, out, _per_channel(weight, len(space)), _per_channel(bias, len(space)))


@lowers("instance_norm.default")
def instance_norm(
    lo: Lowering,
    x: Value,
    weight: Operand | None,
    bias: Operand | None,
    running_mean: Operand | None,
    running_var: Operand | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    *_: object,
) -> Value:
    if not use_input_stats:
        raise CannotLowerError("instance norm with running statistics", "use batch norm")
    out = normalised(lo, x, range(2, x.rank), eps)
    return _affine(lo, out, _per_channel(weight, x.rank - 2), _per_channel(bias, x.rank - 2))


def normalised(lo: Lowering, x: Value, dims: Sequence[int], eps: float) -> Value:
    """``(x - mean) / sqrt(var + eps)`` over the given axes."""
    centred, spread = moments(lo, x, list(dims))
    return binary(lo, "MUL", centred, lo.map("RSQRT", binary(lo, "ADD", spread, eps)))


def _affine(lo: Lowering, x: Value, weight: Operand | None, bias: Operand | None) -> Value:
    if weight is not None:
        x = binary(lo, "MUL", x, weight)
    return x if bias is None else binary(lo, "ADD", x, bias)


def _per_channel(parameter: Operand | None, axes: int) -> torch.Tensor | None:
    if isinstance(parameter, Value):
        raise CannotLowerError("a norm whose scale is computed at run time", "multiply by it explicitly")
    return None if parameter is None else parameter.reshape(-1, *(1,) * axes)
