"""Matrix products: FULLY_CONNECTED and BATCH_MATMUL."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mobiledeploy.converters.tflite import layout
from mobiledeploy.converters.tflite.lowering import CannotLowerError, Lowering, Operand, Value, lowers
from mobiledeploy.converters.tflite.ops.arithmetic import Scalar, binary, scaled


@lowers("linear.default")
def linear(lo: Lowering, x: Value, weight: Operand, bias: Operand | None = None) -> Value:
    """``x @ weight.T + bias`` over the last axis; weight (out, in)."""
    if isinstance(weight, Value):
        swapped = lo.permute(weight, [1, 0])
        out = matmul(lo, x, swapped)
        return out if bias is None else binary(lo, "ADD", out, bias)
    # The other axes may lie in any order, the features must be last.
    order = x.order if x.order[-1] == x.rank - 1 else layout.identity(x.rank)
    source = lo.to_order(x, order)
    shape = (*source.tensor.shape[:-1], weight.shape[0])
    constant_bias = bias if isinstance(bias, torch.Tensor) else None
    inputs = [
        source.tensor,
        lo.constant(weight),
        None if constant_bias is None else lo.constant(constant_bias.reshape(-1)),
    ]
    out = Value(lo.emit("FULLY_CONNECTED", inputs, shape, x.dtype, keepNumDims=len(shape) != 2), order)
    return binary(lo, "ADD", out, bias) if isinstance(bias, Value) else out


@lowers("addmm.default", "addbmm.default", "baddbmm.default")
def addmm(lo: Lowering, bias: Operand, x: Operand, y: Operand, beta: Scalar = 1, alpha: Scalar = 1) -> Value:
    """``beta * bias + alpha * x @ y``."""
    if (
        isinstance(x, Value)
        and isinstance(y, torch.Tensor)
        and isinstance(bias, torch.Tensor)
        and bias.dim() == 1
    ):
        return linear(lo, x, (alpha * y).t(), beta * bias)
    product = scaled(lo, matmul(lo, x, y), alpha)
    return binary(lo, "ADD", product, scaled(lo, bias, beta))


@lowers("matmul.default", "mm.default", "bmm.default")
def matmul(lo: Lowering, x: Operand, y: Operand) -> Value:
    """torch.matmul of at least one run-time operand."""
    if isinstance(x, Value) and isinstance(y, torch.Tensor) and y.dim() == 2 and x.rank >= 2:
        return linear(lo, x, y.t())
    left, right = lo.value(x), lo.value(y)
    if left.rank < 2 or right.rank < 2:
        raise CannotLowerError("a product with a vector", "give the vector a second axis")
    rank = max(left.rank, right.rank)
    left, right = _lead(lo, left, rank), _lead(lo, right, rank)
    left, adjoint_x = _rows_last(lo, left)
    right, adjoint_y = _rows_last(lo, right)
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    shape = (*batch, left.shape[-2], right.shape[-1])
    out = lo.emit(
        "BATCH_MATMUL", [left.tensor, right.tensor], shape, left.dtype, adjX=adjoint_x, adjY=adjoint_y
    )
    return Value(out, layout.identity(rank))


def _lead(lo: Lowering, value: Value, rank: int) -> Value:
    return lo.reshape(value, (1,) * (rank - value.rank) + value.shape)


def _rows_last(lo: Lowering, value: Value) -> tuple[Value, bool]:
    """Stored in PyTorch's order, or with the last two axes swapped, which the operator undoes."""
    rank = value.rank
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    if layout.same_memory(value.shape, value.order, layout.identity(rank)):
        return lo.contiguous(value), False
    if layout.same_memory(value.shape, value.order, swapped):
        return lo.to_order(value, swapped), True
    return lo.contiguous(value), False


@lowers("einsum.default")
def einsum(lo: Lowering, equation: str, operands: Sequence[Operand], path: object = None) -> Value:
    """Two operands over a contraction that BATCH_MATMUL can do: (batch, row, k) x (batch, k, column)."""
    left, _, right = equation.replace(" ", "").partition("->")
    names = left.split(",")
    if len(operands) != 2 or "." in equation or any(len(set(n)) != len(n) for n in names):
        raise CannotLowerError(f"einsum '{equation}'", "write it as matmul and permute")
    a, b = (lo.value(x) for x in operands)
    first, second = names
    batch = [c for c in first if c in second and c in right]
    summed = [c for c in first if c in second and c not in right]
    rows = [c for c in first if c not in second]
    columns = [c for c in second if c not in first]
    if any(c not in right for c in rows + columns):
        raise CannotLowerError(f"einsum '{equation}'", "write it as matmul and permute")
    sizes = dict(zip(first + second, (*a.shape, *b.shape), strict=True))

    def matrix(value: Value, axes: str, *parts: list[str]) -> Value:
        moved = lo.permute(value, [axes.index(c) for part in parts for c in part])
        return lo.reshape(moved, [_product(sizes, part) for part in parts])

    product = matmul(lo, matrix(a, first, batch, rows, summed), matrix(b, second, batch, summed, columns))
    wide = lo.reshape(product, [sizes[c] for c in batch + rows + columns])
    return lo.permute(wide, [(batch + rows + columns).index(c) for c in right])


def _product(sizes: dict[str, int], axes: list[str]) -> int:
    size = 1
    for axis in axes:
        size *= sizes[axis]
    return size
