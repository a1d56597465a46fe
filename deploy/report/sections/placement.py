"""Which share of the operators a delegate took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mobiledeploy.deploy.report.cells import figure, words
from mobiledeploy.deploy.report.layout import Cell, Column, Plot, Section, Table
from mobiledeploy.deploy.report.seen import Seen
from mobiledeploy.deploy.report.story import Story, Subject
from mobiledeploy.deploy.report.vega import (
    MOST_ROWS,
    Spec,
    layer,
    left_out,
    row,
    row_words,
    rows,
    spec,
    tooltip,
)
from mobiledeploy.device_tests.latency_run import EngineUsed

_LEAD = (
    "What ran where, by the engine's own words; what a delegate does not take runs on the engine's kernels."
)
_NOTE = "Operators of the graph."
_NOT_TOLD = "None of the engines says what a delegate took."
_HEADS = (
    Column("mark"),
    Column("file and setting"),
    Column("engine"),
    Column("delegate"),
    Column("operators", number=True),
    Column("delegated", number=True),
    Column("share, %", number=True),
)


def tell(story: Story) -> Section:
    """A plot of those that tell, and a table of all."""
    used = [(s, s.run, s.run.engine) for s in story.subjects if s.timed and s.run.engine]
    told = [(subject, engine) for subject, _, engine in used if engine.delegated_share is not None]
    plots = (
        (Plot("placement-1", "Operators by where they ran", _NOTE, _draw(told[:MOST_ROWS])),) if told else ()
    )
    rows_ = tuple(_row(subject, run, engine) for subject, run, engine in used)
    tables = (Table("placement", "Placement", _HEADS, rows_),) if used else ()
    notes = left_out(len(told), "Placement") if told else [_NOT_TOLD]
    return Section("placement", "Placement", _LEAD, plots, tables, tuple(notes))


def _draw(told: Sequence[tuple[Subject, EngineUsed]]) -> Spec:
    y, x = row(), {"field": "count", "type": "quantitative", "title": "operators", "stack": "zero"}
    about = tooltip(label="file", where="where", count="operators")
    bars = {
        "x": x,
        "y": y,
        "color": {"field": "where", "type": "nominal"},
        "order": {"field": "place"},
        "tooltip": about,
    }
    return spec(_values(told), [layer("bar", bars, height=16, yOffset=4), *row_words(y)], **rows(len(told)))


def _values(told: Sequence[tuple[Subject, EngineUsed]]) -> Iterator[dict[str, Any]]:
    for index, (subject, engine) in enumerate(told):
        delegated, nodes = engine.delegated or 0, engine.nodes or 0
        parts = (
            (words(engine.delegate or "delegate").text, delegated),
            (f"{words(engine.name).text}'s own kernels", nodes - delegated),
        )
        for place, (where, count) in enumerate(part for part in parts if part[1]):
            yield {
                "row": index,
                "first": not place,
                "words": f"{subject.mark}  {subject.label}",
                "label": subject.label,
                "where": where,
                "place": place,
                "count": count,
            }


def _row(subject: Subject, run: Seen, engine: EngineUsed) -> tuple[Cell, ...]:
    share = engine.delegated_share
    return (
        words(subject.mark),
        words(subject.label, run.row.id),
        words(f"{engine.name} {engine.version}"),
        words(engine.delegate or "none, or not told"),
        figure(engine.nodes, "{}"),
        figure(engine.delegated, "{}"),
        figure(None if share is None else 100 * share, "{:.0f}"),
    )
