"""What one session measured, pair by pair, and the values that gates look at: pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mobiledeploy.device_tests.gate.beside import Beside
from mobiledeploy.device_tests.gate.limits import INIT, MEDIAN, MEMORY, P90, REGRESSION, Kind
from mobiledeploy.device_tests.latency_run import LatencyRun, Launch
from mobiledeploy.errors import MobileDeployError

# Of a launch, percent.  Other work makes inferences longer, never shorter, so that the quick ones tell
# files apart on a busy machine where medians do not (Chen and Revels 2016, arXiv:1608.04295); the
# least of them all is one value, and an odd one now and then.
QUICK = 10.0


@dataclass(frozen=True, slots=True)
class Series:
    """One session on one device.

    Attributes:
        runs: the candidate's record, then the baseline's if there is one; launches of the same index
            are a pair, except for a last one that may stand alone.
        beside: of each launch, in the same order as ``runs`` and their launches.
        seconds: from the begin of the first launch to the end of the last.
        trouble: why its figures are no verdict on a file; empty: nothing that was seen.
        error: why it ended early.
    """

    runs: tuple[LatencyRun, ...]
    beside: tuple[tuple[Beside, ...], ...]
    seconds: float
    trouble: tuple[str, ...] = ()
    error: MobileDeployError | None = None


def quick(launch: Launch) -> float:
    """Lower decile of a launch's inferences, nanoseconds.

    Raises:
        ValueError: it has no samples.
    """
    return _percentile(launch, QUICK)


def log_ratios(candidate: Sequence[Launch], baseline: Sequence[Launch]) -> tuple[float, ...]:
    """Logarithm of candidate over baseline for each pair; what has no partner is left out.

    Raises:
        ValueError: a launch has no samples, or took no time.
    """
    pairs = zip(candidate, baseline, strict=False)
    return tuple(math.log(quick(ours) / quick(theirs)) for ours, theirs in pairs)


def values_of(kind: Kind, arms: Sequence[Sequence[Launch]]) -> tuple[float, ...]:
    """What a gate looks at.

    Args:
        kind: of the gate, one that runs.
        arms: launches of the candidate, then those of the baseline.

    Returns:
        One for each pair (``max-regression``) or launch of the candidate; those that the runner does
        not tell are missing.
    """
    ours = arms[0]
    if kind is REGRESSION:
        return log_ratios(ours, arms[1])
    if kind is MEDIAN:
        return tuple(_percentile(launch, 50) for launch in ours)
    if kind is P90:
        return tuple(_percentile(launch, 90) for launch in ours)
    if kind is INIT:
        return tuple(float(launch.init_ns) for launch in ours if launch.init_ns is not None)
    if kind is MEMORY:
        return tuple(float(launch.memory_peak) for launch in ours if launch.memory_peak is not None)
    raise ValueError(kind.name)


def _percentile(launch: Launch, percent: float) -> float:
    import numpy as np

    if not launch.samples_ns:
        raise ValueError("a launch without samples")
    return float(np.percentile(launch.samples_ns, percent))
