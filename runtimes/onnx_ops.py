"""The operators of an ONNX graph as a runtime computes them: dtypes, weights, mult-adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, prod
from typing import TYPE_CHECKING

from mobiledeploy.runtimes.census import INTEGER_DTYPES, Op
from mobiledeploy.runtimes.onnx_graph import (
    DEQUANTIZE,
    QUANTIZE,
    UNKNOWN,
    Constant,
    Graph,
    attribute,
)

if TYPE_CHECKING:
    import onnx

    Node = onnx.NodeProto

# Activations that disappear into the range of the QuantizeLinear behind them, if it clips as they do.
_ABSORBED = frozenset({"Relu", "Clip"})
# ONNX Runtime's own allowance when it compares the two ranges.
_RANGE_TOLERANCE = 2.0**-23
# Inputs that say how to compute: scales, zero points, bounds, sizes.  They are no weights.
_SETTINGS: dict[str, frozenset[int]] = {
    QUANTIZE: frozenset({1, 2}),
    DEQUANTIZE: frozenset({1, 2}),
    "Clip": frozenset({1, 2}),
    "Pad": frozenset({1, 2, 3}),
    "Resize": frozenset({1, 2, 3}),
    "Upsample": frozenset({1}),
    "ConvInteger": frozenset({2, 3}),
    "MatMulInteger": frozenset({2, 3}),
    "QLinearConv": frozenset({1, 2, 4, 5, 6, 7}),
    "QLinearMatMul": frozenset({1, 2, 4, 5, 6, 7}),
    "QLinearAdd": frozenset({1, 2, 4, 5, 6, 7}),
    "QLinearMul": frozenset({1, 2, 4, 5, 6, 7}),
    "QGemm": frozenset({1, 2, 4, 5, 7, 8}),
}
_LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}
_UNARY_SETTINGS = frozenset({1, 2, 3, 4})
# Where the two factors of a product stand among the inputs.
_FACTORS = {
    "Conv": (0, 1), "FusedConv": (0, 1), "ConvInteger": (0, 1), "QLinearConv": (0, 3),
    "ConvTranspose": (0, 1),
    "Gemm": (0, 1), "FusedGemm": (0, 1), "QGemm": (0, 3),
    "MatMul": (0, 1), "FusedMatMul": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3),
    "MatMulIntegerToFloat": (0, 1), "DynamicQuantizeMatMul": (0, 1),
}  # fmt: skip
_CONVOLUTIONS = frozenset({"Conv", "FusedConv", "ConvInteger", "QLinearConv"})


@dataclass(frozen=True, slots=True)
class Operations:
    """Every operator, and the distinct constants that they read as weights."""

    ops: tuple[Op, ...]
    weights: tuple[Constant, ...]


def list_operations(graph: Graph) -> Operations:
    """List a graph's operators in file order."""
    view = _IntegerView(graph)
    ops: list[Op] = []
    weights: dict[str, Constant] = {}
    for node in graph.nodes:
        if view.is_annotation(node):
            continue
        read = list(_weights(node, graph))
        weights.update((weight.name, weight) for weight in read)
        ops.append(
            Op(
                kind=node.op_type,
                inputs=tuple(view.dtype(name) for name in node.input if name and name not in graph.constants),
                outputs=tuple(view.dtype(name) for name in node.output if name),
                weights=max(read, key=lambda weight: weight.size).dtype if read else "",
                mult_adds=_mult_adds(node, graph),
            )
        )
    return Operations(tuple(ops), tuple(weights.values()))


class _IntegerView:
    """Which float tensors of a Q/DQ graph stand for integers.

    ``int8 -> DequantizeLinear -> Conv -> Relu -> QuantizeLinear -> int8`` is one integer Conv with
    its activation, if the last range has no negative numbers: the float tensors in between are
    never made.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        # What a tensor is stored as just before it is dequantized, or just after it is quantized.
        self._before: dict[str, str] = {}
        self._after: dict[str, str] = {}
        for node in graph.nodes:
            if node.op_type == DEQUANTIZE:
                self._before[node.output[0]] = graph.dtypes.get(node.input[0], UNKNOWN)
        for node in reversed(graph.nodes):
            dtype = self._quantized(node)
            if dtype:
                self._after.update((name, dtype) for name in node.output if name)
        self._integer: set[int] = set()
        for node in graph.nodes:
            if self._is_integer(node):
                self._integer.add(id(node))

    def dtype(self, name: str) -> str:
        """What the tensor is in memory."""
        producer = self._graph.producers.get(name)
        if producer is not None and id(producer) in self._integer:
            return self._after[name]
        if name in self._before and self._is_absorbed(name):
            return self._before[name]
        return self._graph.dtypes.get(name, UNKNOWN)

    def is_annotation(self, node: Node) -> bool:
        """Whether a QuantizeLinear or DequantizeLinear is part of an integer operator beside it."""
        if node.op_type == DEQUANTIZE:
            return self._is_absorbed(node.output[0])
        producer = self._graph.producers.get(node.input[0]) if node.input else None
        return node.op_type == QUANTIZE and producer is not None and id(producer) in self._integer

    def _quantized(self, node: Node) -> str:
        """Integer dtype of everything that a float operator writes, empty if some of it stays float."""
        if node.op_type in (QUANTIZE, DEQUANTIZE):
            return ""
        dtypes = {self._quantized_output(name) for name in node.output if name}
        return dtypes.pop() if len(dtypes) == 1 else ""

    def _quantized_output(self, name: str) -> str:
        readers = self._graph.consumers.get(name, [])
        if not readers or name in self._graph.output_names or self._graph.dtypes.get(name) in INTEGER_DTYPES:
            return ""
        if all(reader.op_type == QUANTIZE for reader in readers):
            return self._graph.dtypes.get(readers[0].output[0], UNKNOWN)
        if len(readers) == 1 and readers[0].op_type in _ABSORBED and self._is_clipped_anyway(readers[0]):
            return self._after.get(readers[0].output[0], "")
        return ""

    def _is_clipped_anyway(self, activation: Node) -> bool:
        """Whether the ranges of the QuantizeLinear behind an activation lie inside its own."""
        low, high = 0.0, inf
        if activation.op_type == "Clip":
            bounds = (self._graph.scalar(activation, slot) for slot in (1, 2))
            names = ("min", -inf), ("max", inf)  # attributes until opset 11
            low, high = (
                attribute(activation, name, default) if bound is None else bound
                for bound, (name, default) in zip(bounds, names, strict=True)
            )
        for reader in self._graph.consumers.get(activation.output[0], []):
            scale, zero_point = self._graph.pair(reader, 1)
            limits = _LIMITS.get(self._graph.dtypes.get(reader.output[0], ""))
            if scale is None or zero_point is None or limits is None:
                return False
            smallest, largest = (scale * (limit - zero_point) for limit in limits)
            if low - smallest > _RANGE_TOLERANCE or largest - high > _RANGE_TOLERANCE:
                return False
        return True

    def _is_integer(self, node: Node) -> bool:
        if not any(name in self._after for name in node.output):
            return False
        read = [name for name in node.input if name and name not in self._graph.constants]
        if node.op_type in _ABSORBED:
            producer = self._graph.producers.get(read[0])
            if producer is not None and id(producer) in self._integer:
                return True
        return bool(read) and all(name in self._before for name in read)

    def _is_absorbed(self, name: str) -> bool:
        """Whether every reader of a dequantized tensor computes in integers."""
        readers = self._graph.consumers.get(name, [])
        return (
            bool(readers)
            and name not in self._graph.output_names
            and all(id(reader) in self._integer or reader.op_type == QUANTIZE for reader in readers)
        )


def _weights(node: Node, graph: Graph) -> Iterator[Constant]:
    settings = _SETTINGS.get(node.op_type)
    if settings is None:
        settings = _UNARY_SETTINGS if node.op_type.startswith("QLinear") else frozenset()
    for slot, name in enumerate(node.input):
        constant = graph.constants.get(name)
        if constant is None or slot in settings:
            continue
        # Integers of 32 bits and more are shapes, axes and indices, but for a quantized bias.
        is_bias = constant.dtype == "int32" and (name != constant.name or node.op_type.startswith("Q"))
        if is_bias or constant.dtype not in ("int32", "int64", "bool", "string", UNKNOWN):
            yield constant


def _mult_adds(node: Node, graph: Graph) -> int:
    """Multiply-accumulates of one operator, 0 where a side is unknown."""
    if node.op_type not in _FACTORS or len(node.input) <= max(_FACTORS[node.op_type]):
        return 0
    first, second = (_shape(graph, node.input[slot]) for slot in _FACTORS[node.op_type])
    result = _shape(graph, node.output[0])
    if not first or not second or not result:
        return 0
    if node.op_type in _CONVOLUTIONS:
        return prod(result) * prod(second[1:])
    if node.op_type == "ConvTranspose":
        return prod(first) * prod(second[1:])
    depth = first[-2] if attribute(node, "transA", 0) and len(first) > 1 else first[-1]
    return prod(result) * depth


def _shape(graph: Graph, name: str) -> tuple[int, ...]:
    """Shape for counting: an open batch is 1; empty if another side is open."""
    shape = graph.shapes.get(name, ())
    if shape[:1] == (-1,):
        shape = (1, *shape[1:])
    return shape if all(side >= 0 for side in shape) else ()
