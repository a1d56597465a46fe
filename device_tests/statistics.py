"""Intervals and tests for shares of images: pure functions of counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, ends included."""

    low: float
    high: float


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Score interval for one share (Wilson 1927; method 3 of Newcombe 1998, Stat. Med. 17:857).

    It keeps its coverage near 0 and 1, where the usual ``p +- z * standard error`` fails.

    Args:
        successes: 0 to ``n``.
        n: number of trials, at least 1.
        confidence: 0 to 1.

    Returns:
        Ends within 0..1.
    """
    z = _z(confidence)
    share = successes / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # Rounding must not push an end past the share itself where that is 0 or 1.
    low = (centre - half) / scale if successes > 0 else 0.0
    high = (centre + half) / scale if successes < n else 1.0
    return Interval(low, high)


def paired_difference(gained: int, lost: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Interval for the difference of two shares of the same ``n`` trials.

    Wald interval after adding one to both kinds of discordant pairs (Bonett and Price 2012,
    J. Educ. Behav. Stat. 37:479), one of the two closed forms that Fagerland, Lydersen and Laake
    (2014, Stat. Med. 33:2850) recommend.

    Args:
        gained: trials that only the second got right.
        lost: trials that only the first got right.
        n: all trials, at least 1.
        confidence: 0 to 1.

    Returns:
        Interval for (second share - first share), within -1..1.
    """
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    difference = up - down
    half = _z(confidence) * math.sqrt((up + down - difference * difference) / (n + 2))
    return Interval(max(-1.0, difference - half), min(1.0, difference + half))


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p-value of McNemar's exact test that two shares of the same trials are equal.

    Under equality each discordant pair falls to either side with probability 1/2 (McNemar 1947,
    Psychometrika 12:153).  Computed in whole numbers, exact for any count.

    Args:
        gained: trials that only the second got right.
        lost: trials that only the first got right.
    """
    n = gained + lost
    term = tail = 1
    for k in range(min(gained, lost)):
        term = term * (n - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << n))


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
