"""Operator versions: the oldest that has what an operator uses, so that old runtimes say no in time."""

from __future__ import annotations

from mobiledeploy.converters.tflite.graph import Operator

# Since when an operator takes int8.
_INT8 = {
    "ADD": 2,
    "AVERAGE_POOL_2D": 2,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "DEQUANTIZE": 2,
    "FULLY_CONNECTED": 4,
    "GATHER": 2,
    "LOGISTIC": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MUL": 2,
    "PAD": 2,
    "PADV2": 2,
    "RESIZE_BILINEAR": 2,
    "RESIZE_NEAREST_NEIGHBOR": 2,
    "SLICE": 2,
    "SOFTMAX": 2,
    "SPLIT": 2,
    "STRIDED_SLICE": 2,
    "SUB": 2,
    "TANH": 2,
    "TRANSPOSE": 2,
    "TRANSPOSE_CONV": 2,
}


def operator_version(op: Operator) -> int:
    """As TFLite's own version table assigns them (its ``op_version.cc``)."""
    stored = {tensor.dtype for tensor in (*op.inputs, *op.outputs) if tensor is not None}
    return max(_float_version(op), _INT8.get(op.kind, 1) if "int8" in stored else 1)


def _float_version(op: Operator) -> int:
    rank = max((len(tensor.shape) for tensor in (*op.inputs, *op.outputs) if tensor is not None), default=0)
    match op.kind:
        case "DEQUANTIZE":
            half = any(tensor is not None and tensor.dtype == "float16" for tensor in op.inputs)
            return 3 if half else 1
        case "DEPTHWISE_CONV_2D":
            dilated = op.options["dilationHFactor"] != 1 or op.options["dilationWFactor"] != 1
            return 2 if dilated else 1
        case "CONV_2D":
            return 6 if _is_grouped(op) else 1
        case "FULLY_CONNECTED":
            if op.options["keepNumDims"]:
                return 5
            return 6 if op.inputs[2] is None else 1
        case "TRANSPOSE_CONV":
            return 3
        case "RESIZE_BILINEAR" | "RESIZE_NEAREST_NEIGHBOR":
            return 3 if op.options["halfPixelCenters"] else 1
        case "ADD" | "SUB" | "MUL" | "DIV" | "MAXIMUM" | "MINIMUM" | "SLICE" | "STRIDED_SLICE":
            return _by_rank(op.kind, rank)
        case "TRANSPOSE":
            return 4 if rank > 4 else 1
        case "BATCH_MATMUL" | "GELU" | "BROADCAST_TO" | "SELECT_V2":
            return 2 if op.kind == "BROADCAST_TO" else 1
        case _:
            return 1


def _is_grouped(op: Operator) -> bool:
    data, weight = op.inputs[0], op.inputs[1]
    return data is not None and weight is not None and data.shape[3] != weight.shape[3]


def _by_rank(kind: str, rank: int) -> int:
    if rank <= 4:
        return 1
    return {
        "ADD": 4,
        "SUB": 4,
        "MUL": 6,
        "DIV": 2,
        "MAXIMUM": 3,
        "MINIMUM": 3,
        "SLICE": 5,
        "STRIDED_SLICE": 4,
    }[kind]
