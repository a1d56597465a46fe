"""Time of each operator, from runs with a profile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from mobiledeploy.deploy.report.cells import figure, words
from mobiledeploy.deploy.report.layout import Cell, Column, Plot, Section, Table
from mobiledeploy.deploy.report.seen import Seen
from mobiledeploy.deploy.report.story import Story, Subject, by_device
from mobiledeploy.deploy.report.vega import (
    MOST_ROWS,
    Spec,
    layer,
    left_out,
    rounded,
    row,
    row_words,
    rows,
    spec,
    tooltip,
)
from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.runtimes.runner.report import OpTime

# As many as there are colours; the rest is one.
_KINDS = 7
_REST = "other"
_LEAD = (
    "Mean time of a call, of inferences after those that are measured: a profile takes time itself, so that "
    "sums are no latencies."
)
_MISSING = "No profile: mobiledeploy benchmark FILE --device REF --profile takes one."
_HEADS = (
    Column("mark"),
    Column("file"),
    Column("operator"),
    Column("kind"),
    Column("ms", number=True),
    Column("share, %", number=True),
    Column("calls", number=True),
)


def tell(story: Story) -> Section:
    """A plot for each device, by kind, and a table of every operator."""
    latest = {
        series.label: next((run for run in reversed(series.runs) if run.ops), None) for series in story.series
    }
    subjects = [(s, run) for s in story.subjects if s.timed and (run := latest.get(s.label))]
    if not subjects:
        return Section("operators", "Time by operator", _LEAD, notes=(_MISSING,))
    notes = left_out(len(subjects), "Profiles")
    # The table as well: a file may have a hundred operators.
    subjects = subjects[:MOST_ROWS]
    profiles = {subject.mark: run for subject, run in subjects}
    plots = tuple(
        Plot(
            f"operators-{count}",
            f"Time by kind of operator on {device}, ms",
            "One bar for each file and setting; kinds in the order of all their times together.",
            _draw([(subject, profiles[subject.mark]) for subject in group]),
        )
        for count, (device, group) in enumerate(by_device(s for s, _ in subjects).items(), start=1)
    )
    found = tuple(cells for subject, run in subjects for cells in _rows(subject, run))
    table = Table("operators", "Operators", _HEADS, found)
    return Section("operators", "Time by operator", _LEAD, plots, (table,), tuple(notes))


def _draw(profiles: Sequence[tuple[Subject, Seen]]) -> Spec:
    times: defaultdict[str, float] = defaultdict(float)
    for _, run in profiles:
        for op in run.ops:
            times[one_line(op.kind)] += _mean(op)
    named = sorted(times, key=lambda kind: -times[kind])[:_KINDS]
    order = [*named, _REST] if len(times) > len(named) else named
    y, x = row(), {"field": "ms", "type": "quantitative", "title": "ms", "stack": "zero"}
    colour = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": order},
        "legend": {"columns": {"expr": "width < 420 ? 1 : 2"}},
    }
    about = tooltip(label="file", kind="kind", ms="ms", operators="operators")
    bars = {"x": x, "y": y, "color": colour, "order": {"field": "place"}, "tooltip": about}
    return spec(
        _values(profiles, order),
        [layer("bar", bars, height=16, yOffset=4), *row_words(y)],
        **rows(len(profiles)),
    )


def _values(profiles: Sequence[tuple[Subject, Seen]], order: Sequence[str]) -> Iterator[dict[str, Any]]:
    for index, (subject, run) in enumerate(profiles):
        times: defaultdict[str, float] = defaultdict(float)
        counts: Counter[str] = Counter()
        for op in run.ops:
            kind = one_line(op.kind)
            shown = kind if kind in order else _REST
            times[shown] += _mean(op)
            counts[shown] += 1
        for place, kind in enumerate(order):
            if counts[kind]:
                yield {
                    "row": index,
                    "first": place == min(order.index(known) for known in counts),
                    "words": subject.words,
                    "label": subject.label,
                    "kind": kind,
                    "place": place,
                    "ms": rounded(times[kind]),
                    "operators": counts[kind],
                }


def _rows(subject: Subject, run: Seen) -> Iterator[tuple[Cell, ...]]:
    whole = sum(map(_mean, run.ops))
    for op in run.ops:
        yield (
            words(subject.mark),
            words(run.row.model_name, run.row.id),
            words(op.name),
            words(op.kind),
            figure(_mean(op), "{:.4f}"),
            figure(100 * _mean(op) / whole if whole else None, "{:.1f}"),
            figure(op.calls, "{}"),
        )


def _mean(op: OpTime) -> float:
    """Milliseconds of a call."""
    return op.ns / op.calls / 1e6 if op.calls else 0.0
