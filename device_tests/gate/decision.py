"""From values to a verdict, looked at again and again: pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mobiledeploy.device_tests.gate.intervals import centre, median_interval, symmetric_interval
from mobiledeploy.device_tests.statistics import Interval

Word = Literal["regressed", "pass", "inconclusive"]
Kind = Literal["ratio", "typical"]
# Numbers of values at which is looked; fixed, so that no look is chosen by what was seen.
LOOKS = (8, 12, 18, 27, 41, 61, 91, 137, 205, 308)


@dataclass(frozen=True, slots=True)
class Rates:
    """Errors of a sequence of looks, where the truth is just at the tolerance.

    The level of a look is the same for all of them (Pocock 1977, Biometrika 64:191), found by simulation
    of signed ranks, whose joint distribution over looks does not depend on that of the values
    (``benchmarks/gate_error_rates.py --levels``).

    Attributes:
        error: of the whole sequence, on each side.
        level: of each look, on each side.
    """

    error: float
    level: float


FIRST = Rates(0.05, 0.0085)
# Of the run that confirms a red: both err together in 0.5% of cases at most.
CONFIRMATION = Rates(0.10, 0.019)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What values say about a tolerance.

    Attributes:
        word: ``regressed`` only if the whole interval is beyond the tolerance, ``pass`` only if all
            of it is within, else ``inconclusive``.
        estimate: in the unit of the tolerance; None: there are no values.
        interval: of it; ends may be infinite.
        tolerance: that was asked for.
        count: values (pairs or launches) at the look that decided, or at the last one.
        looks: how often was looked.
        level: of each end of the interval.
    """

    word: Word
    estimate: float | None
    interval: Interval
    tolerance: float
    count: int
    looks: int
    level: float


def judge(interval: Interval, tolerance: float) -> Word:
    """The rule, and nothing else."""
    if interval.low > tolerance:
        return "regressed"
    return "pass" if interval.high <= tolerance else "inconclusive"


def follow(
    values: Sequence[float], tolerance: float, kind: Kind, rates: Rates = FIRST, *, ended: bool = False
) -> Verdict:
    """The verdict of the first look that decides, else that of the last one.

    A level for every look keeps the error of all of them together at ``rates.error``, although the
    first decisive one ends the measurement.  The end of the time is a look as well, in place of the
    next planned one; it is set by the clock, not by the values.

    Args:
        values: in order of measurement.  ``ratio``: logarithms of candidate over baseline, by pair.
            ``typical``: of the candidate, by launch.
        tolerance: ``ratio``: a share, like 0.03; ``typical``: in the unit of the values.
        kind: which.
        rates: that are allowed.
        ended: there will be no more values.
    """
    counts = [count for count in LOOKS if count <= len(values)]
    if ended and len(counts) < len(LOOKS) and len(values) not in (0, *counts):
        counts.append(len(values))
    if not counts:
        verdict = Verdict("inconclusive", None, Interval(-math.inf, math.inf), tolerance, 0, 0, rates.level)
        return verdict if not len(values) else _look(values, tolerance, kind, rates, 0)
    for looks, count in enumerate(counts, 1):
        verdict = _look(values[:count], tolerance, kind, rates, looks)
        if verdict.word != "inconclusive":
            break
    return verdict


def _look(values: Sequence[float], tolerance: float, kind: Kind, rates: Rates, looks: int) -> Verdict:
    if kind == "ratio":
        logs = symmetric_interval(values, rates.level)
        # Shares: what people write, and what the tolerance is in.
        interval = Interval(_share(logs.low), _share(logs.high))
        estimate = _share(centre(values))
    else:
        interval, estimate = median_interval(values, rates.level), _median(values)
    word = judge(interval, tolerance) if looks else "inconclusive"
    return Verdict(word, estimate, interval, tolerance, len(values), looks, rates.level)


def _share(log: float) -> float:
    try:
        return math.expm1(log)
    except OverflowError:
        return math.inf


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
