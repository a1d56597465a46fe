"""A TFLite graph in memory: tensors and operators, before they become a flatbuffer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Quantization:
    """How stored integers stand for reals: ``real = scale * (stored - zero_point)``.

    Attributes:
        dtype: of the stored integers.
        scales: one, or one per entry of an axis.
        zero_point: the same for all entries.
        axis: physical axis of the scales; None for a single scale.
    """

    dtype: str
    scales: tuple[float, ...]
    zero_point: int = 0
    axis: int | None = None


@dataclass(eq=False, slots=True)
class Tensor:
    """A tensor of the file, in the file's own axis order.

    Attributes:
        data: values of a constant; reals, where a quantization says how they will be stored.
        quantization: how the tensor is, or will be, stored as integers; None for a plain tensor.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: np.ndarray | None = None
    quantization: Quantization | None = None


@dataclass(eq=False, slots=True)
class Operator:
    """One operation.

    Attributes:
        kind: name in TFLite's ``BuiltinOperator`` (``CONV_2D``).
        inputs: in TFLite's order; None for an optional one that is absent.
        outputs: what it writes.
        options: fields of its options table that differ from their defaults.
        module: PyTorch module path it came from.
    """

    kind: str
    inputs: list[Tensor | None]
    outputs: list[Tensor]
    options: dict[str, Any]
    module: str = ""


@dataclass(slots=True)
class Graph:
    """Operators in execution order.

    Attributes:
        results: of whole PyTorch operations, not steps inside one: without a quantization they are reals.
    """

    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    results: set[Tensor] = field(default_factory=set)

    def producers(self) -> dict[Tensor, Operator]:
        """The operator that writes each tensor."""
        return {tensor: op for op in self.operators for tensor in op.outputs}

    def consumers(self) -> dict[Tensor, list[Operator]]:
        """The operators that read each tensor; a graph output is read by nobody listed here."""
        readers: dict[Tensor, list[Operator]] = {}
        for op in self.operators:
            for tensor in op.inputs:
                if tensor is not None:
                    readers.setdefault(tensor, []).append(op)
        return readers
