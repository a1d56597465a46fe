"""Element-wise arithmetic and comparison with broadcasting."""

from __future__ import annotations

import math

import numpy as np
import torch

from mobiledeploy.converters.tflite import layout
from mobiledeploy.converters.tflite.graph import Tensor
from mobiledeploy.converters.tflite.lowering import CannotLowerError, Lowering, Operand, Value, lowers

Scalar = int | float | bool


def broadcast(lo: Lowering, operands: list[Operand]) -> tuple[list[Tensor], layout.Axes, layout.Axes]:
    """Tensors that TFLite can combine element by element, their common shape and order.

    The largest run-time operand decides the order; constants are reordered here, others at run time.
    """
    shapes = [tuple(x.shape) for x in operands]
    logical = tuple(np.broadcast_shapes(*shapes))
    rank = len(logical)
    lead = max((x for x in operands if isinstance(x, Value)), key=lambda x: (x.rank, math.prod(x.shape)))
    order = _extend(lead.order, rank)
    tensors = []
    for x in operands:
        if isinstance(x, Value):
            full = (1,) * (rank - x.rank) + x.shape
            tensors.append(lo.to_order(_grow(lo, x, full), order).tensor)
        else:
            tensors.append(lo.constant(_reorder(x, order), lo.parameter_name(x)))
    return tensors, layout.physical_shape(logical, order), order


def _grow(lo: Lowering, value: Value, shape: layout.Axes) -> Value:
    """The value with leading axes of size 1, stored first."""
    return value if shape == value.shape else lo.reshape(value, shape)


def _extend(order: layout.Axes, rank: int) -> layout.Axes:
    extra = rank - len(order)
    return (*range(extra), *(axis + extra for axis in order))


def _reorder(constant: torch.Tensor, order: layout.Axes) -> torch.Tensor:
    """A constant in physical order, without the leading axes of size 1 that broadcasting implies."""
    full = constant.reshape((1,) * (len(order) - constant.dim()) + tuple(constant.shape))
    stored = full.permute(order)
    while stored.dim() > 1 and stored.shape[0] == 1:
        stored = stored[0]
    return stored


def combine(lo: Lowering, kind: str, operands: list[Operand], dtype: str = "") -> Value:
    """Broadcast the operands and append one operator."""
    tensors, shape, order = broadcast(lo, operands)
    return Value(lo.emit(kind, tensors, shape, dtype or tensors[-1].dtype), order)


def operand(x: Operand | Scalar, like: Operand) -> Operand:
    """A Python number as a constant of the other operand's dtype."""
    if isinstance(x, Value | torch.Tensor):
        return x
    return torch.tensor(x, dtype=torch_dtype(like))


def torch_dtype(x: Operand) -> torch.dtype:
    """The dtype of an operand, as torch names it."""
    if isinstance(x, torch.Tensor):
        return x.dtype
    found: torch.dtype = getattr(torch, x.dtype)
    return found


def binary(lo: Lowering, kind: str, a: Operand | Scalar, b: Operand | Scalar) -> Value:
    """``a kind b`` in the wider of the two dtypes, as PyTorch promotes them."""
    first, second = promote(lo, a, b)
    return combine(lo, kind, [first, second])


def promote(lo: Lowering, a: Operand | Scalar, b: Operand | Scalar) -> tuple[Operand, Operand]:
    """Both operands in one dtype."""
    if not isinstance(a, Value | torch.Tensor):
        return operand(a, _as_operand(b)), _as_operand(b)
    if not isinstance(b, Value | torch.Tensor):
        first = _as_operand(a)
        if isinstance(b, float) and not torch_dtype(first).is_floating_point:
            first = cast(lo, first, torch.float32)
        return first, operand(b, first)
    wide = torch.promote_types(torch_dtype(a), torch_dtype(b))
    return cast(lo, a, wide), cast(lo, b, wide)


def _as_operand(x: Operand | Scalar) -> Operand:
    return x if isinstance(x, Value | torch.Tensor) else torch.tensor(x)


def cast(lo: Lowering, x: Operand, dtype: torch.dtype) -> Operand:
    """The operand in another dtype; 64-bit integers are stored in 32."""
    if isinstance(x, torch.Tensor):
        return x.to(dtype)
    stored = {torch.int64: "int32", torch.float64: "float32"}.get(dtype, str(dtype).removeprefix("torch."))
    return x if x.dtype == stored else lo.map("CAST", x, stored)


def scaled(lo: Lowering, x: Operand | Scalar, alpha: Scalar) -> Operand | Scalar:
    """``x * alpha`` for the alpha of add and sub; nothing for 1."""
    if alpha == 1:
        return x
    return x * alpha if not isinstance(x, Value) else binary(lo, "MUL", x, alpha)


@lowers("add.Tensor", "add.Scalar", "add_.Tensor", "add_.Scalar")
def add(lo: Lowering, a: Operand, b: Operand | Scalar, alpha: Scalar = 1) -> Value:
    b = scaled(lo, b, alpha)
    if not isinstance(b, Value | torch.Tensor) and b == 0 and isinstance(a, Value):
        return a
    return binary(lo, "ADD", a, b)


@lowers("sub.Tensor", "sub.Scalar", "sub_.Tensor", "sub_.Scalar")
def sub(lo: Lowering, a: Operand, b: Operand | Scalar, alpha: Scalar = 1) -> Value:
    return binary(lo, "SUB", a, scaled(lo, b, alpha))


@lowers("rsub.Scalar", "rsub.Tensor")
def rsub(lo: Lowering, a: Operand, b: Operand | Scalar, alpha: Scalar = 1) -> Value:
    return binary(lo, "SUB", b, scaled(lo, a, alpha))


@lowers("mul.Tensor", "mul.Scalar", "mul_.Tensor", "mul_.Scalar")
def mul(lo: Lowering, a: Operand, b: Operand | Scalar) -> Value:
    if not isinstance(b, Value | torch.Tensor) and b == 1 and isinstance(a, Value):
        return a
    return binary(lo, "MUL", a, b)


@lowers("div.Tensor", "div.Scalar", "div_.Tensor", "div_.Scalar", "true_divide.Tensor")
def div(lo: Lowering, a: Operand, b: Operand | Scalar) -> Value:
    if not isinstance(b, Value | torch.Tensor) and b == 1 and isinstance(a, Value):
        return a
    if isinstance(a, Value) and a.dtype != "float32":
        a = cast(lo, a, torch.float32)
    return binary(lo, "DIV", a, b)


@lowers("div.Tensor_mode", "div.Scalar_mode")
def div_mode(lo: Lowering, a: Operand, b: Operand | Scalar, rounding_mode: str | None = None) -> Value:
    if rounding_mode == "floor":
        return floor_divide(lo, a, b)
    if rounding_mode is None:
        return div(lo, a, b)
    raise CannotLowerError(f"division rounded by '{rounding_mode}' has no TFLite operator")


@lowers("floor_divide.default")
def floor_divide(lo: Lowering, a: Operand, b: Operand | Scalar) -> Value:
    return binary(lo, "FLOOR_DIV", a, b)


@lowers("remainder.Scalar", "remainder.Tensor")
def remainder(lo: Lowering, a: Operand, b: Operand | Scalar) -> Value:
    return binary(lo, "FLOOR_MOD", a, b)


@lowers("maximum.default", "max.other")
def maximum(lo: Lowering, a: Operand, b: Operand) -> Value:
    return binary(lo, "MAXIMUM", a, b)


@lowers("minimum.default", "min.other")
def minimum(lo: Lowering, a: Operand, b: Operand) -> Value:
    return binary(lo, "MINIMUM", a, b)


@lowers("pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow_.Scalar")
def power(lo: Lowering, x: Operand, exponent: Operand | Scalar) -> Value:
    if isinstance(x, Value) and isinstance(exponent, int | float):
        if exponent == 1:
            return x
        if exponent == 2:
            return binary(lo, "MUL", x, x)
        if exponent == 0.5:
            return lo.map("SQRT", x)
        if exponent == -0.5:
            return lo.map("RSQRT", x)
        if exponent == -1:
            return binary(lo, "DIV", 1.0, x)
    return binary(lo, "POW", x, exponent)


@lowers("reciprocal.default")
def reciprocal(lo: Lowering, x: Value) -> Value:
    return binary(lo, "DIV", 1.0, x)


@lowers("square.default")
def square(lo: Lowering, x: Value) -> Value:
    return binary(lo, "MUL", x, x)


@lowers("where.self")
def where(lo: Lowering, condition: Operand, a: Operand, b: Operand) -> Value:
    first, second = promote(lo, a, b)
    tensors, shape, order = broadcast(lo, [condition, first, second])
    return Value(lo.emit("SELECT_V2", tensors, shape, tensors[1].dtype), order)


@lowers("masked_fill.Scalar", "masked_fill_.Scalar")
def masked_fill(lo: Lowering, x: Operand, mask: Operand, value: Scalar) -> Value:
    return where(lo, mask, operand(value, x), x)


_COMPARISONS = {
    "eq": "EQUAL",
    "ne": "NOT_EQUAL",
    "lt": "LESS",
    "le": "LESS_EQUAL",
    "gt": "GREATER",
    "ge": "GREATER_EQUAL",
}


def _comparison(name: str, kind: str) -> None:
    @lowers(f"{name}.Tensor", f"{name}.Scalar")
    def compare(lo: Lowering, a: Operand, b: Operand | Scalar) -> Value:
        return combine(lo, kind, list(promote(lo, a, b)), "bool")


for _name, _kind in _COMPARISONS.items():
    _comparison(_name, _kind)


@lowers("logical_and.default", "bitwise_and.Tensor")
def logical_and(lo: Lowering, a: Operand, b: Operand) -> Value:
    _require_bool(a, b)
    return combine(lo, "LOGICAL_AND", [a, b], "bool")


@lowers("logical_or.default", "bitwise_or.Tensor")
def logical_or(lo: Lowering, a: Operand, b: Operand) -> Value:
    _require_bool(a, b)
    return combine(lo, "LOGICAL_OR", [a, b], "bool")


@lowers("logical_not.default", "bitwise_not.default")
def logical_not(lo: Lowering, a: Value) -> Value:
    _require_bool(a)
    return lo.map("LOGICAL_NOT", a)


def _require_bool(*operands: Operand) -> None:
    for x in operands:
        if torch_dtype(x) != torch.bool:
            raise CannotLowerError("TFLite has this operator for booleans only")
