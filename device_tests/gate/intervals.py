"""Exact intervals from few values: pure functions, no distribution assumed.

Why no bootstrap: a resample of 8 pairs has no tail at the 99% that repeated looks need, and percentile
and BCa intervals are too narrow there (DiCiccio and Efron 1996, Stat. Sci. 11:189, sections 5 and 8;
``benchmarks/gate_error_rates.py --coverage`` shows it).  These two hold their level for any number of
values and any tails, because arms that take turns make the one symmetric and nothing is asked of the
other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from mobiledeploy.device_tests.statistics import Interval

if TYPE_CHECKING:
    import numpy as np

UNBOUNDED = Interval(-math.inf, math.inf)


def symmetric_interval(values: Sequence[float], level: float) -> Interval:
    """Interval of the centre of a symmetric distribution (Wilcoxon's signed ranks).

    The ends are order statistics of the Walsh averages (Tukey 1949; Hollander, Wolfe and Chicken 2014,
    *Nonparametric Statistical Methods*, 3.3).  Each end is missed with probability ``level`` at most,
    for any symmetric distribution, ties included.

    Args:
        values: independent, of any unit.
        level: of each end, 0 to 0.5.

    Returns:
        In the unit of the values; without ends where there are too few values for the level.
    """
    import numpy as np

    skipped = _skipped(len(values), level)
    if skipped is None:
        return UNBOUNDED
    walsh = np.sort(walsh_averages(values))
    return Interval(float(walsh[skipped]), float(walsh[-1 - skipped]))


def centre(values: Sequence[float]) -> float:
    """The estimate that belongs to it: median of the Walsh averages (Hodges and Lehmann 1963).

    Args:
        values: at least one.
    """
    import numpy as np

    return float(np.median(walsh_averages(values)))


def walsh_averages(values: Sequence[float]) -> np.ndarray:
    """Means of every value with itself and every later one."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    rows, columns = np.triu_indices(len(array))
    averages: np.ndarray = (array[rows] + array[columns]) / 2
    return averages


def median_interval(values: Sequence[float], level: float) -> Interval:
    """Interval of the median of any distribution (sign test: order statistics of the values).

    David and Nagaraja 2003, *Order Statistics*, 7.1.  Each end is missed with probability ``level`` at
    most.

    Args:
        values: independent, of any unit.
        level: of each end, 0 to 0.5.

    Returns:
        In the unit of the values; without ends where there are too few values for the level.
    """
    count = len(values)
    tail, skipped = 0.0, -1
    while skipped + 1 < count:
        tail += math.exp(_log_choose(count, skipped + 1) - count * math.log(2))
        if tail > level:
            break
        skipped += 1
    if skipped < 0 or 2 * skipped >= count:
        return UNBOUNDED
    ordered = sorted(values)
    return Interval(ordered[skipped], ordered[-1 - skipped])


@cache
def _skipped(count: int, level: float) -> int | None:
    """How many of the smallest Walsh averages lie outside; None: all that there are would not do."""
    import numpy as np

    # Distribution of the sum of signed ranks: each rank is in it with probability 1/2.
    chances = np.zeros(count * (count + 1) // 2 + 1)
    chances[0] = 1.0
    for rank in range(1, count + 1):
        chances[rank:] += chances[:-rank].copy()
        chances /= 2
    within = int(np.searchsorted(np.cumsum(chances), level, side="right"))
    return within - 1 if within else None


def _log_choose(count: int, chosen: int) -> float:
    return math.lgamma(count + 1) - math.lgamma(chosen + 1) - math.lgamma(count - chosen + 1)
