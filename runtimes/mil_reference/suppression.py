"""Non-maximum suppression."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mobiledeploy.runtimes.mil_reference.graph import Call, Lowering, UntranslatableError


def _non_maximum_suppression(call: Call) -> list[str]:
    """Coordinates, scores and indices of the boxes that stay, the most certain first, and their number.

    Rows behind the last one have the index -1, and zeros.
    """
    boxes, scores = call.x("boxes"), call.x("scores")
    batch, *others = call.shape("scores")
    # iOS 17 has no threshold of scores, and the boxes last.
    boxes_last = not call.has("score_threshold")
    classes, count = others if boxes_last else others[::-1]
    if boxes_last:
        boxes, scores = (call.emit("Transpose", name, perm=[0, 2, 1]) for name in (boxes, scores))
    if classes != 1:
        raise UntranslatableError("scores of several classes")
    most = call.whole("max_boxes")
    flat = call.reshape(scores, (batch, count))
    indices = _indices(call, boxes, flat, (batch, count), most)
    there = call.emit("GreaterOrEqual", indices, call.graph.constant(0, "int64"))
    found = call.graph.cast(there, "float32")
    real = call.emit("Max", indices, call.graph.constant(0, "int64"))
    column = call.reshape(real, (batch, most, 1))
    picked = [
        call.emit(
            "Mul",
            call.emit("GatherND", values, column, batch_dims=1),
            call.reshape(found, (batch, most, 1)),
        )
        for values in (boxes, scores)
    ]
    if boxes_last:
        picked = [call.emit("Transpose", name, perm=[0, 2, 1]) for name in picked]
    number = call.emit("ReduceSum", call.graph.cast(there, "int32"), call.graph.ints([1]), keepdims=0)
    made = [*picked, call.graph.cast(indices, "int32"), number]
    return made[: len(call.op.outputs)]


def _indices(call: Call, boxes: str, scores: str, sizes: tuple[int, int], most: int) -> str:
    """(batch, most), int64: those of ONNX's list by their scores, then -1."""
    limits = [call.graph.ints([most]), call.x("iou_threshold")]
    if call.has("score_threshold"):
        # ONNX keeps what is above its threshold, Core ML what is not below.
        below = np.nextafter(np.float32(call.real("score_threshold")), np.float32(-np.inf))
        limits.append(call.graph.constant(below, "float32"))
    rows = call.reshape(scores, (sizes[0], 1, sizes[1]))
    selected = call.emit("NonMaxSuppression", boxes, rows, *limits, center_point_box=1)
    places = call.emit("Gather", selected, call.graph.ints([0, 2]), axis=1)
    none = call.emit("Expand", call.scalar(-np.inf), call.graph.ints(sizes))
    kept = call.emit("ScatterND", none, places, call.emit("GatherND", scores, places))
    # As many as are asked for, though there are fewer boxes.
    pads = call.graph.ints([0, 0, 0, max(most - sizes[1], 0)])
    kept = call.emit("Pad", kept, pads, call.scalar(-np.inf))
    values, indices = call.graph.emit_many("TopK", [kept, call.graph.ints([most])], 2, axis=1)
    there = call.emit("Greater", values, call.scalar(-np.inf))
    return call.emit("Where", there, indices, call.graph.constant(-1, "int64"))


LOWERINGS: Mapping[str, Lowering] = {"non_maximum_suppression": _non_maximum_suppression}
