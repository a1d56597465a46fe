"""How far a file's outputs are from its source's, and what is said about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import Precision

if TYPE_CHECKING:
    import numpy as np

# Largest difference allowed, as a share of the largest absolute value of the output over all samples.
TOLERANCE: dict[Precision, float] = {"fp32": 1e-4, "fp16": 2e-2}
# int8 has none: what its simulation in PyTorch differs by, times a slack, is measured anew each time.
# Differences below this are rounding, however small the output's range.
FLOOR = 1e-5


@dataclass(frozen=True, slots=True)
class OutputComparison:
    """One output of a file against its source, over all samples.

    Attributes:
        name: in the file.
        max_difference: largest absolute difference, in the output's units; nan or inf where the
            file gives one and the source does not.
        largest: largest absolute value of the source's output.
        tolerance: what ``max_difference`` may be.
        sqnr_db: signal to noise, ``10 log10(sum ref^2 / sum (file - ref)^2)``; inf if equal.
        same_top: samples whose largest value is at the same place, as a prediction would be.
    """

    name: str
    max_difference: float
    largest: float
    tolerance: float
    sqnr_db: float
    same_top: int

    @property
    def passed(self) -> bool:
        """Whether the difference is a number within the tolerance."""
        return self.max_difference <= self.tolerance


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What was compared, and how it came out.

    Attributes:
        path: the file.
        sha256: of the file.
        engine: what computed the file's outputs.
        precision: of the file's arithmetic, read from the file; chooses the tolerance.
        seeded, images: number of samples of each kind.
        outputs: one comparison per output.
        problems: where file and contract disagree; empty if nowhere.
    """

    path: Path
    sha256: str
    engine: str
    precision: Precision
    seeded: int
    images: int
    outputs: tuple[OutputComparison, ...]
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every output is within its tolerance and the contract is true."""
        return not self.problems and all(output.passed for output in self.outputs)

    @property
    def summary(self) -> str:
        """One line: the first thing that is wrong, or what was found right."""
        if self.problems:
            return self.problems[0]
        worst = max(self.outputs, key=_badness)
        relation = "within" if worst.passed else "beyond"
        return (
            f"output {worst.name} differs by up to {worst.max_difference:.3g}, "
            f"{relation} the tolerance of {worst.tolerance:.3g} for {self.precision}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON; differences that are no number become None."""
        outputs = [
            {
                **{key: _number(value) for key, value in asdict(output).items()},
                "passed": output.passed,
            }
            for output in self.outputs
        ]
        return {**asdict(self), "path": str(self.path), "outputs": outputs, "passed": self.passed}


def compare_output(
    name: str,
    actual: Sequence[np.ndarray],
    wanted: Sequence[np.ndarray],
    share: float,
    tolerance: float | None = None,
) -> OutputComparison:
    """Both over all samples; allowed is ``share`` of the range, or ``tolerance`` where that is given."""
    import numpy as np

    ours, theirs = (np.stack(arrays).astype(np.float64) for arrays in (actual, wanted))
    with np.errstate(invalid="ignore", over="ignore"):
        equal = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        difference = np.where(equal, 0.0, np.abs(ours - theirs))
    finite = np.where(np.isfinite(theirs), np.abs(theirs), 0.0)
    largest = float(finite.max(initial=0.0))
    noise, signal = float((difference**2).sum()), float((finite**2).sum())
    flat = (len(ours), -1)
    return OutputComparison(
        name=name,
        max_difference=float(difference.max(initial=0.0)),
        largest=largest,
        tolerance=max(FLOOR, share * largest if tolerance is None else tolerance),
        sqnr_db=_decibels(signal, noise),
        same_top=int((ours.reshape(flat).argmax(1) == theirs.reshape(flat).argmax(1)).sum()),
    )


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def _badness(output: OutputComparison) -> float:
    """Difference in tolerances; what is no number is worst."""
    return output.max_difference / output.tolerance if math.isfinite(output.max_difference) else math.inf


def _number(value: object) -> object:
    return value if not isinstance(value, float) or math.isfinite(value) else None
