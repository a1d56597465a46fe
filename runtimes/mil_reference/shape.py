"""Moving elements: shapes, slices, joins, gathers."""

from __future__ import annotations

from collections.abc import Mapping

from mobiledeploy.runtimes.mil_reference.convolution import onnx_pads
from mobiledeploy.runtimes.mil_reference.graph import Call, Lowering, UntranslatableError

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
_REDUCTIONS = {"update": "none", "add": "add", "mul": "mul", "max": "max", "min": "min"}


def _to_declared(call: Call) -> str:
    """Same elements in the same order: the declared shape says it all."""
    return call.reshape(call.x(), call.output.shape)


def _transpose(call: Call) -> str:
    rank = len(call.shape())
    return call.emit("Transpose", call.x(), perm=[axis % rank for axis in call.ints("perm")])


def _slice_by_index(call: Call) -> str:
    sizes = call.shape()
    rank = len(sizes)
    none = [0] * rank
    begin, end, stride = call.ints("begin"), call.ints("end"), call.ints("stride", [1] * rank)
    from_edge, to_edge = call.ints("begin_mask", none), call.ints("end_mask", none)
    picks = call.ints("squeeze_mask", none)
    starts, ends = [], []
    for axis, size in enumerate(sizes):
        if picks[axis]:
            start = begin[axis] % size
            stop, stride[axis] = start + 1, 1
        else:
            wanted = slice(
                None if from_edge[axis] else begin[axis], None if to_edge[axis] else end[axis], stride[axis]
            )
            start, stop, _ = wanted.indices(size)
        starts.append(start)
        # Counting down, -1 stands for "before the first"; ONNX would take it for the last.
        ends.append(stop if stop >= 0 else -size - 1)
    return call.reshape(_slice(call, call.x(), starts, ends, stride), call.output.shape)


def _slice(call: Call, name: str, starts: list[int], ends: list[int], steps: list[int]) -> str:
    ints = call.graph.ints
    return call.emit("Slice", name, ints(starts), ints(ends), ints(range(len(starts))), ints(steps))


def _slice_by_size(call: Call) -> str:
    sizes = call.shape()
    starts = [start % size for start, size in zip(call.ints("begin"), sizes, strict=True)]
    ends = [start + length for start, length in zip(starts, call.output.shape, strict=True)]
    return _slice(call, call.x(), starts, ends, [1] * len(sizes))


def _crop(call: Call) -> str:
    (top, bottom), (left, right) = call.ints("crop_height"), call.ints("crop_width")
    sizes = call.shape()
    starts = [0] * (len(sizes) - 2) + [top, left]
    ends = [*sizes[:-2], sizes[-2] - bottom, sizes[-1] - right]
    return _slice(call, call.x(), starts, ends, [1] * len(sizes))


def _reverse(call: Call) -> str:
    rank = len(call.shape())
    axes = {axis % rank for axis in call.ints("axes", range(rank))}
    steps = [-1 if axis in axes else 1 for axis in range(rank)]
    sizes = call.shape()
    starts = [size - 1 if step < 0 else 0 for size, step in zip(sizes, steps, strict=True)]
    ends = [-size - 1 if step < 0 else size for size, step in zip(sizes, steps, strict=True)]
    return _slice(call, call.x(), starts, ends, steps)


def _split(call: Call) -> list[str]:
    axis = call.whole("axis")
    sizes = [kind.shape[axis] for _, kind in call.op.outputs]
    return call.graph.emit_many("Split", [call.x(), call.graph.ints(sizes)], len(sizes), axis=axis)


def _concat(call: Call) -> str:
    axis, rank = call.whole("axis"), len(call.output.shape)
    if call.flag("interleave"):
        stacked = [call.emit("Unsqueeze", name, call.graph.ints([axis % rank + 1])) for name in call.all()]
        return call.reshape(call.emit("Concat", *stacked, axis=axis % rank + 1), call.output.shape)
    return call.emit("Concat", *call.all(), axis=axis)


def _stack(call: Call) -> str:
    axis = call.whole("axis") % len(call.output.shape)
    parts = [call.emit("Unsqueeze", name, call.graph.ints([axis])) for name in call.all()]
    return call.emit("Concat", *parts, axis=axis)


def _pad(call: Call) -> str:
    given = call.ints("pad")
    pairs = list(zip(given[::2], given[1::2], strict=True))
    # The pairs are for the last axes.
    pairs = [(0, 0)] * (len(call.shape()) - len(pairs)) + pairs
    mode = call.text("mode", "constant")
    value = [call.x("constant_val")] if mode == "constant" and call.has("constant_val") else []
    return call.emit("Pad", call.x(), call.graph.ints(onnx_pads(pairs)), *value, mode=_PAD_MODES[mode])


def _tile(call: Call) -> str:
    return call.emit("Tile", call.x(), call.graph.ints(call.ints("reps")))


def _pixel_shuffle(call: Call) -> str:
    return call.emit("DepthToSpace", call.x(), blocksize=call.whole("upscale_factor"), mode="CRD")


def _depth_to_space(call: Call) -> str:
    return call.emit("DepthToSpace", call.x(), blocksize=call.whole("block_size"), mode="DCR")


def _space_to_depth(call: Call) -> str:
    return call.emit("SpaceToDepth", call.x(), blocksize=call.whole("block_size"))


def _pixel_unshuffle(call: Call) -> str:
    factor = call.whole("downscale_factor")
    batch, channels, height, width = call.shape()
    split = (batch, channels, height // factor, factor, width // factor, factor)
    moved = call.emit("Transpose", call.reshape(call.x(), split), perm=[0, 1, 3, 5, 2, 4])
    return call.reshape(moved, call.output.shape)


def _gather(call: Call) -> str:
    if call.whole("batch_dims", 0):
        raise UntranslatableError("batch_dims")
    return call.emit("Gather", call.x(), call.x("indices"), axis=call.whole("axis", 0))


def _gather_along_axis(call: Call) -> str:
    return call.emit("GatherElements", call.x(), call.x("indices"), axis=call.whole("axis", 0))


def _scatter_along_axis(call: Call) -> str:
    mode = call.text("mode", "add")
    if mode not in _REDUCTIONS:
        raise UntranslatableError(f"mode {mode}")
    places = call.x("data"), call.x("indices"), call.x("updates")
    return call.emit("ScatterElements", *places, axis=call.whole("axis", 0), reduction=_REDUCTIONS[mode])


def _gather_nd(call: Call) -> str:
    indices = call.graph.cast(call.x("indices"), "int64")
    return call.emit("GatherND", call.x(), indices, batch_dims=call.whole("batch_dims", 0))


def _fill(call: Call) -> str:
    return call.emit("Expand", call.x("value"), call.graph.ints(call.output.shape))


LOWERINGS: Mapping[str, Lowering] = {
    "concat": _concat,
    "crop": _crop,
    "depth_to_space": _depth_to_space,
    "expand_dims": _to_declared,
    "fill": _fill,
    "flatten2d": _to_declared,
    "gather": _gather,
    "gather_along_axis": _gather_along_axis,
    "gather_nd": _gather_nd,
    "pad": _pad,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "reshape": _to_declared,
    "reshape_like": _to_declared,
    "reverse": _reverse,
    "scatter_along_axis": _scatter_along_axis,
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "space_to_depth": _space_to_depth,
    "split": _split,
    "squeeze": _to_declared,
    "stack": _stack,
    "tile": _tile,
    "transpose": _transpose,
}
