"""Mult-adds and parameters of an exported program, counted from its graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch

from mobiledeploy.layer_cost import (
    FULLY_CONNECTED,
    MATRIX_PRODUCT,
    OTHER,
    Cost,
    LayerCost,
    convolution_kind,
)

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

    # (node, its arguments by the schema's names) -> (kind, mult-adds)
    Count = Callable[["Node", dict[str, Any]], tuple[str, int]]

# Where weights and biases are, by the names of a schema; either factor of a product may be weights.
_WEIGHTS = ("weight", "mat2", "batch2", "other", "mat1", "batch1", "self")
_BIASES = ("bias",)
# A product with a sum: its ``self`` is what is added.
_WITH_SUM = frozenset({"aten::addmm", "aten::baddbmm"})


def program_cost(program: ExportedProgram) -> Cost:
    """Count the layers of a program: float, or with quantize and dequantize nodes.

    A layer is named as its weight in the module.  Weights that several layers share count once, at the
    first.  Parameters that no layer multiplies by (a batch norm that could not be folded, a learned scale)
    are ``Other``; buffers that are no layer's weights are no parameters.

    Args:
        program: static shapes; from ``converters.export.export``, its batch norms are folded.
    """
    stored = _Stored(program)
    layers = []
    for node in program.graph.nodes:
        if node.op != "call_function" or node in stored.constants:
            continue
        count = _COUNTS.get(_name(node))
        kind, mult_adds, tensor, weights, biases = OTHER, 0, "", 0, 0
        if count:
            arguments = _arguments(node)
            kind, mult_adds = count(node, arguments)
            _, biases = stored.take(arguments, ("self",) if _name(node) in _WITH_SUM else _BIASES)
            tensor, weights = stored.take(arguments, _WEIGHTS)
            if kind == MATRIX_PRODUCT and tensor:
                kind = FULLY_CONNECTED
        rest = stored.take_parameters(node)
        if mult_adds or weights or biases or rest:
            name = (tensor or next(iter(rest), "")).rpartition(".")[0]
            weights += sum(stored.sizes[item] for item in rest)
            layers.append(LayerCost(name or node.name, kind, mult_adds, weights, biases))
    return Cost(tuple(layers))


class _Stored:
    """The tensors that a program holds, and which of them have been counted.

    Attributes:
        constants: node -> names of the stored tensors that its value follows from.
        sizes: elements of each stored tensor.
    """

    def __init__(self, program: ExportedProgram) -> None:
        signature = program.graph_signature
        self._parameters = set(signature.inputs_to_parameters.values())
        targets = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self.constants: dict[Node, tuple[str, ...]] = {}
        self.sizes: dict[str, int] = {}
        self._counted: set[str] = set()
        for node in program.graph.nodes:
            if node.op == "placeholder" and node.name in targets:
                self.constants[node] = (targets[node.name],)
                self.sizes[targets[node.name]] = _size(node)
            elif node.op == "call_function" and self._is_constant(node):
                found = (name for item in node.all_input_nodes for name in self.constants[item])
                self.constants[node] = tuple(dict.fromkeys(found))

    def _is_constant(self, node: Node) -> bool:
        inputs = node.all_input_nodes
        return bool(inputs) and all(item in self.constants for item in inputs)

    def take(self, arguments: dict[str, Any], places: Sequence[str]) -> tuple[str, int]:
        """The largest stored tensor behind the first of these arguments that has one, else an empty name.

        With its elements, 0 if they have been counted.
        """
        for place in places:
            names = self.constants.get(arguments.get(place))  # type: ignore[arg-type]
            if names:
                # Scales and zero points are behind it too.
                largest = max(names, key=lambda name: self.sizes[name])
                size = 0 if largest in self._counted else self.sizes[largest]
                self._counted.update(names)
                return largest, size
        return "", 0

    def take_parameters(self, node: Node) -> tuple[str, ...]:
        """The parameters behind a node's arguments that have not been counted."""
        names = (name for item in node.all_input_nodes for name in self.constants.get(item, ()))
        fresh = tuple(
            name for name in dict.fromkeys(names) if name in self._parameters and name not in self._counted
        )
        self._counted.update(fresh)
        return fresh


def _name(node: Node) -> str:
    target = node.target
    return str(target._schema.name) if isinstance(target, torch._ops.OpOverload) else ""


def _arguments(node: Node) -> dict[str, Any]:
    """What is given, by the names of the operator's schema."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return {}
    names = [argument.name for argument in node.target._schema.arguments]
    return {**dict(zip(names, node.args, strict=False)), **node.kwargs}


def _shape(node: Any) -> tuple[int, ...]:
    return tuple(int(side) for side in node.meta["val"].shape)


def _size(node: Any) -> int:
    value = node.meta["val"]
    return int(value.numel()) if isinstance(value, torch.Tensor) else 1


def _convolution(node: Node, arguments: dict[str, Any]) -> tuple[str, int]:
    if arguments.get("transposed"):
        return _transposed(node, arguments)
    _, group_inputs, *kernel = _shape(arguments["weight"])
    kind = convolution_kind(kernel, arguments.get("groups", 1), group_inputs)
    return kind, _size(node) * group_inputs * prod(kernel)


def _transposed(_: Node, arguments: dict[str, Any]) -> tuple[str, int]:
    groups = arguments.get("groups", 1)
    inputs, group_outputs, *kernel = _shape(arguments["weight"])
    kind = convolution_kind(kernel, groups, inputs // groups, transposed=True)
    source = arguments.get("input", arguments.get("self"))
    return kind, _size(source) * group_outputs * prod(kernel)


def _linear(node: Node, arguments: dict[str, Any]) -> tuple[str, int]:
    return MATRIX_PRODUCT, _size(node) * _shape(arguments["weight"])[-1]


def _product(node: Node, arguments: dict[str, Any]) -> tuple[str, int]:
    first = arguments.get("mat1", arguments.get("batch1", arguments.get("self")))
    return MATRIX_PRODUCT, _size(node) * _shape(first)[-1]


def _attention(_: Node, arguments: dict[str, Any]) -> tuple[str, int]:
    query, key, value = (_shape(arguments[name]) for name in ("query", "key", "value"))
    return MATRIX_PRODUCT, prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _einsum(_: Node, arguments: dict[str, Any]) -> tuple[str, int]:
    sizes: dict[str, int] = {}
    operands = arguments["equation"].replace(" ", "").split("->")[0].split(",")
    for letters, operand in zip(operands, arguments["tensors"], strict=True):
        sizes.update(zip(letters, _shape(operand), strict=True))
    return MATRIX_PRODUCT, prod(sizes.values())


_COUNTS: dict[str, Count] = {
    "aten::conv1d": _convolution,
    "aten::conv2d": _convolution,
    "aten::conv3d": _convolution,
    "aten::convolution": _convolution,
    "aten::conv_transpose1d": _transposed,
    "aten::conv_transpose2d": _transposed,
    "aten::conv_transpose3d": _transposed,
    "aten::linear": _linear,
    "aten::addmm": _product,
    "aten::mm": _product,
    "aten::bmm": _product,
    "aten::baddbmm": _product,
    "aten::matmul": _product,
    "aten::einsum": _einsum,
    "aten::scaled_dot_product_attention": _attention,
}
