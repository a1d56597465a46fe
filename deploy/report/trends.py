"""Series of figures over commits or time, and where they changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mobiledeploy.deploy.report.changes import Change, find_changes
from mobiledeploy.deploy.report.metrics import percent
from mobiledeploy.deploy.report.seen import Seen
from mobiledeploy.deploy.report.story import Story


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a trend: its value, the 95% interval of it, and p90 where there is one."""

    run: Seen
    value: float
    low: float
    high: float
    p90: float | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """Runs that may be compared, in order of time.

    Attributes:
        label: what they are, one line.
        unit: ``ms`` of a median latency, ``%`` of accuracy.
        steps: at least one; those that did not come to their end have a place, and no say in changes.
        metric: name of the figure.
    """

    label: str
    unit: str
    steps: tuple[Step, ...]
    metric: str = "median latency"

    @property
    def by_commit(self) -> bool:
        """Every run has a commit, and there are two at least."""
        commits = {step.run.row.git_commit for step in self.steps}
        return None not in commits and len(commits) > 1

    @property
    def judged(self) -> tuple[Step, ...]:
        """Those that changes are looked for in."""
        return tuple(step for step in self.steps if step.run.row.complete)

    @property
    def changes(self) -> tuple[tuple[Step, Change], ...]:
        """Each change and the first run after it."""
        judged = self.judged
        return tuple((judged[item.place], item) for item in find_changes([step.value for step in judged]))


def find_trends(story: Story) -> tuple[Trend, ...]:
    """Latencies by series, then accuracy by file name, images, engine, device and metric."""
    return (*_latencies(story), *_accuracies(story))


def _latencies(story: Story) -> Iterator[Trend]:
    for series in story.series:
        steps = []
        for run in series.runs:
            row, median = run.row, (run.row.median_ns or 0.0) / 1e6
            low, high, p90 = (
                median if end is None else end / 1e6 for end in (row.low_ns, row.high_ns, row.p90_ns)
            )
            steps.append(Step(run, median, low, high, p90))
        yield Trend(series.label, "ms", tuple(steps))


def _accuracies(story: Story) -> Iterator[Trend]:
    found: dict[tuple[str, ...], list[Step]] = {}
    for run in story.collected.accuracies:
        if run.accuracy:
            row, figure = run.row, run.accuracy.headline
            names = (row.model_name, row.engine, row.device or "this host", f"images {run.images}")
            found.setdefault((*names, figure.name), []).append(Step(run, *percent(figure)))
    for key in sorted(found):
        yield Trend(", ".join(key[:-1]), "%", tuple(found[key]), key[-1])
