"""Views, permutations, slices: mostly free, thanks to ``layout``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from mobiledeploy.converters.tflite import layout
from mobiledeploy.converters.tflite.lowering import CannotLowerError, Lowering, Value, lowers
from mobiledeploy.converters.tflite.ops.arithmetic import cast


@lowers(
    "alias.default",
    "clone.default",
    "contiguous.default",
    "detach.default",
    "detach_.default",
    "dropout.default",
    "dropout_.default",
    "feature_dropout.default",
    "alpha_dropout.default",
    "native_dropout.default",
    "lift_fresh_copy.default",
    "positive.default",
)
def same(lo: Lowering, x: Value, *_: object) -> Value:
    """Nothing to compute at inference."""
    return x


@lowers("to.dtype", "to.dtype_layout", "to.device", "_to_copy.default", "type_as.default", "to.other")
def to(lo: Lowering, x: Value, *arguments: object) -> Value:
    wanted = lo.result_dtype
    result = cast(lo, x, wanted)
    if isinstance(result, torch.Tensor):
        raise CannotLowerError("a constant was cast at run time")
    return result


@lowers(
    "view.default",
    "reshape.default",
    "_unsafe_view.default",
    "view_copy.default",
    "view_as.default",
    "reshape_as.default",
    "flatten.using_ints",
    "unflatten.int",
    "squeeze.default",
    "squeeze.dims",
    "unsqueeze_.default",
    "squeeze_.dim",
)
def reshape(lo: Lowering, x: Value, *_: object) -> Value:
    return lo.reshape(x, lo.result_shape)


@lowers("unsqueeze.default")
def unsqueeze(lo: Lowering, x: Value, dim: int) -> Value:
    axis = dim % (x.rank + 1)
    order = layout.insert_axis(x.order, axis)
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    return Value(lo.reshape_stored(x.tensor, layout.physical_shape(shape, order)), order)


@lowers("squeeze.dim")
def squeeze(lo: Lowering, x: Value, dim: int) -> Value:
    return x if x.shape[dim] != 1 else drop_axis(lo, x, dim)


def drop_axis(lo: Lowering, x: Value, dim: int) -> Value:
    """Without an axis of size 1."""
    axis = dim % x.rank
    order = layout.remove_axes(x.order, [axis])
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return Value(lo.reshape_stored(x.tensor, layout.physical_shape(shape, order)), order)


@lowers("permute.default", "permute_copy.default")
def permute(lo: Lowering, x: Value, dims: Sequence[int]) -> Value:
    return lo.permute(x, dims)


@lowers("transpose.int", "transpose_copy.int", "swapaxes.default")
def transpose(lo: Lowering, x: Value, first: int, second: int) -> Value:
    dims = list(range(x.rank))
    dims[first], dims[second] = dims[second], dims[first]
    return lo.permute(x, dims)


@lowers("t.default", "numpy_T.default", "mT.default")
def matrix_transpose(lo: Lowering, x: Value) -> Value:
    return x if x.rank < 2 else transpose(lo, x, -2, -1)


@lowers("movedim.int", "movedim.intlist")
def movedim(lo: Lowering, x: Value, source: int | list[int], destination: int | list[int]) -> Value:
    origins = [source] if isinstance(source, int) else source
    places = [destination] if isinstance(destination, int) else destination
    dims = [axis for axis in range(x.rank) if axis not in [origin % x.rank for origin in origins]]
    for place, origin in sorted((p % x.rank, o % x.rank) for p, o in zip(places, origins, strict=True)):
        dims.insert(place, origin)
    return lo.permute(x, dims)


@lowers("slice.Tensor", "slice_copy.Tensor")
def slice_(
    lo: Lowering, x: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Value:
    size = x.shape[dim]
    begin, stop, stride = slice(start, end, step).indices(size)
    return strided(lo, x, dim, begin, stop, stride)


def strided(lo: Lowering, x: Value, dim: int, begin: int, stop: int, step: int = 1) -> Value:
    """``x[begin:stop:step]`` along one axis."""
    count = len(range(begin, stop, step))
    if count == x.shape[dim] and step == 1:
        return x
    axis = x.stored_axis(dim)
    shape = list(x.tensor.shape)
    shape[axis] = count
    begins = [0] * x.rank
    begins[axis] = begin
    if step == 1:
        inputs = [x.tensor, lo.integers(begins), lo.integers(shape)]
        return Value(lo.emit("SLICE", inputs, shape, x.dtype), x.order)
    ends, steps = list(x.tensor.shape), [1] * x.rank
    ends[axis], steps[axis] = stop, step
    inputs = [x.tensor, lo.integers(begins), lo.integers(ends), lo.integers(steps)]
    return Value(lo.emit("STRIDED_SLICE", inputs, shape, x.dtype), x.order)


@lowers("select.int", "select_copy.int")
def select(lo: Lowering, x: Value, dim: int, index: int) -> Value:
    index %= x.shape[dim]
    return drop_axis(lo, strided(lo, x, dim, index, index + 1), dim)


@lowers("narrow.default")
def narrow(lo: Lowering, x: Value, dim: int, start: int, length: int) -> Value:
    return strided(lo, x, dim, start, start + length)


@lowers("expand.default", "expand_copy.default", "expand_as.default", "broadcast_to.default")
def expand(lo: Lowering, x: Value, *_: object) -> Value:
    shape = lo.result_shape
    grown = lo.reshape(x, (1,) * (len(shape) - x.rank) + x.shape)
    if grown.shape == shape:
        return grown
    stored = layout.physical_shape(shape, grown.order)
    return Value(lo.emit("BROADCAST_TO", [grown.tensor, lo.integers(stored)], stored, x.dtype), grown.order)


@lowers("repeat.default", "tile.default")
def repeat(lo: Lowering, x: Value, repeats: Sequence[int]) -> Value:
    rank = max(x.rank, len(repeats))
    times = (*(1,) * (rank - len(repeats)), *repeats)
    grown = lo.reshape(x, (1,) * (rank - x.rank) + x.shape)
    if all(count == 1 for count in times):
        return grown
    counts = grown.stored(times)
    shape = [size * count for size, count in zip(grown.tensor.shape, counts, strict=True)]
    return Value(lo.emit("TILE", [grown.tensor, lo.integers(counts)], shape, x.dtype), grown.order)


@lowers("repeat_interleave.self_int")
def repeat_interleave(lo: Lowering, x: Value, repeats: int, dim: int | None = None, *_: object) -> Value:
    if dim is None:
        raise CannotLowerError("repeat_interleave without a dimension", "pass dim")
    axis = dim % x.rank
    wide = expand_axis(lo, x, axis + 1, repeats)
    shape = list(x.shape)
    shape[axis] *= repeats
    return lo.reshape(wide, shape)


def expand_axis(lo: Lowering, x: Value, axis: int, times: int) -> Value:
    """A new logical axis with ``times`` copies."""
    one = unsqueeze(lo, x, axis)
    counts = [1] * one.rank
    counts[one.stored_axis(axis)] = times
    shape = [size * count for size, count in zip(one.tensor.shape, counts, strict=True)]
    return Value(lo.emit("TILE", [one.tensor, lo.integers(counts)], shape, x.dtype), one.order)


@lowers(
    "split.Tensor",
    "split_with_sizes.default",
    "split.sizes",
    "chunk.default",
    "tensor_split.sections",
    "split_with_sizes_copy.default",
    "split_copy.Tensor",
    "unsafe_chunk.default",
    "unsafe_split.Tensor",
)
def split(lo: Lowering, x: Value, sizes: int | Sequence[int], dim: int = 0) -> tuple[Value, ...]:
    """SPLIT where the parts are equal, slices where they are not."""
    parts = [shape[dim] for shape in lo.result_shapes]
    axis = x.stored_axis(dim)
    if len(parts) == 1:
        return (x,)
    if len(set(parts)) == 1:
        shape = list(x.tensor.shape)
        shape[axis] = parts[0]
        axis_tensor = lo.constant(torch.tensor(axis, dtype=torch.int32), f"{lo.node}/index")
        outs = lo.emit_many(
            "SPLIT", [axis_tensor, x.tensor], [shape] * len(parts), x.dtype, numSplits=len(parts)
        )
        return tuple(Value(out, x.order) for out in outs)
    begins = [sum(parts[:index]) for index in range(len(parts))]
    return tuple(strided(lo, x, dim, b, b + size) for b, size in zip(begins, parts, strict=True))


@lowers("unbind.int", "unbind_copy.int")
def unbind(lo: Lowering, x: Value, dim: int = 0) -> tuple[Value, ...]:
    return tuple(select(lo, x, dim, index) for index in range(x.shape[dim]))


@lowers("pixel_shuffle.default")
def pixel_shuffle(lo: Lowering, x: Value, factor: int) -> Value:
    """(N, C r r, H, W) -> (N, C, H r, W r): split the channels, interleave, merge."""
    *lead, channels, height, width = x.shape
    depth = channels // (factor * factor)
    count = len(lead)
    parts = lo.reshape(x, (*lead, depth, factor, factor, height, width))
    dims = (*range(count), count, count + 3, count + 1, count + 4, count + 2)
    return lo.reshape(lo.permute(parts, dims), (*lead, depth, height * factor, width * factor))


@lowers("pixel_unshuffle.default")
def pixel_unshuffle(lo: Lowering, x: Value, factor: int) -> Value:
    """Inverse of ``pixel_shuffle``."""
    *lead, depth, height, width = x.shape
    count = len(lead)
    parts = lo.reshape(x, (*lead, depth, height // factor, factor, width // factor, factor))
    dims = (*range(count), count, count + 2, count + 4, count + 1, count + 3)
    return lo.reshape(
        lo.permute(parts, dims), (*lead, depth * factor * factor, height // factor, width // factor)
    )


@lowers("channel_shuffle.default", "native_channel_shuffle.default")
def channel_shuffle(lo: Lowering, x: Value, groups: int) -> Value:
    """(N, g c, ...) -> (N, c g, ...)."""
    batch, channels, *space = x.shape
    parts = lo.reshape(x, (batch, groups, channels // groups, *space))
    return lo.reshape(transpose(lo, parts, 1, 2), x.shape)


@lowers("roll.default")
def roll(lo: Lowering, x: Value, shifts: Sequence[int], dims: Sequence[int] = ()) -> Value:
    """Two slices and a CONCATENATION per axis."""
    if not dims:
        flat = lo.reshape(x, (math.prod(x.shape),))
        return lo.reshape(roll(lo, flat, shifts, [0]), x.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        size = x.shape[dim]
        cut = -shift % size
        if cut:
            tail, head = strided(lo, x, dim, cut, size), strided(lo, x, dim, 0, cut)
            axis = x.stored_axis(dim)
            out = lo.emit("CONCATENATION", [tail.tensor, head.tensor], x.tensor.shape, x.dtype, axis=axis)
            x = Value(out, x.order)
    return x


@lowers("flip.default")
def flip(lo: Lowering, x: Value, dims: Sequence[int]) -> Value:
    axes = [x.stored_axis(dim) for dim in dims]
    return Value(lo.emit("REVERSE_V2", [x.tensor, lo.integers(axes)], x.tensor.shape, x.dtype), x.order)
