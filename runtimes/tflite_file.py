"""Read what a TFLite file holds, from its bytes alone: no TFLite package is needed.

Any ``.tflite`` is read: float, quantized, dynamic-range and float16 weights, sparse weights, several
subgraphs, control flow, custom operators.  Field numbers are those of the public ``schema.fbs``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Literal

from mobiledeploy.contract import TensorSpec
from mobiledeploy.errors import InputError
from mobiledeploy.layer_cost import FULLY_CONNECTED, MATRIX_PRODUCT, convolution_kind
from mobiledeploy.runtimes.census import FileContents, Op
from mobiledeploy.runtimes.tflite_flatbuffer import Buffer, FlatbufferError, Table
from mobiledeploy.runtimes.tflite_metadata import read_metadata, stored_buffers
from mobiledeploy.runtimes.tflite_ops import DTYPES, OPERATORS

IDENTIFIER = b"TFL3"
# Operators that restore a stored constant: it stays a weight, and they are no arithmetic.
_UNPACKERS = frozenset({"DEQUANTIZE", "DENSIFY"})
# Slots of an operator's options that name the subgraphs it runs.
_CALLS = {
    "CALL": (0,),
    "CALL_ONCE": (0,),
    "IF": (0, 1),
    "WHILE": (0, 1),
    "STABLEHLO_COMPOSITE": (1,),
    "STABLEHLO_WHILE": (0, 1),
}
_ITEM_SIZES = {
    "float32": 4, "float16": 2, "bfloat16": 2, "float64": 8, "int8": 1, "uint8": 1, "bool": 1,
    "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8,
}  # fmt: skip
# Operator -> place of its bias.
_BIASES = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
# Without a scale these hold shapes, axes, paddings or indices, not weights.
_ARGUMENT_DTYPES = frozenset({"int32", "int64", "uint32", "uint64", "bool", "string"})


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as the file describes it; ``stored`` are the bytes of a constant, none for an activation."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    buffer: int
    stored: memoryview

    @property
    def size(self) -> int:
        return prod(self.shape) if all(side > 0 for side in self.shape) else 0

    @property
    def is_constant(self) -> bool:
        # A constant without elements (the shape of a scalar, say) has no bytes.
        return bool(self.stored) or 0 in self.shape

    @property
    def is_weight(self) -> bool:
        return bool(self.stored) and (bool(self.scales) or self.dtype not in _ARGUMENT_DTYPES)


@dataclass(frozen=True, slots=True)
class Node:
    """An operator; tensors by their index, -1 for one that is left out."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None

    @property
    def calls(self) -> tuple[int, ...]:
        return tuple(self.options.integer(slot) for slot in _CALLS.get(self.kind, ())) if self.options else ()


@dataclass(frozen=True, slots=True)
class Subgraph:
    """Tensors, and operators in the order of execution."""

    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    nodes: tuple[Node, ...]


def read(path: Path) -> FileContents:
    """Read a TFLite file.

    Inputs and outputs are those of the first subgraph, under the names of its signature if it has
    one, else of its tensors; image-like ones (4-D, 1, 3 or 4 channels last) are ``NHWC``.  Operators
    of all subgraphs are listed; those of subgraphs that an inference of the first does not run have
    no mult-adds.  A loop's body and both branches of a condition count once.  A constant that goes
    through DEQUANTIZE or DENSIFY is a weight of the dtype in which it is stored.

    Raises:
        InputError: the file is missing, no TFLite file, or damaged.
    """
    return read_bytes(_bytes(path), where=str(path))


def read_bytes(data: bytes, *, where: str) -> FileContents:
    """Read the bytes of a TFLite file; see ``read``."""
    with _damage_as_input_error(data, where):
        model = Buffer(data).root(IDENTIFIER)
        contents = _contents(_subgraphs(model, data), *_signature_names(model))
    metadata = read_metadata(data, where=where)
    return replace(contents, contract=metadata.contract, labels=metadata.labels, producer=metadata.producer)


def read_graph(path: Path) -> Subgraph:
    """The subgraph that an inference runs; see ``read`` for errors."""
    data = _bytes(path)
    with _damage_as_input_error(data, str(path)):
        return _subgraphs(Buffer(data).root(IDENTIFIER), data)[0]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error


@contextmanager
def _damage_as_input_error(data: bytes, where: str) -> Iterator[None]:
    if data[4:8] != IDENTIFIER:
        raise InputError(
            "not a TFLite file (it has no TFL3 identifier)",
            where=where,
            hint="Give the path of a .tflite file",
        )
    try:
        yield
    except FlatbufferError as error:
        raise InputError(
            f"damaged TFLite file: {error}", where=where, hint="Convert or download it again"
        ) from error


def _contents(
    subgraphs: tuple[Subgraph, ...], input_names: dict[int, str], output_names: dict[int, str]
) -> FileContents:
    first = subgraphs[0]
    run = _reachable(subgraphs)
    ops: list[Op] = []
    weights: dict[int, Tensor] = {}
    for index, subgraph in enumerate(subgraphs):
        for op, read_weights, bias in _operations(subgraph):
            fresh = {item.buffer: item for item in read_weights if item.buffer not in weights}
            op = replace(
                op,
                parameters=sum(weight.size for weight in fresh.values()),
                biases=bias.size if bias is not None and bias.buffer in fresh else 0,
            )
            ops.append(op if index in run else replace(op, mult_adds=0, layer=""))
            weights.update(fresh)
    return FileContents(
        inputs=tuple(_spec(first.tensors[index], input_names.get(index)) for index in first.inputs),
        outputs=tuple(_spec(first.tensors[index], output_names.get(index)) for index in first.outputs),
        ops=tuple(ops),
        parameters=sum(weight.size for weight in weights.values()),
        weight_bytes=sum(len(weight.stored) for weight in weights.values()),
    )


def _operations(subgraph: Subgraph) -> Iterator[tuple[Op, list[Tensor], Tensor | None]]:
    """Every operator with the weights that it reads, and which of them is its bias.

    Unpackers of constants are folded into their readers.
    """
    constants = {index: tensor for index, tensor in enumerate(subgraph.tensors) if tensor.is_constant}
    for node in subgraph.nodes:
        if node.kind in _UNPACKERS and node.inputs and node.inputs[0] in constants and node.outputs:
            constants[node.outputs[0]] = constants[node.inputs[0]]
            continue
        present = [index for index in node.inputs if index >= 0]
        outputs = [subgraph.tensors[index] for index in node.outputs]
        weights = {i: constants[i] for i in present if i in constants and constants[i].is_weight}
        largest = max(weights, key=lambda index: weights[index].size, default=None)
        stored = "" if largest is None else weights[largest].dtype
        read_as = "" if largest is None else subgraph.tensors[largest].dtype
        op = Op(
            kind=node.kind,
            inputs=tuple(subgraph.tensors[index].dtype for index in present if index not in constants),
            outputs=tuple(tensor.dtype for tensor in outputs),
            weights=stored,
            mult_adds=_mult_adds(node, [subgraph.tensors[index] for index in present], outputs),
            read_as=read_as if read_as != stored else "",
            name=outputs[0].name if outputs else "",
            layer=_layer(node, subgraph),
        )
        place = _BIASES.get(node.kind, len(node.inputs))
        bias = weights.get(node.inputs[place]) if place < len(node.inputs) else None
        yield op, list(weights.values()), bias


def _layer(node: Node, subgraph: Subgraph) -> str:
    """What an operator is in the words of ``layer_cost``; empty if it multiplies nothing."""
    match node.kind, [subgraph.tensors[index].shape for index in node.inputs if index >= 0]:
        case "CONV_2D", [(*_, channels), (_, height, width, depth), *_]:
            return convolution_kind((height, width), channels // max(depth, 1), depth)
        case "DEPTHWISE_CONV_2D", [(*_, channels), (_, height, width, _), *_]:
            return convolution_kind((height, width), channels, 1)
        case "TRANSPOSE_CONV", [_, (_, height, width, depth), *_]:
            return convolution_kind((height, width), 1, depth, transposed=True)
        case "FULLY_CONNECTED", _:
            return FULLY_CONNECTED
        case "BATCH_MATMUL", _:
            return MATRIX_PRODUCT
    return ""


def _mult_adds(node: Node, inputs: list[Tensor], outputs: list[Tensor]) -> int:
    """Multiply-accumulates of one operator, padding included, 0 where a side is unknown."""
    if not outputs:
        return 0
    result = outputs[0].size
    match node.kind, [tensor.shape for tensor in inputs]:
        case "CONV_2D", [_, (_, height, width, channels), *_]:
            return result * height * width * channels
        case "DEPTHWISE_CONV_2D", [_, (_, height, width, _), *_]:
            return result * height * width
        case "TRANSPOSE_CONV", [_, (channels, height, width, _), _, *_]:
            return inputs[2].size * height * width * channels
        case "FULLY_CONNECTED", [_, (_, features), *_]:
            return result * features
        case "BATCH_MATMUL", [(*_, rows, columns), _]:
            adjoint = node.options is not None and node.options.integer(0, "<B")
            return result * (rows if adjoint else columns)
    return 0


def _reachable(subgraphs: tuple[Subgraph, ...]) -> set[int]:
    """The subgraphs that an inference of the first one runs."""
    found, waiting = set[int](), [0]
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting += [call for node in subgraphs[index].nodes for call in node.calls]
    return found


def _spec(tensor: Tensor, name: str | None) -> TensorSpec:
    layout: Literal["NHWC", ""] = "NHWC" if len(tensor.shape) == 4 and tensor.shape[3] in (1, 3, 4) else ""
    quantized = len(tensor.scales) == 1
    return TensorSpec(
        name=name or tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        layout=layout,
        scale=tensor.scales[0] if quantized else None,
        zero_point=(*tensor.zero_points, 0)[0] if quantized else None,
    )


def _subgraphs(model: Table, data: bytes) -> tuple[Subgraph, ...]:
    kinds = [_kind(code) for code in model.tables(1)]
    buffers = stored_buffers(model, data)
    subgraphs = tuple(_subgraph(table, kinds, buffers) for table in model.tables(2))
    if not subgraphs:
        raise FlatbufferError("it has no subgraph")
    calls = (call for subgraph in subgraphs for node in subgraph.nodes for call in node.calls)
    _check(calls, len(subgraphs), "an operator calls subgraph")
    return subgraphs


def _kind(code: Table) -> str:
    # Files from before 2020 fill the one-byte field only, new ones both where the number fits.
    number = max(code.integer(0, "<b"), code.integer(3))
    if not 0 <= number < len(OPERATORS):
        return f"BUILTIN_{number}"
    name = OPERATORS[number]
    return f"CUSTOM:{code.text(1)}" if name == "CUSTOM" else name


def _subgraph(table: Table, kinds: list[str], buffers: list[memoryview]) -> Subgraph:
    tensors = tuple(_tensor(item, buffers) for item in table.tables(0))
    inputs, outputs = table.integers(1), table.integers(2)
    _check(inputs, len(tensors), "an input names tensor")
    _check(outputs, len(tensors), "an output names tensor")
    nodes = tuple(_node(item, kinds, len(tensors)) for item in table.tables(3))
    return Subgraph(tensors, inputs, outputs, nodes)


def _node(table: Table, kinds: list[str], tensors: int) -> Node:
    opcode, inputs, outputs = table.integer(0, "<I"), table.integers(1), table.integers(2)
    _check((opcode,), len(kinds), "an operator has code")
    _check((index for index in inputs if index != -1), tensors, "an operator reads tensor")
    _check(outputs, tensors, "an operator writes tensor")
    options = table.table(4) or table.table(12)
    return Node(kinds[opcode], inputs, outputs, options)


def _tensor(table: Table, buffers: list[memoryview]) -> Tensor:
    buffer, number = table.integer(2, "<I"), table.integer(1, "<b")
    _check((buffer,), len(buffers), "a tensor has buffer")
    quantization = table.table(4)
    tensor = Tensor(
        name=table.text(3),
        shape=table.integers(0),
        dtype=DTYPES[number] if 0 <= number < len(DTYPES) else f"type{number}",
        scales=quantization.numbers(2, "f") if quantization else (),
        zero_points=quantization.integers(3, "q") if quantization else (),
        buffer=buffer,
        stored=buffers[buffer],
    )
    item_size = _ITEM_SIZES.get(tensor.dtype)
    is_sparse = table.table(6) is not None
    if tensor.stored and item_size and not is_sparse and len(tensor.stored) != tensor.size * item_size:
        shape = "x".join(map(str, tensor.shape))
        raise FlatbufferError(
            f"constant {tensor.name!r} ({tensor.dtype} {shape}) has {len(tensor.stored)} bytes"
        )
    return tensor


def _signature_names(model: Table) -> tuple[dict[int, str], dict[int, str]]:
    """Names of the first subgraph's inputs and outputs by tensor, from its first signature."""
    for signature in model.tables(7):
        if signature.integer(4, "<I") == 0:
            return _tensor_names(signature, 0), _tensor_names(signature, 1)
    return {}, {}


def _tensor_names(signature: Table, slot: int) -> dict[int, str]:
    return {item.integer(1, "<I"): item.text(0) for item in signature.tables(slot)}


def _check(indices: Iterable[int], count: int, what: str) -> None:
    for index in indices:
        if not 0 <= index < count:
            raise FlatbufferError(f"{what} {index} of {count}")
