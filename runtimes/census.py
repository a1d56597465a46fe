"""What a model file really holds, read from its own bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.contract import Contract, Target, TensorSpec

UNKNOWN = "unknown"
"""Dtype of a tensor whose type a file does not tell."""

# Element types that count as integer arithmetic when an op computes in them.
INTEGER_DTYPES = frozenset(
    {
        "bool",
        "int2",
        "int4",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint4",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
    }
)


# What codes of quantized tensors are stored in.
_CODES = frozenset({"int4", "uint4", "int8", "uint8", "int16", "uint16"})
_CONVERSIONS = frozenset(
    {"QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear", "quantize", "dequantize"}
)
# It finds scales at run time, for integer products behind it.
_DYNAMIC = "DynamicQuantizeLinear"


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a file.

    Attributes:
        kind: the format's own name (``CONV_2D``, ``Conv``, ``conv``).
        inputs: dtypes of the activations it reads (constants left out).
        outputs: dtypes of what it writes.
        weights: dtype of its largest constant operand as stored, empty if it has none.
        mult_adds: multiply-accumulates for one inference; 0 for ops that have none.
        read_as: dtype in which it reads its weights where they are expanded before, else empty.
        name: of its first output, or its own.
        layer: kind of a layer that multiplies, in the words of ``layer_cost``; empty for other ops.
        parameters: constant elements that it is the first to read as weights, biases included.
        biases: how many of them are its bias.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: str = ""
    mult_adds: int = 0
    read_as: str = ""
    name: str = ""
    layer: str = ""
    parameters: int = 0
    biases: int = 0

    @property
    def is_float(self) -> bool:
        """Whether it reads or writes a float activation."""
        return self.reads_reals or any(_is_real(dtype) for dtype in self.outputs)

    @property
    def reads_reals(self) -> bool:
        """Whether it reads a float activation."""
        return any(_is_real(dtype) for dtype in self.inputs)

    @property
    def is_conversion(self) -> bool:
        """Whether it does nothing but turn codes into reals, or reals into codes."""
        return self.kind in _CONVERSIONS and self.is_float


@dataclass(frozen=True, slots=True)
class FileContents:
    """What a reader of one format returns.

    Attributes:
        inputs, outputs: the file's own tensors (not the contract's word for them).
        ops: every operation, in file order.
        parameters: number of constant elements that ops read as weights.
        weight_bytes: their size as stored.
        contract: the contract found inside, None if the file carries none.
        labels: labels found inside in the format's standard place, empty if none.
        producer: what the file says made it, empty if it does not say.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: tuple[Op, ...]
    parameters: int
    weight_bytes: int
    contract: Contract | None = None
    labels: tuple[str, ...] = ()
    producer: str = ""


@dataclass(frozen=True, slots=True)
class Census:
    """Totals over the operations of a file.

    Attributes:
        ops: (kind, count), most frequent first.
        dtypes: (dtypes of an op, count), for example ``("int8", 28)``.
        arithmetic: see ``arithmetic``.
        mult_adds: multiply-accumulates of one inference.
        parameters: constant elements that ops read as weights.
        weight_bytes: their size as stored.
    """

    ops: tuple[tuple[str, int], ...]
    dtypes: tuple[tuple[str, int], ...]
    arithmetic: str
    mult_adds: int
    parameters: int
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model file and what was read back from it.

    Attributes:
        path: the file (a folder for Core ML).
        target: its format.
        sha256: of the file's bytes (for a folder: of its sorted relative names and bytes).
        size: bytes.
        contents: tensors, operations and contract.
    """

    path: Path
    target: Target
    sha256: str
    size: int
    contents: FileContents

    @property
    def contract(self) -> Contract | None:
        """The contract that the file carries, None if it carries none."""
        return self.contents.contract

    @property
    def census(self) -> Census:
        """Totals over the file's operations."""
        return take_census(self.contents)


def take_census(contents: FileContents) -> Census:
    """Count what a reader found."""
    kinds = Counter(op.kind for op in contents.ops)
    dtypes = Counter("/".join(dict.fromkeys(op.inputs + op.outputs)) for op in contents.ops)
    return Census(
        ops=_by_count(kinds),
        dtypes=_by_count(dtypes),
        arithmetic=arithmetic(contents),
        mult_adds=sum(op.mult_adds for op in contents.ops),
        parameters=contents.parameters,
        weight_bytes=contents.weight_bytes,
    )


def _by_count(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def arithmetic(contents: FileContents) -> str:
    """What a file computes in, in one phrase.

    ``full-integer``
        Integers from input to output, 8 bits wide.
    ``int8 with float32 input and output``
        Integers between conversions at the borders; ``input`` or ``output`` alone for one border.
    ``int8 with float32 last layer``
        The last layer, of integer weights, writes reals: it reads integers, or in TFLite quantizes
        its input again as it runs.  With a float input: ``int8 with float32 input and last layer``.
    ``int16x8``
        In place of ``full-integer`` and ``int8``: 16-bit activations, 8-bit weights.
    ``dynamic-range``
        Real activations; integer kernels quantize them as they run, for layers of integer weights.
    ``weights-only``
        Stored integers are expanded to reals before a layer of reals reads them.
    ``float32``, ``float16``
        Reals; ``float16`` if weights or activations are.
    ``mixed: n of m ops float``
        Some of both.  Conversions between codes and reals are not counted.
    ``empty``
        No operation.

    Conversions, and ops on shapes and indices, are no arithmetic of their own.
    """
    ops = [op for op in contents.ops if not op.is_conversion and _computes(op)]
    floats = [op for op in ops if op.is_float]
    integers = len(ops) - len(floats)
    if not contents.ops:
        return "empty"
    if not floats and not integers:
        return _of_reals(contents.ops) if any(op.is_float for op in contents.ops) else "full-integer"
    if any(op.kind == _DYNAMIC for op in ops) and not any(_is_float_layer(op) for op in ops):
        return "dynamic-range"
    if not integers:
        return _of_reals(floats)
    if not floats:
        return _of_integers(ops, contents, ["output"] if _has_reals(contents.outputs) else [])
    if _is_last_layer(ops[integers:]):
        return _of_integers(ops, contents, ["last layer"])
    return f"mixed: {len(floats)} of {len(ops)} ops float"


def _of_integers(ops: Iterable[Op], contents: FileContents, ends: list[str]) -> str:
    layers = [op for op in ops if op.mult_adds] or list(ops)
    wide = {dtype for op in layers for dtype in op.inputs} & {"int16", "uint16"}
    word = "int16x8" if wide else "int8"
    reals = ["input", *ends] if _has_reals(contents.inputs) else ends
    if not reals:
        return word if wide else "full-integer"
    return f"{word} with float32 {' and '.join(reals)}"


def _of_reals(ops: Iterable[Op]) -> str:
    ops = tuple(ops)
    quantized = [op for op in ops if op.weights in _CODES]
    if any(not op.read_as for op in quantized):
        return "dynamic-range"
    if quantized:
        return "weights-only"
    halves = "float16" in {dtype for op in ops for dtype in (op.weights, *op.inputs, *op.outputs)}
    return "float16" if halves else "float32"


def _is_last_layer(tail: Sequence[Op]) -> bool:
    """Whether what follows the integer ops is one layer of integer weights and its activations."""
    first, *others = tail
    return (
        all(op.is_float for op in tail)
        and bool(first.mult_adds)
        and first.weights in _CODES
        and not any(op.mult_adds for op in others)
    )


def _computes(op: Op) -> bool:
    """Whether it writes reals or codes, no shapes, indices or labels alone."""
    return (op.is_float and bool(op.outputs)) or any(dtype in _CODES for dtype in op.inputs + op.outputs)


def _is_float_layer(op: Op) -> bool:
    return bool(op.mult_adds) and op.is_float


def _has_reals(specs: Iterable[TensorSpec]) -> bool:
    return any(_is_real(spec.dtype) for spec in specs)


def _is_real(dtype: str) -> bool:
    return dtype not in INTEGER_DTYPES
