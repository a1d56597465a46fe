"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mobiledeploy.converters.tflite import layout
from mobiledeploy.converters.tflite.lowering import CannotLowerError, Lowering, Value, lowers
from mobiledeploy.converters.tflite.ops.arithmetic import binary

Dims = int | Sequence[int] | None


def reduce(lo: Lowering, kind: str, x: Value, dims: Dims, keepdim: bool) -> Value:
    """One reducing operator; all axes where ``dims`` is empty."""
    chosen = [dims] if isinstance(dims, int) else list(dims or range(x.rank))
    axes = sorted(dim % x.rank for dim in chosen)
    stored = sorted(x.stored_axis(axis) for axis in axes)
    shape = list(x.tensor.shape)
    if keepdim:
        for place in stored:
            shape[place] = 1
        order = x.order
    else:
        shape = [size for place, size in enumerate(shape) if place not in stored]
        order = layout.remove_axes(x.order, axes)
    out = lo.emit(kind, [x.tensor, lo.integers(stored)], shape, x.dtype, keepDims=keepdim)
    return Value(out, order)


@lowers("mean.dim", "mean.default")
def mean(lo: Lowering, x: Value, dims: Dims = None, keepdim: bool = False, dtype: object = None) -> Value:
    return reduce(lo, "MEAN", x, _dims(dims), keepdim)


@lowers("sum.dim_IntList", "sum.default")
def total(lo: Lowering, x: Value, dims: Dims = None, keepdim: bool = False, dtype: object = None) -> Value:
    return reduce(lo, "SUM", x, _dims(dims), keepdim)


@lowers("amax.default")
def amax(lo: Lowering, x: Value, dims: Dims = None, keepdim: bool = False) -> Value:
    return reduce(lo, "REDUCE_MAX", x, dims, keepdim)


@lowers("amin.default")
def amin(lo: Lowering, x: Value, dims: Dims = None, keepdim: bool = False) -> Value:
    return reduce(lo, "REDUCE_MIN", x, dims, keepdim)


@lowers("max.dim", "min.dim")
def extreme(lo: Lowering, x: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
    """Values and indices; the unused half is removed later."""
    kinds = ("REDUCE_MAX", "ARG_MAX") if "max" in lo.overload else ("REDUCE_MIN", "ARG_MIN")
    return reduce(lo, kinds[0], x, dim, keepdim), _arg(lo, kinds[1], x, dim, keepdim)


@lowers("argmax.default", "argmin.default")
def argmax(lo: Lowering, x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    kind = "ARG_MAX" if "max" in lo.overload else "ARG_MIN"
    if dim is None:
        x, dim = lo.reshape(x, (torch.Size(x.shape).numel(),)), 0
    return _arg(lo, kind, x, dim, keepdim)


def _arg(lo: Lowering, kind: str, x: Value, dim: int, keepdim: bool) -> Value:
    axis = x.stored_axis(dim)
    shape = [size for place, size in enumerate(x.tensor.shape) if place != axis]
    index = lo.constant(torch.tensor(axis, dtype=torch.int32), f"{lo.node}/index")
    # 2: int32 in TFLite's TensorType.
    out = Value(
        lo.emit(kind, [x.tensor, index], shape, "int32", outputType=2),
        layout.remove_axes(x.order, [dim % x.rank]),
    )
    return lo.reshape(out, (*x.shape[: dim % x.rank], 1, *x.shape[dim % x.rank + 1 :])) if keepdim else out


@lowers("linalg_vector_norm.default")
def vector_norm(
    lo: Lowering, x: Value, order: float = 2, dims: Dims = None, keepdim: bool = False, dtype: object = None
) -> Value:
    if order == 1:
        return reduce(lo, "SUM", lo.map("ABS", x), _dims(dims), keepdim)
    if order != 2:
        raise CannotLowerError(f"a norm of order {order}", "use order 1 or 2")
    return lo.map("SQRT", reduce(lo, "SUM", binary(lo, "MUL", x, x), _dims(dims), keepdim))


@lowers("var.correction", "var.dim", "std.correction", "std.dim")
def variance(
    lo: Lowering, x: Value, dims: Dims = None, correction: float | bool | None = 1, keepdim: bool = False
) -> Value:
    """``mean((x - mean)^2) * n / (n - correction)``; std is its root."""
    chosen = [d % x.rank for d in ([dims] if isinstance(dims, int) else dims or range(x.rank))]
    count = torch.Size([x.shape[d] for d in chosen]).numel()
    spread = moments(lo, x, chosen)[1]
    degrees = count - (1 if correction is None else int(correction))
    result = spread if degrees == count else binary(lo, "MUL", spread, count / degrees)
    result = lo.map("SQRT", result) if "std" in lo.overload else result
    return result if keepdim else lo.reshape(result, lo.result_shape)


def moments(lo: Lowering, x: Value, dims: Sequence[int]) -> tuple[Value, Value]:
    """``x - mean`` and the (biased) variance, axes kept."""
    centred = binary(lo, "SUB", x, reduce(lo, "MEAN", x, dims, True))
    return centred, reduce(lo, "MEAN", binary(lo, "MUL", centred, centred), dims, True)


def _dims(dims: object) -> Dims:
    """``mean.default`` passes a dtype where the axes would be."""
    return dims if isinstance(dims, int | list | tuple) else None
