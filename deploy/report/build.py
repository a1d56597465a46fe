"""From stored runs and given files to a report."""

from __future__ import annotations

from collections import Counter

from mobiledeploy.deploy.report.given import Given
from mobiledeploy.deploy.report.layout import Provenance, Report
from mobiledeploy.deploy.report.sections import SECTIONS
from mobiledeploy.deploy.report.seen import Collected, Seen
from mobiledeploy.deploy.report.story import Story
from mobiledeploy.deploy.report.verdicts import find_verdicts
from mobiledeploy.device_tests.errors import one_line


def build(collected: Collected, given: Given, title: str) -> Report:
    """The same runs and files give the same report: it holds no time of its own.

    Args:
        collected: at least one run.
        given: what no history holds.
        title: one line.

    Raises:
        InputError: a given model file is of no run.
    """
    story = Story(collected, given)
    return Report(
        one_line(title),
        tuple(_facts(collected)),
        find_verdicts(story),
        tuple(tell(story) for tell in SECTIONS),
        tuple(_provenance(run) for run in collected.runs),
    )


def _facts(collected: Collected) -> list[tuple[str, str]]:
    stored = collected.runs
    first, last = stored[0].row.time, stored[-1].row.time
    runs = [run for run in stored if run.told is None]
    devices = {run.row.device or "this host" for run in runs}
    found = Counter(run.row.kind for run in stored if run.told)
    return [
        ("runs", f"{len(stored)} of {collected.total}"),
        *((f"{kind} among them", str(count)) for kind, count in sorted(found.items())),
        ("files", str(len({run.row.model_sha256 for run in runs}))),
        ("devices", str(len(devices))),
        ("from", f"{first:%Y-%m-%d %H:%M} UTC"),
        ("to", f"{last:%Y-%m-%d %H:%M} UTC"),
        ("history", collected.where),
    ]


def _provenance(run: Seen) -> Provenance:
    row = run.row
    where = row.device or "this host"
    title = f"{row.id[:8]}: {row.kind} of {row.model_name} on {where}, {row.time:%Y-%m-%d %H:%M}"
    beware = [("beware", "; ".join(run.beware))] if run.beware else []
    return Provenance(row.id, title, (*run.facts, *beware))
