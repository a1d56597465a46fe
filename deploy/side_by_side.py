"""Two files timed in turn on this host."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.runtimes.formats import open_session
from mobiledeploy.runtimes.session import Session

if TYPE_CHECKING:
    import numpy as np

_PAIRS, _BLOCK = 11, 5


@dataclass(frozen=True, slots=True)
class Ratio:
    """Time of one file over another's, one thread: median, smallest and largest of the pairs."""

    median: float
    low: float
    high: float


def latency_ratio(file: Path, other: Path) -> Ratio:
    """Inference time of ``file`` over that of ``other``, in short blocks that take turns.

    Raises:
        EnvironmentProblem: no engine for them here.
    """
    import numpy as np

    arms = []
    for path in (file, other):
        session = open_session(path, threads=1)
        inputs = [np.zeros(spec.shape, spec.dtype) for spec in session.inputs]
        _block(session, inputs)
        arms.append((session, inputs))
    pairs = sorted(_block(*arms[0]) / _block(*arms[1]) for _ in range(_PAIRS))
    return Ratio(statistics.median(pairs), pairs[0], pairs[-1])


def _block(session: Session, inputs: list[np.ndarray]) -> float:
    times = []
    for _ in range(_BLOCK):
        start = time.perf_counter()
        session.run(inputs)
        times.append(time.perf_counter() - start)
    return statistics.median(times)
