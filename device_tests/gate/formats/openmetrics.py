"""OpenMetrics text: what GitLab's metrics report compares between branches, and Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator

from mobiledeploy.device_tests.gate.formats.words import printable
from mobiledeploy.device_tests.gate.report import GateReport, GateResult

# Unit of a gate -> OpenMetrics' base unit, and how many of ours that is.
_UNITS = {
    "time": ("seconds", 1e9),
    "bytes": ("bytes", 1.0),
    "share": ("ratio", 1.0),
    "points": ("points", 1.0),
    "flag": ("flag", 1.0),
}


def render(report: GateReport) -> str:
    """A gauge for each unit, with a sample for each figure of each gate.

    Args:
        report: of a gate.
    """
    return "".join(f"{line}\n" for line in [*_lines(report), "# EOF"])


def _lines(report: GateReport) -> Iterator[str]:
    for unit, (name, scale) in _UNITS.items():
        results = [result for result in report.gates if result.unit == unit]
        family = f"mobiledeploy_gate_{name}"
        if results:
            yield f"# TYPE {family} gauge"
            yield f"# UNIT {family} {name}"
            yield f"# HELP {family} What gates found, and their limits."
        for result in results:
            for figure, value in _figures(result).items():
                labels = {
                    "gate": result.name,
                    "figure": figure,
                    "candidate": report.candidate.name,
                    "device": report.device,
                }
                inside = ",".join(f'{key}="{_label(text)}"' for key, text in labels.items())
                # Values are compared as text; more digits would always differ.
                yield f"{family}{{{inside}}} {value / scale:.4g}"


def _figures(result: GateResult) -> dict[str, float]:
    exact = result.low == result.high
    ends = {} if exact else {"low": result.low, "high": result.high}
    figures = {"value": result.value, **ends, "limit": result.limit}
    return {name: value for name, value in figures.items() if value is not None}


def _label(text: str) -> str:
    """Escaped; GitLab takes # for the beginning of a comment anywhere."""
    return printable(text).replace("#", "_").replace("\\", "\\\\").replace('"', '\\"')
