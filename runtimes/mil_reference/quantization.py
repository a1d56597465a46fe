"""Quantized activations: real = scale * (stored - zero_point)."""

from __future__ import annotations

from collections.abc import Mapping

from mobiledeploy.runtimes.mil_reference.graph import Call, Lowering


def _quantize(call: Call) -> str:
    return call.emit("QuantizeLinear", *_arguments(call, call.output.dtype), **_axis(call))


def _dequantize(call: Call) -> str:
    return call.emit("DequantizeLinear", *_arguments(call, call.type("input").dtype), **_axis(call))


def _arguments(call: Call, stored: str) -> tuple[str, str, str]:
    if call.has("zero_point"):
        zero = call.x("zero_point")
    else:
        import numpy as np

        zero = call.graph.constant(np.zeros(call.shape("scale"), stored))
    return call.x("input"), call.x("scale"), zero


def _axis(call: Call) -> dict[str, int]:
    return {"axis": call.whole("axis")} if call.has("axis") and call.shape("scale") else {}


LOWERINGS: Mapping[str, Lowering] = {"dequantize": _dequantize, "quantize": _quantize}
