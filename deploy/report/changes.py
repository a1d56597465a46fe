"""Where a series of runs changed its level: pure functions of values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Error of one test: a series without a change shows one so often.
ERROR = 0.01
# On each side of a change.
LEAST_SIDE = 3
# Fewer cannot be told from chance at this error: 5 against 5 come in order once in 126.
LEAST_RUNS = 10
PERMUTATIONS = 9999
# The same values give the same changes.
SEED = 1704_04861


@dataclass(frozen=True, slots=True)
class Change:
    """A change of level.

    Attributes:
        place: of the first value after it.
        before, after: medians of the values from the change before to the next one.
        p_value: of the test that found it.
    """

    place: int
    before: float
    after: float
    p_value: float

    @property
    def share(self) -> float:
        """How much it changed: 0.1 is 10% more."""
        return self.after / self.before - 1 if self.before else 0.0


def find_changes(values: Sequence[float]) -> tuple[Change, ...]:
    """Changes of level in values in order of time, by rank, so that one odd run is none.

    The place that splits the values best by their ranks (maximally selected rank statistic: Lausen and
    Schumacher 1992, Biometrics 48:73) is a change if permutations of the values split as well in fewer
    than ``ERROR`` of all cases (exact in the sense of Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol.
    9:39).  Then both parts are searched (binary segmentation: Scott and Knott 1974, Biometrics 30:507).

    Args:
        values: one for each run; with fewer than ``LEAST_RUNS`` there are no changes.
    """
    return _find(tuple(values))


@lru_cache
def _find(values: tuple[float, ...]) -> tuple[Change, ...]:
    """As ``find_changes``; a report asks for the changes of a series several times."""
    found = sorted(_search(values, 0))
    if not found:
        return ()
    borders = [0, *(place for place, _ in found), len(values)]
    levels = [median(values[start:end]) for start, end in pairwise(borders)]
    return tuple(
        Change(place, levels[index], levels[index + 1], p_value)
        for index, (place, p_value) in enumerate(found)
    )


def _search(values: Sequence[float], offset: int) -> Iterator[tuple[int, float]]:
    """Places and p-values."""
    if len(values) < LEAST_RUNS:
        return
    place, p_value = _best_split(values)
    if p_value < ERROR:
        yield offset + place, p_value
        yield from _search(values[:place], offset)
        yield from _search(values[place:], offset + place)


def _best_split(values: Sequence[float]) -> tuple[int, float]:
    import numpy as np

    ranks = _ranks(np.asarray(values, dtype=np.float64))
    random = np.random.default_rng(SEED)
    shuffled = random.permuted(np.tile(ranks, (PERMUTATIONS, 1)), axis=1)
    observed = _statistics(ranks[None, :])[0]
    # Sums of the same ranks in another order may differ in their last digit.
    as_good = int((_statistics(shuffled).max(axis=1) >= observed.max() * (1 - 1e-9)).sum())
    return LEAST_SIDE + int(observed.argmax()), (1 + as_good) / (1 + PERMUTATIONS)


def _statistics(ranks: np.ndarray) -> np.ndarray:
    """How far the mean rank before each place is from that of all, in its standard deviations.

    Args:
        ranks: series by value.

    Returns:
        Series by place, from ``LEAST_SIDE`` on.
    """
    import numpy as np

    count = ranks.shape[1]
    sizes = np.arange(LEAST_SIDE, count - LEAST_SIDE + 1)
    sums = np.cumsum(ranks - (count + 1) / 2, axis=1)[:, LEAST_SIDE - 1 : count - LEAST_SIDE]
    statistics: np.ndarray = np.abs(sums) / np.sqrt(sizes * (count - sizes))
    return statistics


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 1; equal values share their mean."""
    import numpy as np

    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: np.ndarray = (ends - (counts - 1) / 2)[places]
    return ranks
