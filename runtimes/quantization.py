"""Scales, zero points and codes of a quantized file, so that files of any format can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import find_format, needs

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Quantization:
    """How an activation is stored: real = scale * (code - zero_point).

    Attributes:
        dtype: of the codes.
        scale: float32 as the file has it.
        zero_point: a code.
    """

    dtype: str
    scale: float
    zero_point: int

    @property
    def signed(self) -> Quantization:
        """The same reals in signed codes: uint8 with zero point 0 is int8 with zero point -128."""
        bits = self.dtype.removeprefix("uint")
        if bits == self.dtype:
            return self
        return Quantization(f"int{bits}", self.scale, self.zero_point - (1 << (int(bits) - 1)))


@dataclass(frozen=True, slots=True)
class QuantizedWeights:
    """Weights of one layer, the same for every format that stores the same.

    Attributes:
        dtype: of the codes.
        shape: output channels first, then input channels (of one group), height, width.
        sha256: of the codes in that order.
        scales: float32, one for each output channel, or one for all.
        zero_points: as many as scales.
        bias: reals; int32 codes times input scale times weight scale, where the file has those.
    """

    dtype: str
    shape: tuple[int, ...]
    sha256: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    bias: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class QuantizedOp:
    """An operation with everything up to the next quantized tensor: a convolution with its activation.

    Attributes:
        kind: the format's own name.
        inputs: the quantized activations that it reads; a float one is left out.
        outputs: how its result is stored, empty if it stays float.
        weights: of a layer; None for other operations, and for weights that are no codes.
    """

    kind: str
    inputs: tuple[Quantization, ...]
    outputs: tuple[Quantization, ...]
    weights: QuantizedWeights | None = None


class _Reader(Protocol):
    def read_quantized_ops(self, path: Path) -> tuple[QuantizedOp, ...]: ...


def read_quantization(path: str | Path) -> tuple[QuantizedOp, ...]:
    """Every operation of a file that reads or writes quantized tensors, or has quantized weights.

    In the order of execution.  The list is the same for the same program in any format, but for
    names, dtypes (see ``Quantization.signed``) and the scales of a sum in Core ML, which are
    multiples of its second input's.  Left out: conversions between reals and codes at the borders,
    and operations that hand on one tensor in the quantization it came in (padding, reshaping).

    Args:
        path: a ``.tflite``, ``.onnx`` (with QuantizeLinear and DequantizeLinear) or Core ML file.

    Raises:
        InputError: missing, damaged, or of no known format.
        UnsupportedError: an ONNX file of QLinear operators, or an older Core ML neural network.
        EnvironmentProblem: the package that reads it is not installed.
    """
    path = Path(path)
    item = find_format(path)
    with needs(item.target):
        reader = cast(_Reader, import_module(f"mobiledeploy.runtimes.{item.target}_quantization"))
        try:
            return reader.read_quantized_ops(path)
        # An operation without its inputs, codes that do not fit their shape, and the like.
        except (LookupError, ValueError, TypeError, OverflowError) as error:
            raise InputError(
                f"its quantization cannot be read ({error})",
                where=str(path),
                hint="The file is damaged: convert or download it again",
            ) from error


def quantized_weights(
    codes: np.ndarray, scales: np.ndarray, zero_points: np.ndarray, bias: np.ndarray | None
) -> QuantizedWeights:
    """Weights as they are listed.

    Args:
        codes: output channels first.
        scales, zero_points: one, or one for each output channel.
        bias: reals, None if there is none.
    """
    import numpy as np

    return QuantizedWeights(
        dtype=codes.dtype.name,
        shape=codes.shape,
        sha256=hashlib.sha256(np.ascontiguousarray(codes).tobytes()).hexdigest(),
        scales=tuple(scales.reshape(-1).tolist()),
        zero_points=tuple(zero_points.reshape(-1).tolist()),
        bias=() if bias is None else tuple(bias.reshape(-1).tolist()),
    )


@dataclass(slots=True)
class _Draft:
    kind: str
    inputs: list[Quantization]
    outputs: list[Quantization] = field(default_factory=list)
    weights: QuantizedWeights | None = None


class Listing:
    """Collects the operations of a program that is told step by step, in the order of execution."""

    def __init__(self) -> None:
        # Where a float tensor comes from: codes that were dequantized, or an operation on reals.
        self._codes: dict[str, Quantization] = {}
        self._made: dict[str, _Draft] = {}
        self._drafts: list[_Draft] = []

    def dequantize(self, name: str, quantization: Quantization) -> None:
        """The tensor ``name`` is made from codes."""
        self._codes[name] = quantization
        self._made.pop(name, None)

    def compute(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        weights: QuantizedWeights | None = None,
    ) -> None:
        """An operation on reals; without weights it belongs to the one whose result it reads."""
        codes = [self._codes[name] for name in inputs if name in self._codes]
        before = [self._made[name] for name in inputs if name in self._made]
        if before and weights is None:
            draft = before[0]
            draft.inputs += codes
        elif codes or weights is not None:
            draft = _Draft(kind, codes, weights=weights)
            self._drafts.append(draft)
        else:
            return
        for name in outputs:
            self._made[name] = draft

    def quantize(self, name: str, quantization: Quantization) -> None:
        """The tensor ``name`` is stored as codes."""
        if name in self._made:
            self._made[name].outputs.append(quantization)
        elif name in self._codes:
            self._drafts.append(_Draft("requantize", [self._codes[name]], [quantization]))

    def ops(self) -> tuple[QuantizedOp, ...]:
        """What was told, less what only hands on."""
        return tuple(
            QuantizedOp(draft.kind, tuple(draft.inputs), tuple(dict.fromkeys(draft.outputs)), draft.weights)
            for draft in self._drafts
            if not _hands_on(draft.inputs, draft.outputs, draft.weights)
        )


def _hands_on(
    inputs: Sequence[Quantization], outputs: Sequence[Quantization], weights: QuantizedWeights | None
) -> bool:
    pairs = {item.signed for item in (*inputs, *outputs)}
    return weights is None and len(inputs) == 1 and bool(outputs) and len(pairs) == 1
