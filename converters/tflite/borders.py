"""Inputs and outputs of an integer graph in the dtypes that its contract promises."""

from __future__ import annotations

from dataclasses import replace

from mobiledeploy.contract import UNSIGNED_SHIFT, Contract
from mobiledeploy.converters.tflite.graph import Graph, Operator, Quantization, Tensor


def promise_dtypes(graph: Graph, contract: Contract) -> None:
    """Write QUANTIZE or DEQUANTIZE where the contract's dtype is not the graph's own.

    Before: input int8.  After, for a contract of float32: input float32 -> QUANTIZE -> int8.
    """
    first = []
    for place, spec in enumerate(contract.inputs):
        inner = graph.inputs[place]
        if inner.quantization is not None and spec.dtype != inner.dtype:
            graph.inputs[place] = outer = _outer(inner, spec.dtype, spec.name)
            first.append(Operator("QUANTIZE", [outer], [inner], {}))
    graph.operators[:0] = first
    for place, spec in enumerate(contract.outputs):
        inner = graph.outputs[place]
        if inner.quantization is not None and spec.dtype != inner.dtype:
            graph.outputs[place] = outer = _outer(inner, spec.dtype, spec.name)
            kind = "DEQUANTIZE" if spec.dtype == "float32" else "QUANTIZE"
            graph.operators.append(Operator(kind, [inner], [outer], {}))


def _outer(inner: Tensor, dtype: str, name: str) -> Tensor:
    """The tensor that callers see; the one inside gets another name."""
    inner.name = f"{name}/codes"
    quantization: Quantization | None = None
    if dtype == "uint8" and inner.quantization is not None:
        zero_point = inner.quantization.zero_point + UNSIGNED_SHIFT
        quantization = replace(inner.quantization, dtype="uint8", zero_point=zero_point)
    return Tensor(name, inner.shape, dtype, None, quantization)
