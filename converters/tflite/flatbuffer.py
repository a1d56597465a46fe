"""A graph as the bytes of a .tflite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mobiledeploy.converters.tflite.graph import Graph, Operator, Quantization, Tensor
from mobiledeploy.converters.tflite.versions import operator_version

if TYPE_CHECKING:
    import numpy as np

# Operators whose options table is not called after them.
_OPTIONS = {
    "ARG_MAX": "ArgMaxOptions",
    "ARG_MIN": "ArgMinOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "PADV2": "PadV2Options",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "SELECT_V2": "SelectV2Options",
    "SUM": "ReducerOptions",
    "TOPK_V2": "TopKV2Options",
}
_WITHOUT_OPTIONS = frozenset(
    {
        "CEIL",
        "ELU",
        "FLOOR",
        "LOG",
        "LOGISTIC",
        "PRELU",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "ROUND",
        "RSQRT",
        "SIN",
        "SQRT",
        "TANH",
    }
)
# A buffer's bytes start at a multiple of this, as the schema's force_align demands.
_ALIGNMENT = 16
# Flatbuffers address with signed 32 bits.
MAX_BYTES = 2**31 - 1


def serialise(graph: Graph, description: str, metadata: dict[str, bytes]) -> bytes:
    """The file's bytes; equal graphs give equal bytes.

    Args:
        description: the model's own description string.
        metadata: name -> bytes, stored as the model's metadata buffers.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    class AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
        def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
            self.StartVector(x.itemsize, x.size, _ALIGNMENT)
            self.head -= x.nbytes
            self.Bytes[self.head : self.head + x.nbytes] = x.tobytes()
            self.vectorNumElems = x.size
            return int(self.EndVector())

    buffers = _Buffers(schema)
    tensors = _tensors_in_order(graph)
    index = {tensor: place for place, tensor in enumerate(tensors)}
    codes: dict[tuple[str, int], int] = {}
    subgraph = schema.SubGraphT()
    subgraph.name = "main"
    subgraph.tensors = [_tensor(schema, tensor, buffers) for tensor in tensors]
    subgraph.inputs = [index[tensor] for tensor in graph.inputs]
    subgraph.outputs = [index[tensor] for tensor in graph.outputs]
    subgraph.operators = [_operator(schema, op, index, codes) for op in graph.operators]
    model = schema.ModelT()
    model.version = 3
    model.description = description
    model.operatorCodes = [_code(schema, kind, version) for kind, version in codes]
    model.subgraphs = [subgraph]
    model.signatureDefs = [_signature(schema, graph, index)]
    model.metadata = [_metadata(schema, name, buffers.add(data)) for name, data in metadata.items()]
    model.buffers = buffers.packed
    builder = AlignedBuilder(buffers.total + 1024 * (len(tensors) + len(graph.operators) + 8))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def size_of_constants(graph: Graph) -> int:
    """Bytes of all constants."""
    return sum(tensor.data.nbytes for tensor in _tensors_in_order(graph) if tensor.data is not None)


class _Buffers:
    """The model's buffers; equal constants share one. Buffer 0 is empty by convention."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self.packed = [schema.BufferT()]
        self.total = 0
        self._known: dict[bytes, int] = {}

    def add(self, data: bytes) -> int:
        import hashlib

        import numpy as np

        key = hashlib.sha256(data).digest()
        if key not in self._known:
            buffer = self._schema.BufferT()
            buffer.data = np.frombuffer(data, dtype=np.uint8)
            self._known[key] = len(self.packed)
            self.packed.append(buffer)
            self.total += len(data) + _ALIGNMENT
        return self._known[key]


def _tensors_in_order(graph: Graph) -> list[Tensor]:
    """Inputs first, then as operators mention them."""
    seen: dict[Tensor, None] = dict.fromkeys(graph.inputs)
    for op in graph.operators:
        seen.update(dict.fromkeys(tensor for tensor in op.inputs if tensor is not None))
        seen.update(dict.fromkeys(op.outputs))
    return list(seen)


def _tensor(schema: Any, tensor: Tensor, buffers: _Buffers) -> Any:
    packed = schema.TensorT()
    packed.name = tensor.name
    packed.shape = list(tensor.shape)
    packed.hasRank = True
    packed.type = getattr(schema.TensorType, tensor.dtype.upper())
    if tensor.quantization is not None:
        packed.quantization = _quantization(schema, tensor.quantization)
    packed.buffer = 0 if tensor.data is None else buffers.add(tensor.data.tobytes())
    return packed


def _quantization(schema: Any, quantization: Quantization) -> Any:
    packed = schema.QuantizationParametersT()
    packed.scale = list(quantization.scales)
    packed.zeroPoint = [quantization.zero_point] * len(quantization.scales)
    packed.quantizedDimension = quantization.axis or 0
    return packed


def _operator(schema: Any, op: Operator, index: dict[Tensor, int], codes: dict[tuple[str, int], int]) -> Any:
    packed = schema.OperatorT()
    packed.opcodeIndex = codes.setdefault((op.kind, operator_version(op)), len(codes))
    packed.inputs = [-1 if tensor is None else index[tensor] for tensor in op.inputs]
    packed.outputs = [index[tensor] for tensor in op.outputs]
    if op.kind not in _WITHOUT_OPTIONS:
        name = _OPTIONS.get(op.kind) or _camel(op.kind) + "Options"
        options = getattr(schema, f"{name}T")()
        for field, value in op.options.items():
            setattr(options, field, value)
        if op.kind == "CAST":
            options.inDataType = _type_of(schema, op.inputs[0])
            options.outDataType = _type_of(schema, op.outputs[0])
        packed.builtinOptionsType, packed.builtinOptions = _options_type(schema, name), options
        if packed.builtinOptionsType is None:
            packed.builtinOptionsType, packed.builtinOptions = 0, None
            packed.builtinOptions2Type = getattr(schema.BuiltinOptions2, name)
            packed.builtinOptions2 = options
    return packed


def _options_type(schema: Any, name: str) -> int | None:
    found: int | None = getattr(schema.BuiltinOptions, name, None)
    return found


def _type_of(schema: Any, tensor: Tensor | None) -> int:
    return int(getattr(schema.TensorType, tensor.dtype.upper())) if tensor is not None else 0


def _camel(kind: str) -> str:
    return "".join(word.capitalize() for word in kind.split("_"))


def _code(schema: Any, kind: str, version: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    # Readers older than the 32-bit code look at the 8-bit one; 127 sends newer ones on.
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = version
    return code


def _signature(schema: Any, graph: Graph, index: dict[Tensor, int]) -> Any:
    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.inputs = [_mapped(schema, tensor, index) for tensor in graph.inputs]
    signature.outputs = [_mapped(schema, tensor, index) for tensor in graph.outputs]
    return signature


def _mapped(schema: Any, tensor: Tensor, index: dict[Tensor, int]) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = tensor.name, index[tensor]
    return entry


def _metadata(schema: Any, name: str, buffer: int) -> Any:
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, buffer
    return entry
