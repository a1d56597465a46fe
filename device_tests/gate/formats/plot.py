"""Small plots in plain text: what GitHub and GitLab leave of a picture in a comment is nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from mobiledeploy.device_tests.gate.formats.words import found, limit
from mobiledeploy.device_tests.gate.report import GateReport, GateResult

_WIDTH = 40
_LEVELS = "▁▂▃▄▅▆▇█"
_PLAIN, _BETWEEN, _VALUE, _LIMIT = "·", "─", "●", "┃"
LEGEND = f"{_BETWEEN}{_VALUE}{_BETWEEN} interval and estimate, {_LIMIT} limit"


def plot(report: GateReport) -> list[str]:
    """A line for each gate that has figures, then one for each session's pairs.

    Args:
        report: of a gate.

    Returns:
        Lines for a font of fixed width; empty: there is nothing to draw.
    """
    drawn = [result for result in report.gates if result.value is not None and result.unit != "flag"]
    series = [item.log_ratios for item in report.sessions if item.log_ratios]
    names = [*(result.name for result in drawn), *(f"pairs {number}" for number in range(1, len(series) + 1))]
    width = max(map(len, names), default=0)
    bars = [f"{bar(result)}  {found(result)}, limit {limit(result)}" for result in drawn]
    sparks = [
        f"{spark(values):{_WIDTH}}  {math.expm1(min(values)):+.1%} to {math.expm1(max(values)):+.1%}"
        for values in series
    ]
    return [f"{name:{width}}  {line}" for name, line in zip(names, [*bars, *sparks], strict=True)]


def bar(result: GateResult) -> str:
    """Where interval, estimate and limit of a gate lie to each other."""
    ends = [value for value in (result.low, result.value, result.high) if value is not None]
    least, most = min(*ends, result.limit), max(*ends, result.limit)
    margin = 0.1 * (most - least) or 0.1 * abs(most) or 1.0
    least, most = least - margin, most + margin

    def column(value: float) -> int:
        return round((value - least) / (most - least) * (_WIDTH - 1))

    cells = [_PLAIN] * _WIDTH
    # An end that is open reaches to the edge.
    first = column(result.low) if result.low is not None else 0
    last = column(result.high) if result.high is not None else _WIDTH - 1
    cells[first : last + 1] = _BETWEEN * (last + 1 - first)
    if result.value is not None:
        cells[column(result.value)] = _VALUE
    cells[column(result.limit)] = _LIMIT
    return "".join(cells)


def spark(values: Sequence[float]) -> str:
    """Values in order, from the least to the most; neighbours share a column where they are many.

    Args:
        values: at least one.
    """
    count = min(len(values), _WIDTH)
    edges = [len(values) * index // count for index in range(count + 1)]
    shown = [median(values[start:end]) for start, end in pairwise(edges)]
    least, most = min(shown), max(shown)
    span = (most - least) or 1.0
    return "".join(_LEVELS[min(7, int(8 * (value - least) / span))] for value in shown)
