"""Gates on made-up devices, to see how often they err: pure functions of a random generator.

A device is a level for each launch, in the logarithm of time, whichever file it runs; the candidate's
launches are slower by a known share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from mobiledeploy.device_tests.gate.decision import CONFIRMATION, FIRST, follow
from mobiledeploy.device_tests.gate.order import candidate_first
from mobiledeploy.device_tests.gate.report import Outcome

if TYPE_CHECKING:
    import numpy as np

# Levels of so many launches in a row.
Noise = Callable[["np.random.Generator", int], "np.ndarray"]
STEADY = 0.01


def _calm(random: np.random.Generator, count: int) -> np.ndarray:
    levels: np.ndarray = random.normal(0, STEADY, count)
    return levels


def _drift(random: np.random.Generator, count: int) -> np.ndarray:
    """30% slower from the first launch to the last."""
    import numpy as np

    levels: np.ndarray = np.linspace(0, 0.3, count) + _calm(random, count)
    return levels


def _heat(random: np.random.Generator, count: int) -> np.ndarray:
    """40% slower within some dozens of launches, then steady."""
    import numpy as np

    levels: np.ndarray = 0.4 * (1 - np.exp(-np.arange(count) / random.uniform(10, 60))) + _calm(random, count)
    return levels


def _bimodal(random: np.random.Generator, count: int) -> np.ndarray:
    """Two frequencies, 25% apart, changed every ten launches or so."""
    import numpy as np

    changes = random.random(count) < 0.1
    levels: np.ndarray = 0.25 * (np.cumsum(changes) % 2) + _calm(random, count)
    return levels


def _heavy(random: np.random.Generator, count: int) -> np.ndarray:
    """No variance at all: Student's distribution with 1.5 degrees of freedom."""
    import numpy as np

    levels: np.ndarray = np.clip(STEADY * random.standard_t(1.5, count), -3, 3)
    return levels


def _correlated(random: np.random.Generator, count: int) -> np.ndarray:
    """Each launch like the one before: a first-order process with 0.9."""
    import numpy as np

    levels: np.ndarray = np.empty(count)
    level = 0.0
    for index, step in enumerate(random.normal(0, 0.02, count)):
        level = 0.9 * level + step
        levels[index] = level
    levels += _calm(random, count)
    return levels


def _differing(random: np.random.Generator, count: int) -> np.ndarray:
    """Launches that differ by 4%, whatever happens within them."""
    levels: np.ndarray = random.normal(0, 0.04, count)
    return levels


def _bursts(random: np.random.Generator, count: int) -> np.ndarray:
    """A neighbour that takes the core for five launches now and then: 50% slower, skewed."""
    import numpy as np

    active = np.zeros(count)
    for start in np.flatnonzero(random.random(count) < 0.06):
        active[start : start + 1 + random.poisson(4)] = 1
    levels: np.ndarray = active * random.exponential(0.5, count) + _calm(random, count)
    return levels


NOISES: Mapping[str, Noise] = MappingProxyType(
    {
        "calm": _calm,
        "drift": _drift,
        "heat": _heat,
        "bimodal": _bimodal,
        "heavy tails": _heavy,
        "correlated": _correlated,
        "launches differ": _differing,
        "bursts": _bursts,
    }
)


def simulate_ratios(
    noise: Noise, random: np.random.Generator, pairs: int, slowdown: float
) -> tuple[float, ...]:
    """Logarithms of candidate over baseline, in the order of a session.

    Args:
        noise: of the device.
        random: the generator.
        pairs: of launches.
        slowdown: of the candidate, a share.
    """
    levels = noise(random, 2 * pairs).tolist()
    shift = math.log1p(slowdown)
    signs = [1 if candidate_first(pair) else -1 for pair in range(pairs)]
    return tuple(shift + sign * (levels[2 * pair] - levels[2 * pair + 1]) for pair, sign in enumerate(signs))


def simulate_gate(
    noise: Noise, random: np.random.Generator, *, slowdown: float, tolerance: float, pairs: int
) -> tuple[Outcome, int]:
    """One gate of ``max-regression``, as ``trial.gate`` does it.

    Args:
        noise: of the device.
        random: the generator.
        slowdown: of the candidate, a share.
        tolerance: of the gate, a share.
        pairs: that the time limit has room for, in both sessions together.

    Returns:
        The outcome, and the pairs that were used.
    """
    first = follow(simulate_ratios(noise, random, pairs, slowdown), tolerance, "ratio", FIRST, ended=True)
    if first.word == "pass":
        return "pass", first.count
    if first.word == "inconclusive" or first.count >= pairs:
        return "inconclusive", first.count
    left = pairs - first.count
    second = follow(
        simulate_ratios(noise, random, left, slowdown), tolerance, "ratio", CONFIRMATION, ended=True
    )
    return ("fail" if second.word == "regressed" else "inconclusive"), first.count + second.count
