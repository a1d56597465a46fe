"""What a list of latencies says: pure functions of samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mobiledeploy.device_tests.statistics import CONFIDENCE, Interval

if TYPE_CHECKING:
    import numpy as np

RESAMPLES, FEWEST_RESAMPLES = 1000, 200
# Samples that all resamples together draw: long runs need fewer, and their intervals are narrow.
DRAWN = 20_000_000
# The same samples give the same interval.
SEED = 1704_04861
# A sample says something about its neighbours: frequency and caches change slowly.
LEAST_CHUNK = 5
# Where each of the three signs of unrest makes a measurement worthless.
UNSTEADY = 0.10
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True)
class Stability:
    """How steady the samples were; the three are shares of the median, 0 or more.

    Attributes:
        spread: within a launch: 1.4826 x median absolute deviation, the median launch's.
        between: largest difference of two launches' medians; 0 with one launch.
        drift: from the first half of the launches to the second (of the samples, with one launch).
    """

    spread: float
    between: float
    drift: float

    @property
    def score(self) -> float:
        """1: perfectly steady; 0: one of the three is 10% of the median or more."""
        return max(0.0, 1.0 - max(self.spread, self.between, self.drift) / UNSTEADY)


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of one setting, times in nanoseconds.

    Attributes:
        count: samples.
        median, p90, p99, minimum, mean: of all samples.
        interval: of the median, 95%.
        stability: how steady they were.
    """

    count: int
    median: float
    p90: float
    p99: float
    minimum: float
    mean: float
    interval: Interval
    stability: Stability


def summarise(launches: Sequence[Sequence[int]]) -> Summary:
    """Figures of the samples of one or more launches.

    Percentiles interpolate between order statistics (definition 7 of Hyndman and Fan 1996, Am. Stat.
    50:361).

    Args:
        launches: samples in nanoseconds, in order, one list for every launch of the program; the
            empty ones are left out.

    Raises:
        ValueError: there is no sample.
    """
    import numpy as np

    filled = [np.asarray(launch, dtype=np.float64) for launch in launches if len(launch)]
    if not filled:
        raise ValueError("no samples")
    samples = np.concatenate(filled)
    median, p90, p99 = (float(value) for value in np.percentile(samples, (50, 90, 99)))
    return Summary(
        count=len(samples),
        median=median,
        p90=p90,
        p99=p99,
        minimum=float(samples.min()),
        mean=float(samples.mean()),
        interval=bootstrap(filled, lambda values: np.median(values, axis=-1)),
        stability=_stability(filled, median),
    )


def bootstrap(
    launches: Sequence[np.ndarray],
    statistic: Callable[[np.ndarray], np.ndarray],
    confidence: float = CONFIDENCE,
) -> Interval:
    """Percentile bootstrap interval of a statistic of all samples.

    Launches are drawn with replacement, and within each drawn one runs of neighbouring samples
    (moving blocks, Kuensch 1989, Ann. Stat. 17:1217; two stages, Davison and Hinkley 1997, 3.8):
    neither the samples of one launch nor the launches of one device are independent of each other,
    and an interval that takes them to be is too narrow.

    Args:
        launches: samples of each launch, one-dimensional, none empty.
        statistic: of the last axis.
        confidence: 0 to 1.
    """
    import numpy as np

    random = np.random.default_rng(SEED)
    pieces = [_chunks(launch, random) for launch in launches]
    count = sum(map(len, launches))
    resamples = min(RESAMPLES, max(FEWEST_RESAMPLES, DRAWN // count))
    drawn = random.integers(len(pieces), size=(resamples, len(pieces)))
    values = np.array([statistic(np.concatenate([pieces[index]() for index in row])) for row in drawn])
    tail = 50 * (1 - confidence)
    low, high = np.percentile(values, (tail, 100 - tail))
    return Interval(float(low), float(high))


def _chunks(launch: np.ndarray, random: np.random.Generator) -> Callable[[], np.ndarray]:
    """A function that draws a launch anew, run of neighbours by run of neighbours."""
    import numpy as np

    count = len(launch)
    length = min(count, max(LEAST_CHUNK, math.ceil(count ** (1 / 3))))
    needed = math.ceil(count / length)
    offsets = np.arange(length)

    def draw() -> np.ndarray:
        starts = random.integers(count - length + 1, size=needed)
        drawn: np.ndarray = launch[(starts[:, None] + offsets).ravel()[:count]]
        return drawn

    return draw


def _stability(launches: Sequence[np.ndarray], median: float) -> Stability:
    import numpy as np

    if median <= 0:
        return Stability(0.0, 0.0, 0.0)
    medians = np.array([np.median(launch) for launch in launches])
    deviations = [
        np.median(np.abs(launch - middle)) for launch, middle in zip(launches, medians, strict=True)
    ]
    spread = MAD_TO_SIGMA * float(np.median(deviations))
    ordered = medians if len(launches) > 1 else launches[0]
    half = len(ordered) // 2
    drift = abs(float(np.median(ordered[-half:]) - np.median(ordered[:half]))) if half else 0.0
    return Stability(spread / median, float(np.ptp(medians)) / median, drift / median)
