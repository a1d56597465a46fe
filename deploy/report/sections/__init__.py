"""The parts of a report, in order.

A new one is a file here with ``tell(story) -> Section``, a line in ``SECTIONS`` and a test.
"""

from __future__ import annotations

from collections.abc import Callable

from mobiledeploy.deploy.report.layout import Section
from mobiledeploy.deploy.report.sections import (
    accuracy,
    latency,
    layers,
    operators,
    placement,
    precision,
    runs,
    trend,
)
from mobiledeploy.deploy.report.story import Story

SECTIONS: tuple[Callable[[Story], Section], ...] = (
    accuracy.tell,
    latency.tell,
    precision.tell,
    layers.tell,
    operators.tell,
    placement.tell,
    trend.tell,
    runs.tell,
)
