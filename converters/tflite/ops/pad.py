"""Padding by a constant or by mirrored edges."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mobiledeploy.converters.tflite.lowering import Lowering, Value, lowers
from mobiledeploy.converters.tflite.ops.index import gather

# What PADV2 puts where nothing may win a maximum.
LOWEST = torch.finfo(torch.float32).min


def pad_stored(
    lo: Lowering, x: Value, before: Sequence[int], after: Sequence[int], fill: float = 0.0
) -> Value:
    """Pad logical axes by ``before`` and ``after`` elements of ``fill``; nothing where all are 0."""
    if not any(before) and not any(after):
        return x
    widths = list(zip(x.stored(before), x.stored(after), strict=True))
    shape = [size + low + high for size, (low, high) in zip(x.tensor.shape, widths, strict=True)]
    paddings = lo.integers(widths)
    if fill == 0:
        return Value(lo.emit("PAD", [x.tensor, paddings], shape, x.dtype), x.order)
    value = lo.constant(torch.tensor(fill, dtype=getattr(torch, x.dtype)), f"{lo.node}/fill")
    return Value(lo.emit("PADV2", [x.tensor, paddings, value], shape, x.dtype), x.order)


@lowers("constant_pad_nd.default")
def constant_pad(lo: Lowering, x: Value, padding: Sequence[int], fill: float = 0) -> Value:
    before, after = _split(x.rank, padding)
    keep_low = [min(width, 0) for width in before]
    keep_high = [min(width, 0) for width in after]
    for axis in range(x.rank):
        if keep_low[axis] or keep_high[axis]:
            x = crop(lo, x, axis, -keep_low[axis], x.shape[axis] + keep_high[axis])
    return pad_stored(lo, x, [max(w, 0) for w in before], [max(w, 0) for w in after], fill)


def crop(lo: Lowering, x: Value, axis: int, begin: int, end: int) -> Value:
    """Negative padding."""
    begins, shape = [0] * x.rank, list(x.tensor.shape)
    place = x.stored_axis(axis)
    begins[place], shape[place] = begin, end - begin
    out = lo.emit("SLICE", [x.tensor, lo.integers(begins), lo.integers(shape)], shape, x.dtype)
    return Value(out, x.order)


@lowers("pad.default")
def pad(
    lo: Lowering, x: Value, padding: Sequence[int], mode: str = "constant", fill: float | None = None
) -> Value:
    if mode == "constant":
        return constant_pad(lo, x, padding, fill or 0.0)
    if mode == "reflect":
        return reflection_pad(lo, x, padding)
    return _gathered_pad(lo, x, padding, mode)


def _gathered_pad(lo: Lowering, x: Value, padding: Sequence[int], mode: str) -> Value:
    """Edges repeated ('replicate') or wrapped ('circular'): a GATHER per padded axis."""
    before, after = _split(x.rank, padding)
    for axis in range(x.rank):
        if before[axis] or after[axis]:
            size = x.shape[axis]
            places = torch.arange(-before[axis], size + after[axis])
            inside = places % size if mode == "circular" else places.clamp(0, size - 1)
            x = gather(lo, x, axis, inside)
    return x


@lowers("replication_pad2d.default", "replication_pad1d.default")
def replication_pad(lo: Lowering, x: Value, padding: Sequence[int]) -> Value:
    return _gathered_pad(lo, x, padding, "replicate")


@lowers("reflection_pad2d.default", "reflection_pad1d.default")
def reflection_pad(lo: Lowering, x: Value, padding: Sequence[int]) -> Value:
    before, after = _split(x.rank, padding)
    widths = list(zip(x.stored(before), x.stored(after), strict=True))
    shape = [size + low + high for size, (low, high) in zip(x.tensor.shape, widths, strict=True)]
    return Value(lo.emit("MIRROR_PAD", [x.tensor, lo.integers(widths)], shape, x.dtype, mode=0), x.order)


def _split(rank: int, padding: Sequence[int]) -> tuple[list[int], list[int]]:
    """torch counts pairs from the last axis backwards."""
    before, after = [0] * rank, [0] * rank
    for index in range(len(padding) // 2):
        before[rank - 1 - index], after[rank - 1 - index] = padding[2 * index], padding[2 * index + 1]
    return before, after
