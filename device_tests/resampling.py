"""Bootstrap of a figure over images or identities (Efron 1979), the same draws in every call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mobiledeploy.device_tests.statistics import CONFIDENCE, Interval

if TYPE_CHECKING:
    import numpy as np

_SEED = 20170417
# Counts that are in memory at once.
_AT_ONCE = 2**22


def draw(units: int, figure: Callable[[np.ndarray], np.ndarray], replicates: int) -> np.ndarray:
    """A figure over draws with replacement, where it is defined.

    Args:
        units: that are drawn, as many as there are.
        figure: from (replicates, units) counts to (replicates,) values; NaN where none is defined.
        replicates: number of draws.

    Returns:
        (values,), in the order of the draws; empty where less than half of the draws give a value.
    """
    import numpy as np

    random = np.random.default_rng(_SEED)
    step = max(1, _AT_ONCE // units)
    even = np.full(units, 1 / units)
    values = np.concatenate(
        [
            figure(random.multinomial(units, even, min(step, replicates - start)))
            for start in range(0, replicates, step)
        ]
    )
    defined: np.ndarray = values[~np.isnan(values)]
    return defined if 2 * len(defined) >= replicates else defined[:0]


def mean_of_defined(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean along an axis over what is no NaN; NaN where nothing is."""
    import numpy as np

    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(defined, values, 0).sum(axis=axis) / defined.sum(axis=axis)
    return mean


def percentile_interval(values: np.ndarray) -> Interval | None:
    """From the 2.5th to the 97.5th percentile of what ``draw`` gave; None: it gave nothing."""
    import numpy as np

    if not len(values):
        return None
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, (tail, 100 - tail))
    return Interval(float(low), float(high))


def tail_probability(values: np.ndarray) -> float | None:
    """Two-sided p-value that a difference is 0: twice the share of draws beyond it, at least one draw's.

    None: there are no draws.
    """
    import numpy as np

    if not len(values):
        return None
    beyond = min(np.count_nonzero(values <= 0), np.count_nonzero(values >= 0))
    return min(1.0, 2 * (beyond + 1) / (len(values) + 1))
