"""What all formats say alike."""

from __future__ import annotations

from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.device_tests.gate.limits import show
from mobiledeploy.device_tests.gate.report import GateReport, GateResult


def title(report: GateReport) -> str:
    """``new.tflite against old.tflite on pixel``, on one line."""
    against = f" against {report.baseline.name}" if report.baseline else ""
    return printable(f"{report.candidate.name}{against} on {report.device}")


def limit(result: GateResult) -> str:
    """The limit for people."""
    return _shown(result, result.limit)


def found(result: GateResult) -> str:
    """The estimate for people; ``-``: there is none."""
    return _shown(result, result.value)


def interval(result: GateResult) -> str:
    """``19.8 ms to 21.2 ms``; ``-``: there is none, or the value is exact."""
    if result.low is None and result.high is None:
        return "-"
    exact = result.low == result.high
    return "-" if exact else f"{_shown(result, result.low)} to {_shown(result, result.high)}"


def spent(report: GateReport) -> str:
    """``27 pairs, 13 s; 8 pairs, 4 s``: the sessions; empty: nothing ran."""
    of = "pairs" if any(item.log_ratios for item in report.sessions) else "launches"
    return "; ".join(f"{item.pairs} {of}, {item.seconds:.0f} s" for item in report.sessions)


def printable(text: str) -> str:
    """One line that any encoding and any XML can hold: names and devices may say anything."""
    return one_line(text).encode("utf-8", "backslashreplace").decode()


def _shown(result: GateResult, value: float | None) -> str:
    return "-" if value is None else show(value, result.unit)
