"""What a model file really holds, read from its own bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.contract import Contract, Target, TensorSpec

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


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a file.

    Attributes:
        kind: the format's own name (``CONV_2D``, ``Conv``, ``conv``).
        inputs: dtypes of the activations it reads (constants left out).
        outputs: dtypes of what it writes.
        weights: dtype of its largest constant operand, empty if it has none.
        mult_adds: multiply-accumulates for one inference; 0 for ops that have none.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: str = ""
    mult_adds: int = 0

    @property
    def is_float(self) -> bool:
        """Whether it reads or writes a float activation."""
        return any(dtype not in INTEGER_DTYPES for dtype in self.inputs + self.outputs)


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
        arithmetic: ``full-integer``, ``float32``, ``float16``, ``dynamic-range`` or
            ``mixed: n of m ops float``.
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
        arithmetic=_arithmetic(contents.ops),
        mult_adds=sum(op.mult_adds for op in contents.ops),
        parameters=contents.parameters,
        weight_bytes=contents.weight_bytes,
    )


def _by_count(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _arithmetic(ops: Iterable[Op]) -> str:
    ops = tuple(ops)
    floats = [op for op in ops if op.is_float]
    if not floats:
        return "full-integer" if ops else "empty"
    if len(floats) < len(ops):
        return f"mixed: {len(floats)} of {len(ops)} ops float"
    weights = {op.weights for op in ops if op.mult_adds and op.weights}
    if weights and weights <= INTEGER_DTYPES:
        return "dynamic-range"
    halves = "float16" in {dtype for op in ops for dtype in (op.weights, *op.inputs, *op.outputs)}
    return "float16" if halves else "float32"
