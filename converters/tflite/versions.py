"""Operator versions: the oldest that has what an operator uses, so that old runtimes say no in time."""

from __future__ import annotations

from mobiledeploy.converters.tflite.graph import Operator


def operator_version(op: Operator) -> int:
    """As TFLite's own version table assigns them (its ``op_version.cc``), for float graphs."""
    rank = max((len(tensor.shape) for tensor in (*op.inputs, *op.outputs) if tensor is not None), default=0)
    match op.kind:
        case "DEQUANTIZE":
            return 3
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
