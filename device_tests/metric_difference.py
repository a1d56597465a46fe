"""How two evaluations of any task compare on the same images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mobiledeploy.device_tests.accuracy_run import (
    SCHEMA_VERSION,
    AccuracyRun,
    PairedDifference,
    pair_up,
    paired,
)
from mobiledeploy.device_tests.resampling import draw, percentile_interval, tail_probability
from mobiledeploy.device_tests.statistics import Interval


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """First figure of a second run less that of a first, on the same images.

    Attributes:
        metric: name of the figure.
        points: difference in percentage points; above 0 where the second is better.
        interval: its 95% interval, percentage points, by a bootstrap that draws the same images for
            both; None: too few draws define the figure.
        p_value: that both are equally good, by the same draws; None: as above.
        agreement: share of images for which both say the same, 0..1.
    """

    metric: str
    points: float
    interval: Interval | None
    p_value: float | None
    agreement: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def compare(first: AccuracyRun, second: AccuracyRun) -> PairedDifference | MetricDifference:
    """Compare two runs image by image: classifiers by McNemar's test, others by a paired bootstrap.

    Raises:
        InputError: the runs are of different tasks, images or labels.
    """
    if first.task == second.task == "image-classification":
        return paired(first, second)
    before, after = pair_up(first, second)
    metric = before.metric
    one, other = (metric.resampling(run.predictions, run.asked) for run in (before, after))
    values = draw(one.units, lambda counts: other.headline(counts) - one.headline(counts), one.replicates)
    interval = percentile_interval(values)
    pairs = list(zip(before.predictions, after.predictions, strict=True))
    return MetricDifference(
        metric=before.headline.name,
        points=100 * (second.headline.value - first.headline.value),
        interval=interval and Interval(100 * interval.low, 100 * interval.high),
        p_value=tail_probability(values),
        agreement=sum(metric.same(*pair) for pair in pairs) / len(pairs),
    )
