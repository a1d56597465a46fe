"""``mobiledeploy::non_max_suppression`` for ``torch.onnx``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

OPERATION = "mobiledeploy.non_max_suppression.default"


def translations(program: torch.export.ExportedProgram) -> dict[Any, Callable[..., Any]]:
    """The operation, where the program has it, and how it is written."""
    found = {node.target for node in program.graph.nodes if str(node.target) == OPERATION}
    return dict.fromkeys(found, _non_max_suppression) if found else {}


def _non_max_suppression(boxes: Any, scores: Any, threshold: float, overlap: float, largest: int) -> Any:
    """NonMaxSuppression's list of those that stay becomes scores in their places, and zeros elsewhere."""
    import numpy as np
    from onnxscript import opset18 as op

    shared = boxes.shape[0] == 1
    # The operator keeps a score above its threshold.
    below = float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))
    selected = op.NonMaxSuppression(
        boxes,
        op.Unsqueeze(scores, op.Constant(value_ints=[0 if shared else 1])),
        op.Constant(value_ints=[largest]),
        op.Constant(value_floats=[overlap]),
        op.Constant(value_floats=[below]),
    )
    # Of batch, class and box: the boxes are a batch of one, or one per class.
    places = op.Gather(selected, op.Constant(value_ints=[1, 2] if shared else [0, 2]), axis=1)
    none = op.Mul(scores, op.Constant(value_float=0.0))
    return op.ScatterND(none, places, op.GatherND(scores, places))
