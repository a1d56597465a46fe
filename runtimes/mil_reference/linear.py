"""Matrix products."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from mobiledeploy.runtimes.mil_reference.graph import Call, Lowering


def _linear(call: Call) -> str:
    product = call.emit("MatMul", call.x(), _swapped(call, "weight"))
    return call.emit("Add", product, call.x("bias")) if call.has("bias") else product


def _matmul(call: Call) -> str:
    x = _swapped(call, "x") if call.flag("transpose_x") else call.x("x")
    y = _swapped(call, "y") if call.flag("transpose_y") else call.x("y")
    return call.emit("MatMul", x, y)


def _swapped(call: Call, parameter: str) -> str:
    """An argument with its last two axes exchanged."""
    axes = list(range(len(call.shape(parameter))))
    return call.emit("Transpose", call.x(parameter), perm=[*axes[:-2], axes[-1], axes[-2]])


def _einsum(call: Call) -> str:
    return call.emit("Einsum", *call.all(), equation=call.text("equation"))


def _attention(call: Call) -> str:
    """softmax(query key^T / sqrt(width) + mask) value."""
    scores = call.emit("MatMul", call.x("query"), _swapped(call, "key"))
    scores = call.emit("Mul", scores, call.scalar(1 / sqrt(call.shape("query")[-1])))
    if call.has("attn_mask"):
        mask = call.x("attn_mask")
        if call.type("attn_mask").dtype == "bool":
            mask = call.emit("Where", mask, call.scalar(0.0), call.scalar(float("-inf")))
        scores = call.emit("Add", scores, mask)
    return call.emit("MatMul", call.emit("Softmax", scores, axis=-1), call.x("value"))


LOWERINGS: Mapping[str, Lowering] = {
    "einsum": _einsum,
    "linear": _linear,
    "matmul": _matmul,
    "scaled_dot_product_attention": _attention,
}
