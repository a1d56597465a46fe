"""JUnit XML, as Jenkins, GitLab and most other CI read it: one test case for each gate."""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree as ET

from mobiledeploy.device_tests.gate.formats.words import found, interval, limit, printable, spent, title
from mobiledeploy.device_tests.gate.report import GateReport, GateResult

# A device in trouble is an error: nobody's change did it.  What is inconclusive was not decided, which
# is what a skipped test says; the exit code sees to it that it is not green.
_ELEMENTS = {"fail": "failure", "trouble": "error", "inconclusive": "skipped"}


def render(report: GateReport) -> str:
    """Elements and attributes are those of the schema that Jenkins' xunit plugin checks (``junit-10.xsd``).

    Args:
        report: of a gate.

    Returns:
        An XML document.
    """
    counts = Counter(result.outcome for result in report.gates)
    totals = {
        "tests": str(len(report.gates)),
        "failures": str(counts["fail"]),
        "errors": str(counts["trouble"]),
    }
    root = ET.Element("testsuites", {"name": "mobiledeploy gate", **totals})
    suite = ET.SubElement(
        root,
        "testsuite",
        {
            "name": title(report),
            **totals,
            "skipped": str(counts["inconclusive"]),
            "time": f"{sum(item.seconds for item in report.sessions):.3f}",
            "timestamp": printable(report.started),
        },
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _facts(report).items():
        ET.SubElement(properties, "property", {"name": name, "value": printable(value)})
    for result in report.gates:
        _case(suite, report, result)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, report: GateReport, result: GateResult) -> None:
    where = printable(f"{report.candidate.name} on {report.device}")
    case = ET.SubElement(suite, "testcase", {"name": result.name, "classname": where})
    name = _ELEMENTS.get(result.outcome, "system-out")
    words = {"type": result.outcome, "message": printable(result.reason)}
    element = ET.SubElement(case, name, words if result.outcome in _ELEMENTS else {})
    element.text = "\n".join(_evidence(report, result))


def _evidence(report: GateReport, result: GateResult) -> list[str]:
    lines = [
        f"{result.outcome}: {result.reason}",
        f"limit {limit(result)} ({result.limit_source})",
        f"found {found(result)}, interval {interval(result)}",
        *(f"trouble: {what}" for what in report.trouble),
        *(f"beware: {note}" for note in report.notes),
    ]
    return [printable(line) for line in lines]


def _facts(report: GateReport) -> dict[str, str]:
    facts = {
        "outcome": report.outcome,
        "device": report.device,
        "candidate.sha256": report.candidate.sha256,
        "baseline.sha256": report.baseline.sha256 if report.baseline else "",
        "threads": str(report.threads),
        "affinity": report.affinity,
        "clock": report.clock,
        "sessions": spent(report),
    }
    return {name: value for name, value in facts.items() if value}
