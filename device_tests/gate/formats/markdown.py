"""Markdown as GitHub and GitLab render it: a comment under a change, a step's summary."""

from __future__ import annotations

from collections.abc import Iterator

from mobiledeploy.device_tests.gate.formats.plot import LEGEND, plot
from mobiledeploy.device_tests.gate.formats.words import found, interval, limit, printable, spent, title
from mobiledeploy.device_tests.gate.report import GateReport

_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❔", "trouble": "⚠️"}
_SPECIAL = frozenset("\\`*_[]<>#|~&$")


def render(report: GateReport) -> str:
    """A table of the gates, a plot, and why each is what it is.

    Args:
        report: of a gate.
    """
    return "".join(f"{line}\n" for line in _lines(report))


def escape(text: str) -> str:
    """Text that Markdown shows as it is: no link, no table cell, no HTML."""
    return "".join(f"&#{ord(char)};" if char in _SPECIAL else char for char in printable(text))


def _lines(report: GateReport) -> Iterator[str]:
    yield f"### {_SIGNS[report.outcome]} Gate: {report.outcome}"
    yield ""
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    yield ", ".join(filter(None, (escape(title(report)), threads, escape(report.clock), spent(report))))
    yield ""
    yield "| gate | outcome | limit | found | interval |"
    yield "|---|---|---|---|---|"
    for result in report.gates:
        outcome = f"{_SIGNS[result.outcome]} {result.outcome}"
        cells = (result.name, outcome, limit(result), found(result), interval(result))
        yield f"| {' | '.join(cells)} |"
    yield ""
    if drawn := plot(report):
        yield from ("```text", *drawn, LEGEND, "```", "")
    for result in report.gates:
        yield f"- **{result.name}**: {escape(result.reason)}"
    yield from (f"- **trouble**: {escape(what)}" for what in report.trouble)
    yield from (f"- **beware**: {escape(note)}" for note in report.notes)
