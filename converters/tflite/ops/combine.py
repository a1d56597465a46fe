"""Joining tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mobiledeploy.converters.tflite.lowering import Lowering, Operand, Value, lowers
from mobiledeploy.converters.tflite.ops.arithmetic import cast, torch_dtype
from mobiledeploy.converters.tflite.ops.shape import unsqueeze


@lowers("cat.default", "concat.default")
def cat(lo: Lowering, operands: Sequence[Operand], dim: int = 0) -> Value:
    """All parts in the order of the largest run-time one."""
    parts = [x for x in operands if 0 not in x.shape]
    wide = torch_dtype(parts[0])
    for part in parts[1:]:
        wide = torch.promote_types(wide, torch_dtype(part))
    parts = [cast(lo, part, wide) for part in parts]
    lead = max((p for p in parts if isinstance(p, Value)), key=lambda p: torch.Size(p.shape).numel())
    if len(parts) == 1:
        return lead
    tensors = []
    for part in parts:
        if isinstance(part, Value):
            tensors.append(lo.to_order(part, lead.order).tensor)
        else:
            tensors.append(lo.constant(part.permute(lead.order), lo.parameter_name(part)))
    axis = lead.stored_axis(dim)
    shape = list(lead.tensor.shape)
    shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
    return Value(lo.emit("CONCATENATION", tensors, shape, lead.dtype, axis=axis), lead.order)


@lowers("stack.default")
def stack(lo: Lowering, operands: Sequence[Operand], dim: int = 0) -> Value:
    """Each part with a new axis, joined over it."""
    parts = [unsqueeze(lo, x, dim) if isinstance(x, Value) else x.unsqueeze(dim) for x in operands]
    rank = len(parts[0].shape)
    return cat(lo, parts, dim % rank)
