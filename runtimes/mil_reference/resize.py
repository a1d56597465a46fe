"""Resizing, from the grid points that MIL documents for each way of sampling.

The grid is worked out here, so that an engine's own idea of corners does not enter: bilinear is two
multiplications with a matrix of weights, nearest a selection of rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mobiledeploy.runtimes.mil_reference.graph import Call, Lowering, UntranslatableError

if TYPE_CHECKING:
    import numpy as np


def _grid(size: int, out: int, sampling: str) -> np.ndarray:
    """Position in the input of each output element, before clamping."""
    import numpy as np

    index = np.arange(out, dtype="float64")
    match sampling:
        case "ALIGN_CORNERS" | "STRICT_ALIGN_CORNERS":
            if out == 1:
                return np.array([(size - 1) / 2 if sampling == "ALIGN_CORNERS" else 0.0])
            return index * (size - 1) / (out - 1)
        case "DEFAULT":
            return index * size / out
        case "UNALIGN_CORNERS":
            return (index + 0.5) * size / out - 0.5
        case "OFFSET_CORNERS":
            return (index + 0.5) * max(1, size - 1) / out
    raise UntranslatableError(f"sampling mode {sampling}")


def _weights(size: int, out: int, sampling: str) -> np.ndarray:
    """(out, size): how much of each input element goes into each output element."""
    import numpy as np

    at = np.clip(_grid(size, out, sampling), 0, size - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, size - 1)
    rows = np.arange(out)
    weights = np.zeros((out, size), "float64")
    np.add.at(weights, (rows, low), 1 - (at - low))
    np.add.at(weights, (rows, high), at - low)
    return weights.astype("float32")


def _bilinear(call: Call, sampling: str) -> str:
    (height, width), (out_height, out_width) = call.shape()[-2:], call.output.shape[-2:]
    rows = call.graph.constant(_weights(height, out_height, sampling))
    columns = call.graph.constant(_weights(width, out_width, sampling).T)
    return call.emit("MatMul", call.emit("MatMul", rows, call.x()), columns)


def _nearest(call: Call, steps: tuple[float, float]) -> str:
    """``steps``: input elements from one output element to the next, down and across."""
    import numpy as np

    name, rank = call.x(), len(call.shape())
    for axis, step in zip((rank - 2, rank - 1), steps, strict=True):
        # The small addend keeps 3 * (1 / 3) from falling below 1.
        at = np.floor(np.arange(call.output.shape[axis]) * step + 1e-6)
        chosen = np.minimum(at, call.shape()[axis] - 1)
        name = call.emit("Gather", name, call.graph.constant(chosen, "int64"), axis=axis)
    return name


def _resize_nearest(call: Call) -> str:
    (height, width), (out_height, out_width) = call.shape()[-2:], call.output.shape[-2:]
    return _nearest(call, (height / out_height, width / out_width))


def _upsample_nearest(call: Call) -> str:
    rows, columns = call.real("scale_factor_height", 1), call.real("scale_factor_width", 1)
    return _nearest(call, (1 / rows, 1 / columns))


def _upsample_bilinear(call: Call) -> str:
    if call.flag("align_corners", True):
        return _bilinear(call, "STRICT_ALIGN_CORNERS")
    return _bilinear(call, "UNALIGN_CORNERS" if call.flag("half_pixel_centers", True) else "DEFAULT")


def _resize_bilinear(call: Call) -> str:
    return _bilinear(call, call.text("sampling_mode", "DEFAULT"))


LOWERINGS: Mapping[str, Lowering] = {
    "resize_bilinear": _resize_bilinear,
    "resize_nearest_neighbor": _resize_nearest,
    "upsample_bilinear": _upsample_bilinear,
    "upsample_nearest_neighbor": _upsample_nearest,
}
