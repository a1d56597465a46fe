"""Non-maximum suppression."""

from __future__ import annotations

import numpy as np
import torch

from mobiledeploy.converters.tflite.graph import Tensor
from mobiledeploy.converters.tflite.lowering import Lowering, Value, lowers


@lowers("non_max_suppression.default", namespace="mobiledeploy")
def non_max_suppression(
    lo: Lowering, boxes: Value, scores: Value, threshold: float, overlap: float, largest: int
) -> Value:
    """One NON_MAX_SUPPRESSION_V5 per class; their scores are scattered to where they came from.

    Rows beyond those that stay have index and score 0, and SCATTER_ND adds.
    """
    classes, count = scores.shape
    most = min(largest, count)
    corners = _rows(lo, _with_area(lo, lo.contiguous(boxes)))
    # The operator keeps a score above its threshold, and drops an overlap at its threshold.
    limits = [
        lo.constant(torch.tensor(value, dtype=dtype), f"{lo.node}/limit")
        for value, dtype in (
            (most, torch.int32),
            (_next(overlap, 1), torch.float32),
            (_next(threshold, -1), torch.float32),
            (0, torch.float32),
        )
    ]
    places, kept = [], []
    for index, row in enumerate(_rows(lo, lo.contiguous(scores))):
        found = lo.emit_many(
            "NON_MAX_SUPPRESSION_V5",
            [corners[index % len(corners)], row, *limits],
            [(most,), (most,), ()],
            "float32",
        )
        found[0].dtype = found[2].dtype = "int32"
        places.append(found[0])
        kept.append(found[1])
    first = lo.constant(torch.arange(classes, dtype=torch.int32)[:, None] * count, f"{lo.node}/index")
    flat = lo.emit("ADD", [_stack(lo, places), first], (classes, most), "int32")
    scattered = lo.emit(
        "SCATTER_ND",
        [
            lo.reshape_stored(flat, (classes * most, 1)),
            lo.reshape_stored(_stack(lo, kept), (classes * most,)),
            lo.integers([classes * count]),
        ],
        (classes * count,),
        "float32",
    )
    return Value(lo.reshape_stored(scattered, (classes, count)), (0, 1))


def _with_area(lo: Lowering, boxes: Value) -> Value:
    """Boxes without an area moved to places of their own outside the image.

    They overlap nothing, not even themselves, so that the operator would choose one of them for ever.
    """
    sets, count, _ = shape = boxes.tensor.shape
    begin, end = (
        lo.emit(
            "SLICE",
            [boxes.tensor, lo.integers([0, 0, place]), lo.integers([sets, count, 2])],
            (*shape[:2], 2),
            "float32",
        )
        for place in (0, 2)
    )
    sizes = lo.emit("SUB", [end, begin], (*shape[:2], 2), "float32")
    least = lo.emit("REDUCE_MIN", [sizes, lo.integers([2])], (*shape[:2], 1), "float32", keepDims=True)
    zero = lo.constant(torch.tensor(0.0), f"{lo.node}/limit")
    empty = lo.emit("LESS_EQUAL", [least, zero], (*shape[:2], 1), "bool")
    starts = torch.arange(count, dtype=torch.float32)[None, :, None] + 2
    places = lo.constant(torch.cat([starts, starts, starts + 1, starts + 1], dim=2), f"{lo.node}/outside")
    return Value(lo.emit("SELECT_V2", [empty, places, boxes.tensor], shape, "float32"), boxes.order)


def _next(value: float, direction: int) -> float:
    return float(np.nextafter(np.float32(value), np.float32(direction * np.inf)))


def _rows(lo: Lowering, value: Value) -> list[Tensor]:
    tensor = value.tensor
    first, *rest = tensor.shape
    return lo.emit_many("UNPACK", [tensor], [rest] * first, tensor.dtype, num=first, axis=0)


def _stack(lo: Lowering, rows: list[Tensor]) -> Tensor:
    return lo.emit("PACK", rows, (len(rows), *rows[0].shape), rows[0].dtype, valuesCount=len(rows), axis=0)
