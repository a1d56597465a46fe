"""How figures of accuracy are written: percent, and the name of the metric in a head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mobiledeploy.deploy.report.layout import Column
from mobiledeploy.device_tests.statistics import Interval
from mobiledeploy.device_tests.tasks.metric import Figure


def percent(figure: Figure) -> tuple[float, float, float]:
    """Value and ends of its interval, which are the value where there is none."""
    ends = figure.interval or Interval(figure.value, figure.value)
    return 100 * figure.value, 100 * ends.low, 100 * ends.high


def common(names: Iterable[str]) -> str:
    """What figures of one table are called together; without any as those of a classifier."""
    found = sorted(set(names))
    return "accuracy" if len(found) > 1 else next(iter(found), "top-1")


def opening(name: str) -> str:
    """A name at the beginning of a title."""
    return name[:1].upper() + name[1:]


def with_metric(columns: Sequence[Column], name: str) -> tuple[Column, ...]:
    """Heads with a metric's name in place of ``{metric}``."""
    return tuple(replace(column, head=column.head.replace("{metric}", name)) for column in columns)
