"""A MIL program (Core ML's ML Program) as plain data, read from its protocol buffer and weight file.

Field numbers are those of the public ``MIL.proto``; the weight file is the blob storage that Core ML
documents beside it: 64 bytes of header, then for each blob 64 bytes of metadata and its data.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from mobiledeploy.runtimes.coreml_wire import Message

if TYPE_CHECKING:
    import numpy as np

DTYPES = {
    1: "bool",
    2: "string",
    10: "float16",
    11: "float32",
    12: "float64",
    13: "bfloat16",
    21: "int8",
    22: "int16",
    23: "int32",
    24: "int64",
    25: "int4",
    31: "uint8",
    32: "uint16",
    33: "uint32",
    34: "uint64",
    35: "uint4",
    36: "uint2",
    37: "uint1",
    38: "uint6",
    39: "uint3",
    40: "float8e4m3fn",
    41: "float8e5m2",
}
# Elements of these are packed, least significant bit first.
PACKED_BITS = {"int4": 4, "uint4": 4, "uint6": 6, "uint3": 3, "uint2": 2, "uint1": 1}

_BLOB_METADATA = struct.Struct("<IIQQ")
_BLOB_SENTINEL = 0xDEADBEEF

# Bytes of a weight file, by the name that the program gives it.
WeightFile = Callable[[str], memoryview]


@dataclass(frozen=True, slots=True)
class Type:
    """Type of a value.

    Attributes:
        dtype: NumPy name of the elements (``int4`` and the like where NumPy has none), or ``list``,
            ``tuple``, ``dictionary`` for what is no tensor.
        shape: sizes, -1 where the program leaves one open.
    """

    dtype: str
    shape: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A value written in the file.

    Attributes:
        type: its type.
        stored: elements as stored, flat; bytes for packed and 8-bit float types.
        texts: elements of a string tensor or list.
        in_weights: whether it lies in the weight file.
    """

    type: Type
    stored: np.ndarray
    texts: tuple[str, ...] = ()
    in_weights: bool = False

    @property
    def array(self) -> np.ndarray:
        """The elements in the type's shape, packed types unpacked to one element per byte."""
        bits = PACKED_BITS.get(self.type.dtype)
        values = self.stored if bits is None else unpack(self.stored, bits, self.type.size)
        if self.type.dtype == "int4":
            values = (values.astype("int8") ^ 8) - 8
        return values.reshape(self.type.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation.

    Attributes:
        kind: MIL's name of the operation (``conv``).
        inputs: by parameter name, what is bound: names of values, or constants.
        outputs: (name, type) of what it makes.
        attributes: constants that are no inputs (``val`` of a ``const``).
        blocks: nested programs (branches and loops).
    """

    kind: str
    inputs: Mapping[str, tuple[str | Constant, ...]]
    outputs: tuple[tuple[str, Type], ...]
    attributes: Mapping[str, Constant]
    blocks: tuple[Block, ...] = ()

    @property
    def name(self) -> str:
        """Name of its first output."""
        return self.outputs[0][0] if self.outputs else self.kind


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Operations in order, and the names of the values they return."""

    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """The function that runs by default.

    Attributes:
        inputs: (name, type) in order.
        block: what it does.
        opset: for example ``CoreML5``.
    """

    inputs: tuple[tuple[str, Type], ...]
    block: Block
    opset: str
    types: Mapping[str, Type] = field(repr=False)
    constants: Mapping[str, Constant] = field(repr=False)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation but constants, those of nested blocks behind the one that holds them."""
        return tuple(op for op in walk(self.block) if op.kind != "const")


def walk(block: Block) -> Iterator[Operation]:
    """All operations of a block, nested ones too."""
    for op in block.operations:
        yield op
        for inner in op.blocks:
            yield from walk(inner)


def read_program(message: Message, weights: WeightFile, function: str = "main") -> Program:
    """Read one function of a program.

    Args:
        message: the ``Program`` message.
        weights: gives the bytes of a weight file by name.
        function: name of the function.

    Raises:
        ValueError: the bytes are no program, or the weight file does not hold what it refers to.
    """
    functions = message.map(2)
    if function not in functions:
        raise ValueError(f"it has no function {function}")
    main = functions[function]
    blocks = main.map(3)
    opset = main.text(2)
    if opset not in blocks:
        raise ValueError(f"it has no block for its opset {opset!r}")
    block = _block(blocks[opset], weights)
    inputs = _named_types(main, 1)
    types = dict(inputs)
    constants = {}
    for op in walk(block):
        types.update(op.outputs)
        if op.kind == "const" and "val" in op.attributes:
            constants[op.name] = op.attributes["val"]
    missing = [name for name in block.outputs if name not in types]
    if missing:
        raise ValueError(f"nothing makes its output {missing[0]}")
    return Program(inputs, block, opset, types, constants)


def unpack(stored: np.ndarray, bits: int, count: int) -> np.ndarray:
    """``count`` unsigned elements of ``bits`` bits each, packed from the least significant bit on."""
    import numpy as np

    flags = np.unpackbits(stored.view(np.uint8), bitorder="little", count=bits * count)
    padded = np.zeros((count, 8), np.uint8)
    padded[:, :bits] = flags.reshape(count, bits)
    return np.packbits(padded, axis=1, bitorder="little").reshape(count)


def _block(message: Message, weights: WeightFile) -> Block:
    return Block(tuple(_operation(item, weights) for item in message.messages(3)), message.texts(2))


def _operation(message: Message, weights: WeightFile) -> Operation:
    return Operation(
        kind=message.text(1),
        inputs={
            name: tuple(_binding(item, weights) for item in argument.messages(1))
            for name, argument in message.map(2).items()
        },
        outputs=_named_types(message, 3),
        attributes={name: _constant(value, weights) for name, value in message.map(5).items()},
        blocks=tuple(_block(item, weights) for item in message.messages(4)),
    )


def _binding(message: Message, weights: WeightFile) -> str | Constant:
    return _constant(message.message(2), weights) if 2 in message else message.text(1)


def _named_types(message: Message, number: int) -> tuple[tuple[str, Type], ...]:
    return tuple((item.text(1), _type(item.message(2))) for item in message.messages(number))


def _type(message: Message) -> Type:
    if 1 in message:
        tensor = message.message(1)
        sizes = tuple(_size(item) for item in tensor.messages(3))
        return Type(DTYPES.get(tensor.number(1), "unknown"), sizes)
    if 5 in message:
        return _type(message.message(5).message(1))
    return Type({2: "list", 3: "tuple", 4: "dictionary"}.get(next(iter(message.numbers()), 0), "unknown"))


def _size(message: Message) -> int:
    return message.message(1).number(1) if 1 in message else -1


def _constant(message: Message, weights: WeightFile) -> Constant:
    import numpy as np

    kind = _type(message.message(2))
    if 5 in message:
        blob = message.message(5)
        stored = _blob(weights(blob.text(1)), blob.number(2))
        return Constant(kind, _elements(stored, kind), in_weights=True)
    value = message.message(3)
    if 3 in value:
        items = [_constant(item, weights) for item in value.message(3).messages(1)]
        texts = tuple(text for item in items for text in item.texts)
        parts = [item.stored for item in items if not item.texts]
        return Constant(kind, np.concatenate(parts) if parts else np.zeros(0), texts)
    tensor = value.message(1)
    if 4 in tensor:
        return Constant(kind, np.zeros(0), tensor.message(4).texts(1))
    return Constant(kind, _elements(_immediate(tensor, kind), kind))


def _immediate(tensor: Message, kind: Type) -> np.ndarray:
    import numpy as np

    for number, dtype in ((1, "<f4"), (6, "<f8")):
        if number in tensor:
            return tensor.message(number).array(1, dtype)
    for number in (2, 3, 5):
        if number in tensor:
            return np.array(tensor.message(number).numbers_in(1), np.int64)
    if 7 in tensor or kind.size == 0:
        return np.frombuffer(tensor.message(7).raw(1), np.uint8)
    # Protocol buffers leave out what is empty or zero.
    return np.zeros(kind.size, np.int64)


def _elements(values: np.ndarray, kind: Type) -> np.ndarray:
    """Values as elements of ``kind``; raw bytes are taken as they are."""
    import numpy as np

    if kind.dtype in PACKED_BITS:
        expected = -(-kind.size * PACKED_BITS[kind.dtype] // 8)
        elements = values
    elif kind.dtype.startswith("float8") or kind.dtype == "bfloat16":
        expected = kind.size * (2 if kind.dtype == "bfloat16" else 1)
        elements = values
    else:
        expected = kind.size
        elements = values.view(kind.dtype) if values.dtype == np.uint8 else values.astype(kind.dtype)
    if elements.size != expected:
        raise ValueError(f"a constant of shape {list(kind.shape)} has {elements.size} elements")
    return elements


def _blob(data: memoryview, offset: int) -> np.ndarray:
    import numpy as np

    if not 0 <= offset <= len(data) - 64:
        raise ValueError("its weight file is too short")
    sentinel, _, size, start = _BLOB_METADATA.unpack_from(data, offset)
    if sentinel != _BLOB_SENTINEL:
        raise ValueError(f"its weight file has no entry at byte {offset}")
    if start + size > len(data):
        raise ValueError("its weight file is too short")
    return np.frombuffer(data, np.uint8, size, start)
