"""Picking elements by index."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mobiledeploy.converters.tflite import layout
from mobiledeploy.converters.tflite.lowering import CannotLowerError, Lowering, Operand, Value, lowers
from mobiledeploy.converters.tflite.ops.arithmetic import cast


def gather(lo: Lowering, x: Value, dim: int, index: Operand) -> Value:
    """``x`` at the given places of one axis; an index of several axes puts them in its place."""
    axis = dim % x.rank
    if isinstance(index, torch.Tensor):
        index = torch.where(index < 0, index + x.shape[axis], index)
    where = lo.contiguous(cast(lo, index, torch.int32))
    place = x.stored_axis(axis)
    rank = where.rank
    stored = (*x.tensor.shape[:place], *where.tensor.shape, *x.tensor.shape[place + 1 :])
    shift = rank - 1
    moved = [a + shift if a > axis else a for a in x.order]
    order = (*moved[:place], *range(axis, axis + rank), *moved[place + 1 :])
    return Value(lo.emit("GATHER", [x.tensor, where.tensor], stored, x.dtype, axis=place), order)


@lowers("index_select.default")
def index_select(lo: Lowering, x: Operand, dim: int, index: Operand) -> Value:
    return gather(lo, lo.value(x), dim, index)


@lowers("embedding.default")
def embedding(lo: Lowering, weight: Operand, index: Operand, *_: object) -> Value:
    return gather(lo, lo.value(weight), 0, index)


@lowers("index.Tensor")
def index(lo: Lowering, x: Operand, indices: Sequence[Operand | None]) -> Value:
    """One indexed axis is a GATHER; several constant ones are a GATHER over their product."""
    value = lo.value(x)
    used = [(axis, i) for axis, i in enumerate(indices) if i is not None]
    if any(i.dtype in (torch.bool, "bool") for _, i in used):
        raise CannotLowerError("a boolean index, whose result has no static size", "use where")
    if len(used) == 1:
        return gather(lo, value, *used[0])
    axes = [axis for axis, _ in used]
    if axes != list(range(axes[0], axes[0] + len(axes))) or any(isinstance(i, Value) for _, i in used):
        raise CannotLowerError("an index over several axes", "index one axis at a time")
    places = torch.zeros((), dtype=torch.int64)
    for axis, i in used:
        places = places * value.shape[axis] + i % value.shape[axis]  # type: ignore[operator]
    merged = (*value.shape[: axes[0]], _product(value, axes), *value.shape[axes[-1] + 1 :])
    return gather(lo, lo.reshape(value, merged), axes[0], places)


def _product(value: Value, axes: Sequence[int]) -> int:
    return torch.Size([value.shape[axis] for axis in axes]).numel()


@lowers("topk.default")
def topk(
    lo: Lowering, x: Value, k: int, dim: int = -1, largest: bool = True, ordered: bool = True
) -> tuple[Value, Value]:
    if not largest or dim % x.rank != x.rank - 1:
        raise CannotLowerError("top-k of the smallest, or not over the last axis", "negate or permute first")
    source = lo.contiguous(x)
    shape = (*source.shape[:-1], k)
    count = lo.constant(torch.tensor(k, dtype=torch.int32), f"{lo.node}/index")
    values, places = lo.emit_many("TOPK_V2", [source.tensor, count], [shape, shape], x.dtype)
    places.dtype = "int32"
    order = layout.identity(x.rank)
    return Value(values, order), Value(places, order)


@lowers("cumsum.default")
def cumsum(lo: Lowering, x: Value, dim: int, dtype: object = None) -> Value:
    axis = lo.constant(torch.tensor(x.stored_axis(dim), dtype=torch.int32), f"{lo.node}/index")
    return Value(lo.emit("CUMSUM", [x.tensor, axis], x.tensor.shape, x.dtype), x.order)
