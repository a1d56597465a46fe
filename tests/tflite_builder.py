"""Small TFLite files for tests, written with the schema's own object API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np


@dataclass(frozen=True)
class T:
    """A tensor; with ``data`` a constant."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "FLOAT32"
    data: np.ndarray | None = None
    scale: float | None = None
    zero_point: int = 0
    sparsity: Any = None
    buffer_of: str = ""  # name of the tensor whose buffer it shares


@dataclass(frozen=True)
class N:
    """An operator; ``kind`` ``CUSTOM:name`` makes a custom one, None in ``inputs`` an absent input."""

    kind: str
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class G:
    """A subgraph; ``signature`` maps the names that a caller uses to tensors."""

    tensors: Sequence[T]
    nodes: Sequence[N]
    inputs: Sequence[str]
    outputs: Sequence[str]
    signature: Mapping[str, str] = field(default_factory=dict)


_OPTION_TABLES = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "ADD": "AddOptions",
    "IF": "IfOptions",
    "WHILE": "WhileOptions",
}


def build(*subgraphs: G, metadata: Mapping[str, bytes] | None = None, description: str = "test") -> bytes:
    """The bytes of a model."""
    model = schema.ModelT()
    model.version, model.description = 3, description
    model.buffers, model.operatorCodes, model.subgraphs = [schema.BufferT()], [], []
    model.signatureDefs, model.metadata = [], []
    codes: dict[str, int] = {}
    for position, graph in enumerate(subgraphs):
        index = {tensor.name: number for number, tensor in enumerate(graph.tensors)}
        subgraph = schema.SubGraphT()
        subgraph.tensors = []
        for tensor in graph.tensors:
            shared = subgraph.tensors[index[tensor.buffer_of]].buffer if tensor.buffer_of else None
            subgraph.tensors.append(_tensor(model, tensor, shared))
        subgraph.operators = [_operator(model, codes, node, index) for node in graph.nodes]
        subgraph.inputs = [index[name] for name in graph.inputs]
        subgraph.outputs = [index[name] for name in graph.outputs]
        model.subgraphs.append(subgraph)
        if graph.signature:
            model.signatureDefs.append(_signature(position, graph, index))
    for name, data in (metadata or {}).items():
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, _buffer(model, np.frombuffer(data, np.uint8))
        model.metadata.append(entry)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def float_dense(features: int = 4, classes: int = 3, **options: Any) -> bytes:
    """``y = x W' + b`` with W[c, f] = c - f and b[c] = c."""
    rows, columns = np.indices((classes, features))
    return build(
        G(
            [
                T("x", (1, features)),
                T("w", (classes, features), data=(rows - columns).astype(np.float32)),
                T("b", (classes,), data=np.arange(classes, dtype=np.float32)),
                T("y", (1, classes)),
            ],
            [N("FULLY_CONNECTED", ("x", "w", "b"), ("y",))],
            ["x"],
            ["y"],
        ),
        **options,
    )


def _tensor(model: Any, tensor: T, shared: int | None) -> Any:
    made = schema.TensorT()
    made.name, made.shape, made.type = (
        tensor.name,
        list(tensor.shape),
        getattr(schema.TensorType, tensor.dtype),
    )
    made.buffer = shared or (0 if tensor.data is None else _buffer(model, tensor.data))
    made.sparsity = tensor.sparsity
    if tensor.scale is not None:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [tensor.scale], [tensor.zero_point]
    return made


def _buffer(model: Any, data: np.ndarray) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _operator(model: Any, codes: dict[str, int], node: N, index: Mapping[str, int]) -> Any:
    if node.kind not in codes:
        codes[node.kind] = len(codes)
        model.operatorCodes.append(_code(node.kind))
    made = schema.OperatorT()
    made.opcodeIndex = codes[node.kind]
    made.inputs = [-1 if name is None else index[name] for name in node.inputs]
    made.outputs = [index[name] for name in node.outputs]
    if node.kind in _OPTION_TABLES:
        table = _OPTION_TABLES[node.kind]
        made.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        made.builtinOptions = getattr(schema, f"{table}T")()
        for name, value in node.options.items():
            setattr(made.builtinOptions, name, value)
    return made


def _code(kind: str) -> Any:
    made = schema.OperatorCodeT()
    builtin, _, custom = kind.partition(":")
    made.builtinCode = getattr(schema.BuiltinOperator, builtin)
    made.deprecatedBuiltinCode = min(made.builtinCode, 127)
    made.version = 1
    if custom:
        made.customCode = custom
    return made


def _signature(position: int, graph: G, index: Mapping[str, int]) -> Any:
    def tensor_map(names: Sequence[str]) -> list[Any]:
        found = []
        for public, tensor in graph.signature.items():
            if tensor in names:
                item = schema.TensorMapT()
                item.name, item.tensorIndex = public, index[tensor]
                found.append(item)
        return found

    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = f"serving_{position}", position
    made.inputs, made.outputs = tensor_map(graph.inputs), tensor_map(graph.outputs)
    return made
