"""Scaled dot-product attention."""

from __future__ import annotations

import math

import torch

from mobiledeploy.converters.tflite.lowering import CannotLowerError, Lowering, Operand, Value, lowers
from mobiledeploy.converters.tflite.ops.activation import softmax
from mobiledeploy.converters.tflite.ops.arithmetic import binary, where
from mobiledeploy.converters.tflite.ops.matmul import matmul
from mobiledeploy.converters.tflite.ops.shape import transpose

# A score that softmax turns into 0, and that is still a float16.
_NEVER = -60000.0


@lowers("scaled_dot_product_attention.default")
def attention(
    lo: Lowering,
    query: Value,
    key: Value,
    value: Value,
    mask: Operand | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """``softmax(q k^T * scale + mask) v`` (torch.nn.functional.scaled_dot_product_attention)."""
    if enable_gqa:
        raise CannotLowerError("grouped-query attention", "repeat the keys and values over the groups")
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    # The smaller operand is scaled: one pass over the query instead of one over the scores.
    scores = matmul(lo, binary(lo, "MUL", query, factor), transpose(lo, key, -2, -1))
    if is_causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if isinstance(mask, torch.Tensor) and mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape).masked_fill(~mask, _NEVER)
    if isinstance(mask, Value) and mask.dtype == "bool":
        scores = where(lo, mask, scores, torch.tensor(_NEVER))
    elif mask is not None:
        scores = binary(lo, "ADD", scores, mask)
    lo.overload = "aten.softmax.int"
    return matmul(lo, softmax(lo, scores, -1), value)
