"""Weights stored in half precision."""

from __future__ import annotations

from mobiledeploy.converters.tflite.graph import Graph, Operator, Tensor
from mobiledeploy.errors import UnsupportedError

# Where an operator has its weights (and its bias behind them).
_WEIGHT_INPUT = {
    "CONV_2D": 1,
    "DEPTHWISE_CONV_2D": 1,
    "FULLY_CONNECTED": 1,
    "TRANSPOSE_CONV": 1,
    "BATCH_MATMUL": 1,
}
# Other constants are halved from this size on; below lie epsilons and factors, which must keep their range.
_LARGE = 1024


def store_half(graph: Graph) -> None:
    """Store float weights as float16.

    Before: ``CONV_2D(x, w float32)``.  After: ``CONV_2D(x, DEQUANTIZE(w float16))``; runtimes either
    compute in float16 or widen the weights once, when the model is loaded.

    Raises:
        UnsupportedError: a weight is too large for float16.
    """
    halves: dict[Tensor, Tensor] = {}
    widened: list[Operator] = []
    for op in graph.operators:
        for index, tensor in enumerate(op.inputs):
            if tensor is None or not _is_weight(op, index, tensor):
                continue
            if tensor not in halves:
                halves[tensor] = _widen(tensor, op.module, widened)
            op.inputs[index] = halves[tensor]
    graph.operators[:0] = widened


def _is_weight(op: Operator, index: int, tensor: Tensor) -> bool:
    if tensor.data is None or tensor.dtype != "float32":
        return False
    return index >= _WEIGHT_INPUT.get(op.kind, len(op.inputs)) or tensor.data.size >= _LARGE


def _widen(tensor: Tensor, module: str, widened: list[Operator]) -> Tensor:
    import numpy as np

    if tensor.data is None:
        raise UnsupportedError("a weight without data", where=tensor.name)
    largest = float(np.abs(tensor.data).max(initial=0.0))
    if not largest <= float(np.finfo(np.float16).max):
        raise UnsupportedError(
            f"its largest value {largest:.3g} does not fit float16",
            where=tensor.name,
            hint="Convert with --precision fp32",
        )
    half = Tensor(f"{tensor.name}/half", tensor.shape, "float16", tensor.data.astype(np.float16))
    wide = Tensor(tensor.name, tensor.shape, "float32")
    widened.append(Operator("DEQUANTIZE", [half], [wide], {}, module))
    return wide
