"""Which of the measured variants are worth having, and which one to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mobiledeploy.deploy.sweep.building import Built
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.gate.limits import MEDIAN, MEMORY, P90, SIZE, Gate
from mobiledeploy.device_tests.latency_run import LatencyRun

LIMITS = (MEDIAN, P90, SIZE, MEMORY)


@dataclass(frozen=True, slots=True)
class Row:
    """One file in one setting on one device.

    Attributes:
        built: the file.
        latency: as it was measured.
        accuracy: of the file on this host; None: not evaluated.
    """

    built: Built
    latency: LatencyRun
    accuracy: AccuracyRun | None = None

    @property
    def worth(self) -> float:
        """What is wanted much of: the task's figure, 0..1; where it is not known mult-adds, which buy it."""
        return self.accuracy.headline.value if self.accuracy else float(self.built.mult_adds)

    @property
    def metric(self) -> str | None:
        """Name of the figure that it was evaluated by; None: it was not."""
        return self.accuracy.headline.name if self.accuracy else None

    @property
    def costs(self) -> tuple[float, ...]:
        """What is wanted little of: median in nanoseconds, size in bytes, and energy where it is known."""
        energy = self.latency.energy_per_inference
        return (self.latency.summary.median, self.latency.model.size, *(() if energy is None else (energy,)))

    def keeps(self, limit: Gate) -> bool:
        """Whether a limit of one of ``LIMITS`` is kept; what was not measured does not keep it."""
        summary = self.latency.summary
        values = {MEDIAN: summary.median, P90: summary.p90, SIZE: self.latency.model.size}
        value = values.get(limit.kind, self.latency.memory_peak)
        return value is not None and value <= limit.limit


def front(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The Pareto front: rows of which none is at least as good in everything and better in something.

    Rows of other devices or thread counts do not compete.
    """
    return tuple(row for row in rows if not any(_better(other, row) for other in rows))


def _better(one: Row, other: Row) -> bool:
    place = [(row.latency.device, row.latency.threads) for row in (one, other)]
    if place[0] != place[1] or len(one.costs) != len(other.costs):
        return False
    pairs = [(-one.worth, -other.worth), *zip(one.costs, other.costs, strict=True)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def pick(rows: Sequence[Row], limits: Sequence[Gate]) -> Row | None:
    """The row of most worth within all limits, the fastest of equal ones; None: there is none."""
    within = [row for row in rows if all(row.keeps(limit) for limit in limits)]
    return max(within, key=lambda row: (row.worth, -row.latency.summary.median), default=None)
