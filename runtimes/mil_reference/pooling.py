"""Pooling over windows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from math import prod
from typing import TYPE_CHECKING

from mobiledeploy.runtimes.mil_reference.convolution import onnx_pads, padding
from mobiledeploy.runtimes.mil_reference.graph import Call, Lowering

if TYPE_CHECKING:
    import numpy as np


class _Windows:
    """Where the windows of a pooling operation lie."""

    def __init__(self, call: Call) -> None:
        self.kernel = call.ints("kernel_sizes")
        ones = [1] * len(self.kernel)
        self.strides = call.ints("strides", ones)
        self.stated = padding(call, self.kernel, self.strides, ones)
        self.sizes, self.outputs = call.shape()[2:], call.output.shape[2:]
        # Rounding the number of windows up lets the last one reach behind the padding.
        self.reached = [
            (before, max(after, (out - 1) * stride + window - size - before))
            for (before, after), size, out, window, stride in zip(
                self.stated, self.sizes, self.outputs, self.kernel, self.strides, strict=True
            )
        ]

    def counts(self, *, with_padding: bool) -> np.ndarray:
        """Elements of each window that count: inside the input, or inside input and stated padding."""
        import numpy as np

        axes = []
        for axis, (before, after) in enumerate(self.stated):
            start = np.arange(self.outputs[axis]) * self.strides[axis] - before
            low, high = (-before, self.sizes[axis] + after) if with_padding else (0, self.sizes[axis])
            axes.append(np.minimum(start + self.kernel[axis], high) - np.maximum(start, low))
        return reduce(np.multiply.outer, axes).astype("float32")


def _max_pool(call: Call) -> str:
    windows = _Windows(call)
    return call.emit(
        "MaxPool",
        call.x(),
        kernel_shape=windows.kernel,
        strides=windows.strides,
        pads=onnx_pads(windows.reached),
    )


def _sums(call: Call, windows: _Windows, name: str) -> str:
    """Mean over whole windows of the input with zeros around it."""
    pads = [(0, 0), (0, 0), *windows.reached]
    if any(map(any, pads)):
        name = call.emit("Pad", name, call.graph.ints(onnx_pads(pads)))
    return call.emit("AveragePool", name, kernel_shape=windows.kernel, strides=windows.strides)


def _avg_pool(call: Call) -> str:
    windows = _Windows(call)
    mean = _sums(call, windows, call.x())
    whole = prod(windows.kernel)
    counts = windows.counts(with_padding=not call.flag("exclude_padding_from_average"))
    if (counts == whole).all():
        return mean
    return call.emit("Mul", mean, call.graph.constant(whole / counts, "float32"))


def _l2_pool(call: Call) -> str:
    windows, x = _Windows(call), call.x()
    mean = _sums(call, windows, call.emit("Mul", x, x))
    return call.emit("Sqrt", call.emit("Mul", mean, call.scalar(prod(windows.kernel))))


LOWERINGS: Mapping[str, Lowering] = {"max_pool": _max_pool, "avg_pool": _avg_pool, "l2_pool": _l2_pool}
