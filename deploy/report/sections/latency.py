"""How latencies are spread, by device and run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mobiledeploy.deploy.commands.tables import milliseconds
from mobiledeploy.deploy.report.cells import figure, range_cell, time_cell, words
from mobiledeploy.deploy.report.layout import Cell, Column, Plot, Section, Table
from mobiledeploy.deploy.report.seen import Spread
from mobiledeploy.deploy.report.story import Story, Subject, by_device
from mobiledeploy.deploy.report.vega import (
    MOST_ROWS,
    Spec,
    layer,
    left_out,
    number,
    rounded,
    row,
    row_words,
    rows,
    spec,
    tooltip,
)

_LEAD = "All samples of the latest run of every file in every setting, not a figure of them alone."
_NOTE = (
    "Ticks: samples, evenly chosen by rank. Bar: the middle half. Circle: median. Triangle: p90. "
    "The axis ends at the largest 99th percentile."
)
_HEADS = (
    Column("mark"),
    Column("file and setting"),
    Column("samples", number=True),
    Column("median, ms", number=True),
    Column("95% interval, ms"),
    Column("p90, ms", number=True),
    Column("p99, ms", number=True),
    Column("slowest, ms", number=True),
    Column("init, ms", number=True),
    Column("memory, MB", number=True),
    Column("beware"),
)


def tell(story: Story) -> Section:
    """A plot for each device, and a table."""
    subjects = [subject for subject in story.subjects if subject.timed]
    table = Table("latency", "Latency, latest runs", _HEADS, tuple(map(_row, subjects)))
    plots, notes = [], []
    for count, (device, group) in enumerate(by_device(subjects).items(), start=1):
        drawn = [(subject, spread) for subject in group if (spread := subject.run.spread)]
        notes += left_out(len(drawn), f"Latency on {device}")
        title = f"Latency on {device}, ms"
        plots.append(Plot(f"latency-{count}", title, _NOTE, _draw(drawn[:MOST_ROWS])))
    if not subjects:
        notes.append("No latencies: mobiledeploy benchmark FILE --device REF adds some.")
    return Section("latency", "Latency", _LEAD, tuple(plots), (table,) if subjects else (), tuple(notes))


def _draw(drawn: Sequence[tuple[Subject, Spread]]) -> Spec:
    largest = rounded(max(spread.p99 for _, spread in drawn))
    least = rounded(min(spread.samples[0] for _, spread in drawn))
    x = number("x", "ms", [least, largest], scale={"domain": [least, max(largest, least * 1.001)]})
    y = row()
    about = tooltip(
        label="file", x="median, ms", low="from", high="to", p25="p25", p75="p75", p90="p90", p99="p99"
    )
    sample = layer(
        "tick",
        {"x": x, "y": y},
        only="datum.sample",
        clip=True,
        size=12,
        opacity=0.4,
        color="#56a0d8",
        yOffset=12,
        thickness=1,
    )
    bar = {"x": {**x, "field": "p25"}, "x2": {"field": "p75"}, "y": y, "tooltip": about}
    rule = {"x": {**x, "field": "p1"}, "x2": {"field": "p99"}, "y": y}
    p90 = {"x": {**x, "field": "p90"}, "y": y, "tooltip": about}
    first = "datum.first"
    return spec(
        _values(drawn),
        [
            layer("rule", rule, only=first, clip=True),
            layer("bar", bar, only=first, height=8, opacity=0.55, clip=True, color="#56a0d8"),
            layer(
                "point", p90, only=first, shape="triangle-up", filled=True, size=45, clip=True, style="strong"
            ),
            layer(
                "point",
                {"x": x, "y": y, "tooltip": about},
                only=first,
                filled=True,
                size=60,
                opacity=1,
                clip=True,
                style="strong",
            ),
            sample,
            *row_words(y),
        ],
        **rows(len(drawn)),
    )


def _values(drawn: Sequence[tuple[Subject, Spread]]) -> Iterator[dict[str, Any]]:
    for index, (subject, spread) in enumerate(drawn):
        median, low, high = map(rounded, subject.milliseconds)
        p90 = rounded((subject.run.row.p90_ns or 0.0) / 1e6)
        yield {
            "row": index,
            "first": True,
            "words": subject.words,
            "label": subject.label,
            "x": median,
            "low": low,
            "high": high,
            "p90": p90,
            **{name: rounded(getattr(spread, name)) for name in ("p1", "p25", "p75", "p99")},
        }
        yield from ({"row": index, "sample": True, "x": rounded(value)} for value in spread.samples)


def _row(subject: Subject) -> tuple[Cell, ...]:
    stored, spread = subject.run.row, subject.run.spread
    return (
        words(subject.mark),
        words(subject.label, stored.id),
        figure(stored.samples, "{}"),
        time_cell(stored.median_ns),
        range_cell(stored.low_ns, stored.high_ns, milliseconds),
        time_cell(stored.p90_ns),
        time_cell(stored.p99_ns),
        time_cell(1e6 * spread.samples[-1] if spread else None),
        time_cell(stored.init_ns),
        figure(stored.memory_peak / 1e6 if stored.memory_peak else None, "{:.1f}"),
        words("; ".join(subject.run.beware)),
    )
