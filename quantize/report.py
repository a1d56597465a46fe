"""What was found and done while a program was quantized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class TensorRange:
    """One activation (or group of activations that share codes).

    Attributes:
        node: name of the first graph node that makes it.
        module: PyTorch module path, empty for the model's input and for operations at the top.
        low, high: smallest and largest value in calibration.
        scale, zero_point: ``real = scale * (code - zero_point)``, codes -128..127.
    """

    node: str
    module: str
    low: float
    high: float
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class QuantizationWarning:
    """Something that does not stop the conversion, but should be known.

    Attributes:
        name: ``few-inputs``, ``constant-input``, ``zero-weights``, ``dead-channel`` or ``float-operation``.
        where: module path, or the input's number.
        message: one sentence.
    """

    name: str
    where: str
    message: str


# dB that two trials of the same kind may differ by.
_CHANCE = 0.25


@dataclass(frozen=True, slots=True)
class EqualisationChoice:
    """What a recipe's equalisation ``auto`` came to.

    Attributes:
        on, off: SQNR of the outputs with and without equalisation, in a cheap trial on calibration inputs
            that its ranges had not seen, dB.
    """

    on: float
    off: float

    @property
    def taken(self) -> Literal["on", "off"]:
        """``off`` where that is better by more than chance: otherwise the usual step is taken."""
        return "off" if self.off > self.on + _CHANCE else "on"

    def __str__(self) -> str:
        return f"equalisation {self.taken}: {self.on:.2f} dB with it, {self.off:.2f} dB without, on trial"


@dataclass(frozen=True, slots=True)
class FineTuning:
    """What fine-tuning came to.

    Attributes:
        steps: that were done.
        taken: the step whose state was taken; 0: nothing was better than not to learn.
        kept_back: examples that were not learnt from, on which the state was chosen.
        before, after: mean loss on them without fine-tuning, and of the state that was taken.
    """

    steps: int
    taken: int
    kept_back: int
    before: float
    after: float

    def __str__(self) -> str:
        where = f"on {self.kept_back} inputs kept back"
        if not self.taken:
            return f"no fine-tuning: loss {self.before:.4g}, none of {self.steps} steps lowers it {where}"
        taken = f"step {self.taken} of {self.steps}"
        return f"fine-tuning, {taken}: loss {self.before:.4g} -> {self.after:.4g} {where}"


@dataclass(frozen=True, slots=True)
class Report:
    """Facts about one quantization.

    Attributes:
        inputs: calibration inputs used.
        ranges: every int8 activation, in graph order.
        warnings: in graph order.
        equalisation: what was chosen; None if the recipe left no choice.
        fine_tuning: what it came to; None if the recipe has none.
    """

    inputs: int
    ranges: tuple[TensorRange, ...]
    warnings: tuple[QuantizationWarning, ...]
    equalisation: EqualisationChoice | None = None
    fine_tuning: FineTuning | None = None

    @property
    def choices(self) -> str:
        """What was chosen by measuring, and what decided; empty if nothing was."""
        return "; ".join(str(choice) for choice in (self.equalisation, self.fine_tuning) if choice)
