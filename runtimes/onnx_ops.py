"""The operators of an ONNX graph as a runtime computes them: dtypes, weights, mult-adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, prod
from typing import TYPE_CHECKING

from mobiledeploy.layer_cost import FULLY_CONNECTED, MATRIX_PRODUCT, convolution_kind
from mobiledeploy.runtimes.census import INTEGER_DTYPES, UNKNOWN, Op
from mobiledeploy.runtimes.integer_view import IntegerView, Step
from mobiledeploy.runtimes.onnx_graph import DEQUANTIZE, QUANTIZE, Constant, Graph, attribute

if TYPE_CHECKING:
    import onnx

    Node = onnx.NodeProto

# What ONNX Runtime 1.32 computes on integers between DequantizeLinear and QuantizeLinear, as its
# optimized graphs show: anything with an integer kernel, and movers whose codes stay the same.
_KERNELS = frozenset(
    {"Add", "AveragePool", "Concat", "Conv", "Gemm", "GlobalAveragePool", "LeakyRelu", "MatMul", "Mul",
     "Sigmoid", "Softmax"}
)  # fmt: skip
_MOVERS = frozenset(
    {"DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Resize", "Slice",
     "SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)  # fmt: skip
# Kernels that need no QuantizeLinear behind them.
_KERNELS_TO_REALS = frozenset({"Gemm", "MatMul"})
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
# Operator -> place of its bias.
_BIASES = {
    "Conv": 2,
    "FusedConv": 2,
    "ConvTranspose": 2,
    "QLinearConv": 8,
    "Gemm": 2,
    "FusedGemm": 2,
    "QGemm": 6,
}


@dataclass(frozen=True, slots=True)
class Operations:
    """Every operator, and the distinct constants that they read as weights."""

    ops: tuple[Op, ...]
    weights: tuple[Constant, ...]


def list_operations(graph: Graph) -> Operations:
    """List a graph's operators in file order."""
    steps = [_step(node, graph) for node in graph.nodes]
    view = IntegerView(steps, graph.dtypes, graph.output_names, _Rules(graph))
    ops: list[Op] = []
    weights: dict[str, Constant] = {}
    for node, step in zip(graph.nodes, steps, strict=True):
        if view.is_annotation(step):
            continue
        read = dict(_weights(node, graph))
        fresh = {weight.name: weight for weight in read.values() if weight.name not in weights}
        weights.update(fresh)
        bias = read.get(_input(node, _BIASES.get(node.op_type, len(node.input))))
        largest = max(read, key=lambda name: read[name].size, default="")
        op = Op(
            kind=node.op_type,
            inputs=view.reads(step),
            outputs=view.writes(step),
            weights=read[largest].dtype if read else "",
            mult_adds=_mult_adds(node, graph),
            name=node.name or next(iter(node.output), ""),
            layer=_layer(node, graph),
            parameters=sum(weight.size for weight in fresh.values()),
            biases=bias.size if bias is not None and bias.name in fresh else 0,
        )
        # A constant by another name is the result of a node that made it real.
        if read and largest != read[largest].name and op.reads_reals:
            op = replace(op, read_as=graph.dtypes.get(largest, UNKNOWN))
        ops.append(op)
    return Operations(tuple(ops), tuple(weights.values()))


class _Rules:
    """ONNX Runtime's integer kernels; see ``integer_view.Rules``."""

    quantize, dequantize, movers = QUANTIZE, DEQUANTIZE, _MOVERS

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def computes_codes(self, step: Step) -> bool:
        return step.kind in _KERNELS and self._has_integer_weights(step)

    def gives_reals(self, step: Step) -> bool:
        return step.kind in _KERNELS_TO_REALS and self._has_integer_weights(step)

    def bounds(self, step: Step) -> tuple[float, float] | None:
        if step.kind == "Relu":
            return 0.0, inf
        if step.kind != "Clip":
            return None
        node = self._node(step)
        found = (self._graph.scalar(node, slot) for slot in (1, 2))
        names = ("min", -inf), ("max", inf)  # attributes until opset 11
        low, high = (
            attribute(node, name, default) if bound is None else bound
            for bound, (name, default) in zip(found, names, strict=True)
        )
        return float(low), float(high)

    def parameters(self, step: Step) -> tuple[float, int] | None:
        scale, zero_point = self._graph.pair(self._node(step), 1)
        return None if scale is None or zero_point is None else (scale, zero_point)

    def _node(self, step: Step) -> Node:
        return self._graph.producers[step.outputs[0]]

    def _has_integer_weights(self, step: Step) -> bool:
        constants = (self._graph.constants.get(name) for name in self._node(step).input)
        return all(constant is None or constant.dtype in INTEGER_DTYPES for constant in constants)


def _step(node: Node, graph: Graph) -> Step:
    return Step(
        node.op_type,
        tuple(name for name in node.input if name and name not in graph.constants),
        tuple(name for name in node.output if name),
    )


def _weights(node: Node, graph: Graph) -> Iterator[tuple[str, Constant]]:
    """The constants that a node computes with, by the names that it reads them under."""
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
            yield name, constant


def _input(node: Node, place: int) -> str:
    return node.input[place] if place < len(node.input) else ""


def _layer(node: Node, graph: Graph) -> str:
    """What an operator is in the words of ``layer_cost``; empty if it multiplies nothing."""
    if node.op_type not in _FACTORS:
        return ""
    weight = _input(node, _FACTORS[node.op_type][1])
    if node.op_type in _CONVOLUTIONS or node.op_type == "ConvTranspose":
        sides = graph.shapes.get(weight, ())
        groups = int(attribute(node, "group", 1))
        transposed = node.op_type == "ConvTranspose"
        group_inputs = sides[0] // groups if transposed and sides else sides[1] if len(sides) > 1 else 0
        return convolution_kind(sides[2:], groups, group_inputs, transposed=transposed)
    return FULLY_CONNECTED if weight in graph.constants else MATRIX_PRODUCT


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
