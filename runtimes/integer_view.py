"""Which float tensors of a quantize/dequantize program stand for integers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mobiledeploy.runtimes.census import INTEGER_DTYPES, UNKNOWN

_LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}
# ONNX Runtime's own allowance when it compares the two ranges.
_RANGE_TOLERANCE = 2.0**-23


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation, by the names of what it computes with.

    Attributes:
        kind: the format's own name.
        inputs: the activations it reads; constants are left out.
        outputs: what it writes.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Rules(Protocol):
    """What a format says of its operations.

    Attributes:
        quantize, dequantize: kinds of the two conversions.
        movers: kinds that are integer where both conversions have the same scale and zero point.
    """

    quantize: str
    dequantize: str
    movers: frozenset[str]

    def computes_codes(self, step: Step) -> bool:
        """Whether an operation between dequantize and quantize is one on integers."""

    def gives_reals(self, step: Step) -> bool:
        """Whether it reads integers, weights too, even where its result stays float."""

    def bounds(self, step: Step) -> tuple[float, float] | None:
        """What an activation clips to, if it can be left to the quantize behind it."""

    def parameters(self, step: Step) -> tuple[float, int] | None:
        """Scale and zero point of a quantize or dequantize, None if they are not one constant pair."""


class IntegerView:
    """A program as integer kernels compute it.

    ``int8 -> dequantize -> conv -> relu -> quantize -> int8`` is one integer convolution with its
    activation, if the last range has no negative numbers: the float tensors in between are never
    made.  ``int8 -> dequantize -> linear`` reads integers and writes reals, where there is a kernel.
    """

    def __init__(
        self, steps: Sequence[Step], dtypes: Mapping[str, str], results: Collection[str], rules: Rules
    ) -> None:
        self._dtypes, self._results, self._rules = dtypes, results, rules
        self._makers = {name: step for step in steps for name in step.outputs}
        self._readers: dict[str, list[Step]] = {}
        for step in steps:
            for name in step.inputs:
                self._readers.setdefault(name, []).append(step)
        # What a tensor is stored as just before it is dequantized, or just after it is quantized.
        self._before = {
            step.outputs[0]: dtypes.get(step.inputs[0], UNKNOWN)
            for step in steps
            if step.kind == rules.dequantize and step.inputs
        }
        self._after: dict[str, str] = {}
        for step in reversed(steps):
            dtype = self._quantized(step)
            if dtype:
                self._after.update(dict.fromkeys(step.outputs, dtype))
        self._integer: set[Step] = set()
        for step in steps:
            if self._is_integer(step):
                self._integer.add(step)

    def reads(self, step: Step) -> tuple[str, ...]:
        """Dtypes of what an operation reads, as they are in memory."""
        if step.kind == self._rules.quantize:
            return tuple(self._before.get(name) or self._declared(name) for name in step.inputs)
        return self._dtypes_of(step.inputs, step)

    def writes(self, step: Step) -> tuple[str, ...]:
        """Dtypes of what an operation writes, as they are in memory."""
        return self._dtypes_of(step.outputs, step)

    def _dtypes_of(self, names: tuple[str, ...], step: Step) -> tuple[str, ...]:
        if step not in self._integer:
            return tuple(self._declared(name) for name in names)
        return tuple(
            self._before.get(name) or self._after.get(name) or self._declared(name) for name in names
        )

    def _declared(self, name: str) -> str:
        return self._dtypes.get(name, UNKNOWN)

    def is_annotation(self, step: Step) -> bool:
        """Whether a conversion is part of an integer operation beside it."""
        if step.kind == self._rules.dequantize and step.inputs:
            return self._is_absorbed(step.outputs[0])
        if step.kind != self._rules.quantize or not step.inputs or step.inputs[0] not in self._after:
            return False
        return self._makers.get(step.inputs[0]) in self._integer

    def _quantized(self, step: Step) -> str:
        """Integer dtype of everything that a float operation writes, empty if some of it stays float."""
        if step.kind in (self._rules.quantize, self._rules.dequantize):
            return ""
        dtypes = {self._quantized_output(name) for name in step.outputs}
        return dtypes.pop() if len(dtypes) == 1 else ""

    def _quantized_output(self, name: str) -> str:
        readers = self._readers.get(name, [])
        if not readers or name in self._results or self._dtypes.get(name) in INTEGER_DTYPES:
            return ""
        if all(reader.kind == self._rules.quantize for reader in readers):
            return self._declared(readers[0].outputs[0])
        if len(readers) == 1 and self._is_clipped_anyway(readers[0]):
            return self._after.get(readers[0].outputs[0], "")
        return ""

    def _is_clipped_anyway(self, activation: Step) -> bool:
        """Whether the ranges of the quantize behind an activation lie inside its own."""
        bounds = self._rules.bounds(activation)
        if bounds is None:
            return False
        for reader in self._readers.get(activation.outputs[0], []):
            pair = self._rules.parameters(reader)
            limits = _LIMITS.get(self._dtypes.get(reader.outputs[0], ""))
            if pair is None or limits is None:
                return False
            smallest, largest = (pair[0] * (limit - pair[1]) for limit in limits)
            if bounds[0] - smallest > _RANGE_TOLERANCE or largest - bounds[1] > _RANGE_TOLERANCE:
                return False
        return True

    def _is_integer(self, step: Step) -> bool:
        if not step.inputs or step.kind in (self._rules.quantize, self._rules.dequantize):
            return False
        reads_codes = all(name in self._before for name in step.inputs)
        if not any(name in self._after for name in step.outputs):
            return reads_codes and self._rules.gives_reals(step)
        producer = self._makers.get(step.inputs[0])
        if producer in self._integer and self._rules.bounds(step) is not None:
            return step.inputs[0] in self._after
        if step.kind in self._rules.movers:
            return reads_codes and self._keeps_parameters(step)
        return reads_codes and self._rules.computes_codes(step)

    def _keeps_parameters(self, step: Step) -> bool:
        around = [self._makers[name] for name in step.inputs]
        around += [reader for name in step.outputs for reader in self._readers[name]]
        pairs = {self._rules.parameters(conversion) for conversion in around}
        return len(pairs) == 1 and None not in pairs

    def _is_absorbed(self, name: str) -> bool:
        """Whether every reader of a dequantized tensor computes in integers."""
        readers = self._readers.get(name, [])
        return (
            bool(readers)
            and name not in self._results
            and all(reader in self._integer or reader.kind == self._rules.quantize for reader in readers)
        )
