"""GitHub Actions: a line for each gate that does not pass, which GitHub shows as an annotation.

Workflow commands are lines like ``::error title=TITLE::MESSAGE``, on standard output or error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mobiledeploy.device_tests.gate.formats import markdown
from mobiledeploy.device_tests.gate.formats.words import title
from mobiledeploy.device_tests.gate.report import GateReport
from mobiledeploy.errors import OutputError

_LEVELS = {"fail": "error", "trouble": "error", "inconclusive": "warning"}
_TITLES = {"fail": "failed", "trouble": "the device could not tell", "inconclusive": "inconclusive"}


def render(report: GateReport) -> str:
    """Workflow commands, each with its line end; empty where all gates pass.

    Args:
        report: of a gate.
    """
    return "".join(
        f"::{_LEVELS[result.outcome]} "
        f"title={_property(f'{result.name} {_TITLES[result.outcome]}')}"
        f"::{_message(f'{title(report)}: {result.reason}')}\n"
        for result in report.gates
        if result.outcome in _LEVELS
    )


def in_actions(environment: Mapping[str, str]) -> bool:
    """Whether this process is part of a job of GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def append_summary(report: GateReport, environment: Mapping[str, str]) -> None:
    """The report in Markdown at the end of the step's summary, if the step has one.

    Raises:
        OutputError: the summary cannot be written.
    """
    if file := environment.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(file).open("a", encoding="utf-8", newline="\n") as summary:
                summary.write(markdown.render(report))
        except OSError as error:
            raise OutputError(
                f"cannot be written ({error.strerror or error})",
                where=file,
                hint="Correct or unset GITHUB_STEP_SUMMARY",
            ) from error


def _message(text: str) -> str:
    """Escaped as GitHub's own toolkit does, so that no text begins another command."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return plain.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Colons and commas end a property."""
    return _message(text).replace(":", "%3A").replace(",", "%2C")
