"""A report as a comment under a change: what is short of it, in GitHub's and GitLab's Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mobiledeploy.deploy.report.layout import Cell, Column, Report, Table, Tone
from mobiledeploy.device_tests.gate.formats.markdown import escape
from mobiledeploy.runtimes.formats import needs

_TEMPLATES = Path(__file__).parent / "templates"
# GitHub takes comments of 65,536 characters.
_MOST_ROWS = 30
_MOST_VERDICTS = 30
_SIGNS: Mapping[Tone, str] = MappingProxyType({"good": "✅", "bad": "❌", "open": "❔", "plain": "▫️"})


@dataclass(frozen=True, slots=True)
class _Short:
    """A table with its first rows; ``shown``: places of the columns that say anything."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    shown: tuple[int, ...]
    more: int


def markdown(report: Report, pictures: Mapping[str, str] = MappingProxyType({})) -> str:
    """Verdicts, and the tables that are short.

    Args:
        report: what to show.
        pictures: name of a plot -> its file, as a link from where the text stands.

    Raises:
        EnvironmentProblem: Jinja2 is not on this machine.
    """
    with needs("report"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    environment = Environment(  # noqa: S701 -- Markdown, which ``markdown`` escapes for
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["markdown"] = escape
    plots = [plot for section in report.sections for plot in section.plots]
    return environment.get_template("brief.md.j2").render(
        report=report,
        verdicts=report.verdicts[:_MOST_VERDICTS],
        more_verdicts=len(report.verdicts[_MOST_VERDICTS:]),
        signs=_SIGNS,
        tables=[_short(table) for section in report.sections for table in section.tables if table.brief],
        pictures=[(pictures[plot.name], plot.title) for plot in plots if plot.name in pictures],
    )


def _short(table: Table) -> _Short:
    shown = tuple(place for place in range(len(table.columns)) if any(row[place].text for row in table.rows))
    rows = table.rows[:_MOST_ROWS]
    return _Short(table.title, table.columns, rows, shown, len(table.rows) - len(rows))
