"""An ONNX graph flattened for reading: nodes, constants, and the dtype and shape of every tensor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from mobiledeploy.runtimes.census import UNKNOWN

if TYPE_CHECKING:
    import onnx

    Node = onnx.NodeProto

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
# Products whose inputs 1 and 2 quantize the first factor, 6 and 7 the result.
_INTEGER_PRODUCTS = ("QLinearConv", "QLinearMatMul")
# Constants above this many elements carry no shapes or axes; inference does without their values.
_LARGEST_SHAPE_VALUE = 1024

# Operators of other domains, by a standard one whose output has the same dtype and shape, and the
# inputs that it takes.  (https://onnxruntime.ai/docs/reference/operators/ContribOperators)
_STAND_INS: dict[str, tuple[str, slice]] = {
    "QLinearAdd": ("Add", slice(0, 4, 3)),
    "QLinearMul": ("Mul", slice(0, 4, 3)),
    "QLinearAveragePool": ("AveragePool", slice(0, 1)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", slice(0, 1)),
    "QLinearReduceMean": ("ReduceMean", slice(0, 1)),
    "QLinearConcat": ("Concat", slice(2, None, 3)),
    "FusedConv": ("Conv", slice(0, 3)),
    "FusedGemm": ("Gemm", slice(0, 3)),
    "FusedMatMul": ("MatMul", slice(0, 2)),
    QUANTIZE: (QUANTIZE, slice(0, 3)),
    DEQUANTIZE: (DEQUANTIZE, slice(0, 3)),
}
_SAME_AS_FIRST_INPUT = ("Identity", slice(0, 1))
_QGEMM = ("Gemm", slice(0, 4, 3))


@dataclass(frozen=True, slots=True)
class Constant:
    """A stored tensor, as it lies in the file.

    Attributes:
        name: of the tensor.
        dtype: as stored.
        size: elements.
        stored_bytes: its size in the file.
        value: the elements, None where there are many or they lie in another file.
    """

    name: str
    dtype: str
    size: int
    stored_bytes: int
    value: Any = None


@dataclass(frozen=True)
class Graph:
    """Nodes in file order, those of a branch or a loop body after the node that owns them.

    Attributes:
        inputs, outputs: of the main graph, constants left out.
        nodes: what computes; nodes whose inputs are all constant are in ``constants`` instead.
        constants: by tensor name; the result of a folded node is the largest constant that it reads.
        dtypes, shapes: by tensor name, where known; open dimensions are -1.
    """

    inputs: tuple[onnx.ValueInfoProto, ...]
    outputs: tuple[onnx.ValueInfoProto, ...]
    nodes: tuple[Node, ...]
    constants: dict[str, Constant]
    dtypes: dict[str, str]
    shapes: dict[str, tuple[int, ...]] = field(repr=False)

    @cached_property
    def producers(self) -> dict[str, Node]:
        """The node that makes a tensor."""
        return {name: node for node in self.nodes for name in node.output if name}

    @cached_property
    def consumers(self) -> dict[str, list[Node]]:
        """The nodes that read a tensor."""
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        return readers

    @cached_property
    def output_names(self) -> frozenset[str]:
        """Outputs of the main graph."""
        return frozenset(info.name for info in self.outputs)

    def quantization(self, name: str) -> tuple[float | None, int | None]:
        """Scale and zero point of an integer input or output, where the graph states one pair."""
        pairs = set()
        for reader in self.consumers.get(name, ()):
            if reader.op_type in (DEQUANTIZE, *_INTEGER_PRODUCTS) and reader.input[0] == name:
                pairs.add(self.pair(reader, 1))
        producer = self.producers.get(name)
        if producer is not None and producer.op_type == QUANTIZE:
            pairs.add(self.pair(producer, 1))
        if producer is not None and producer.op_type in _INTEGER_PRODUCTS:
            pairs.add(self.pair(producer, 6))
        return pairs.pop() if len(pairs) == 1 else (None, None)

    def pair(self, node: Node, slot: int) -> tuple[float | None, int | None]:
        """Scale and zero point from a node's inputs at ``slot`` and after it, if single constants."""
        scale = self.scalar(node, slot)
        if scale is None:
            return None, None
        return float(scale), int(self.scalar(node, slot + 1) or 0)

    def scalar(self, node: Node, slot: int) -> float | int | None:
        """Value of a node's input that is one constant number, else None."""
        constant = self.constants.get(node.input[slot]) if slot < len(node.input) else None
        if constant is None or constant.value is None or constant.size != 1:
            return None
        number: float | int = constant.value.reshape(-1)[0].item()
        return number


def read_graph(model: onnx.ModelProto) -> Graph:
    """Flatten a model; functions of its own are inlined."""
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    main = model.graph
    constants = {tensor.name: _constant(tensor) for graph in _graphs(main) for tensor in graph.initializer}
    dtypes, shapes = _infer(model)
    nodes: list[Node] = []
    for node in _nodes(main):
        folded = _folded(node, constants)
        if folded is None:
            nodes.append(node)
            _guess_dtypes(node, dtypes, constants)
        else:
            constants.update(dict.fromkeys(node.output, folded))
    return Graph(
        inputs=tuple(info for info in main.input if info.name not in constants),
        outputs=tuple(main.output),
        nodes=tuple(nodes),
        constants=constants,
        dtypes=dtypes,
        shapes=shapes,
    )


def dtype_name(number: int) -> str:
    """NumPy (or ml_dtypes) name of an ONNX element type."""
    from onnx import TensorProto, helper

    if number == TensorProto.STRING:
        return "string"
    try:
        return str(helper.tensor_dtype_to_np_dtype(number).name)
    except KeyError:
        return UNKNOWN


def stored_bytes(tensor: onnx.TensorProto) -> int:
    """Bytes that a tensor of this type and shape takes in a file, 4-bit elements packed in pairs."""
    bits = re.match(r"\D+(\d+)", dtype_name(tensor.data_type))
    width = int(bits[1]) if bits else 8
    elements: int = prod(tensor.dims)
    return (elements * width + 7) // 8


def attribute(node: Node, name: str, default: Any) -> Any:
    """Value of a node's attribute, or ``default`` where it is not given."""
    from onnx import helper

    found = next((item for item in node.attribute if item.name == name), None)
    return default if found is None else helper.get_attribute_value(found)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for item in node.attribute:
            for inner in (item.g, *item.graphs) if item.HasField("g") else item.graphs:
                yield from _graphs(inner)


def _nodes(graph: onnx.GraphProto) -> Iterator[Node]:
    for node in graph.node:
        yield node
        for item in node.attribute:
            for inner in (item.g, *item.graphs) if item.HasField("g") else item.graphs:
                yield from _nodes(inner)


def _constant(tensor: onnx.TensorProto, name: str = "") -> Constant:
    from onnx import TensorProto, numpy_helper

    size = prod(tensor.dims)
    at_hand = size <= _LARGEST_SHAPE_VALUE and tensor.data_location != TensorProto.EXTERNAL
    return Constant(
        name=name or tensor.name,
        dtype=dtype_name(tensor.data_type),
        size=size,
        stored_bytes=stored_bytes(tensor),
        value=numpy_helper.to_array(tensor) if at_hand else None,
    )


def _folded(node: Node, constants: dict[str, Constant]) -> Constant | None:
    """The constant that a node stands for, None if it computes at run time."""
    if node.op_type == "Constant":
        return _constant_node(node)
    read = [constants.get(name) for name in node.input if name]
    present = [constant for constant in read if constant is not None]
    if not read or len(present) < len(read) or node.op_type.startswith("Random"):
        return None
    return max(present, key=lambda constant: constant.size)


def _constant_node(node: Node) -> Constant:
    import numpy as np
    from onnx import TensorProto, numpy_helper

    value = attribute(node, node.attribute[0].name, None) if node.attribute else None
    if isinstance(value, TensorProto):
        return _constant(value, node.output[0])
    if isinstance(value, int | float | list | tuple):
        array = np.asarray(value)
        # ONNX's plain attributes are float32 or int64.
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        return _constant(numpy_helper.from_array(array), node.output[0])
    return Constant(node.output[0], "string" if isinstance(value, bytes) else UNKNOWN, 1, 0)


def _infer(model: onnx.ModelProto) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """Dtypes and shapes by tensor name, as far as ONNX's own inference gets."""
    from onnx import shape_inference

    light = _without_weights(model)
    # A graph that contradicts itself: what it says about its tensors is all there is.
    with suppress(shape_inference.InferenceError, RuntimeError, ValueError):
        light = shape_inference.infer_shapes(light, check_type=False, strict_mode=False, data_prop=True)
    dtypes: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for graph in _graphs(light.graph):
        for info in (*graph.input, *graph.value_info, *graph.output):
            tensor = info.type.tensor_type
            if tensor.elem_type:
                dtypes[info.name] = dtype_name(tensor.elem_type)
            if tensor.HasField("shape"):
                shapes[info.name] = tuple(
                    side.dim_value if side.HasField("dim_value") else -1 for side in tensor.shape.dim
                )
        for weight in graph.initializer:
            shapes[weight.name] = tuple(weight.dims)
    return dtypes, shapes


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy for inference: weights become inputs, operators of other domains get stand-ins."""
    from onnx import ModelProto, TensorProto, helper

    light = ModelProto()
    light.ir_version = max(model.ir_version, 4)
    light.opset_import.extend(item for item in model.opset_import if item.domain in ("", "ai.onnx"))
    if not light.opset_import:
        light.opset_import.add(version=1)
    light.graph.name = model.graph.name
    source, graph = model.graph, light.graph
    given = {info.name for info in source.input}
    graph.input.extend(source.input)
    graph.output.extend(source.output)
    graph.value_info.extend(source.value_info)
    for tensor in source.initializer:
        if prod(tensor.dims) > _LARGEST_SHAPE_VALUE or tensor.data_location == TensorProto.EXTERNAL:
            if tensor.name not in given:
                graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        else:
            graph.initializer.append(tensor)
    for node in source.node:
        graph.node.append(node if node.domain in ("", "ai.onnx") else _stand_in(node))
    return light


def _stand_in(node: Node) -> Node:
    from onnx import NodeProto

    kind, taken = _STAND_INS.get(node.op_type, _SAME_AS_FIRST_INPUT)
    if node.op_type == "QGemm" and len(node.input) > 8:
        kind, taken = _QGEMM
    double = NodeProto()
    double.op_type = kind
    double.input.extend(list(node.input)[taken])
    double.output.extend(list(node.output)[:1])
    if kind != "Identity":
        double.attribute.extend(node.attribute)
    return double


def _guess_dtypes(node: Node, dtypes: dict[str, str], constants: dict[str, Constant]) -> None:
    """Where inference knows nothing, an operator writes what it first reads."""
    read = [dtypes[name] for name in node.input if name in dtypes and name not in constants]
    for name in node.output:
        dtypes.setdefault(name, read[0] if read else UNKNOWN)
