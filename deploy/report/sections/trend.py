"""History over commits, with the places where a level changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mobiledeploy.deploy.report.cells import figure, range_cell, words
from mobiledeploy.deploy.report.changes import ERROR, LEAST_RUNS
from mobiledeploy.deploy.report.layout import Cell, Column, Plot, Section, Table
from mobiledeploy.deploy.report.story import Story
from mobiledeploy.deploy.report.trends import Step, Trend, find_trends
from mobiledeploy.deploy.report.vega import Spec, layer, rounded, spec, tooltip

# Plots; the tables have all.
_MOST = 12
_COMMIT = 8
# From here on times of day say nothing on an axis.
_DAYS = 6
# Share of the runs that the words of a change take the place of.
_NEAR = 0.16
_BLUE = "#2f86c1"
_FAINT = {"size": 30, "opacity": 0.7, "style": "soft"}
_LEAD = (
    "A change of level is shown where the runs before and after it differ in rank by more than chance "
    f"explains (error {ERROR:.0%} for each series); fewer than {LEAST_RUNS} complete runs show none."
)
_NOTE = "Points: with 95% interval, hollow: incomplete. Line: level. Triangles: p90. Red rules: changes."
_CHANGES = (
    Column("series"),
    Column("since"),
    Column("first run"),
    Column("before", number=True),
    Column("after", number=True),
    Column("change, %", number=True),
    Column("p-value", number=True),
)
_RUNS = (
    Column("series"),
    Column("time, UTC"),
    Column("commit"),
    Column("unit"),
    Column("value", number=True),
    Column("95% interval"),
    Column("p90", number=True),
    Column("label"),
)


def tell(story: Story) -> Section:
    """A plot of each series of two runs or more; tables of changes and of all figures."""
    trends = find_trends(story)
    long = [trend for trend in trends if len(trend.steps) > 1]
    plots = tuple(
        Plot(f"history-{count}", f"{trend.label}, {_what(trend)}", _NOTE, _draw(trend))
        for count, trend in enumerate(long[:_MOST], start=1)
    )
    notes = []
    if len(long) > _MOST:
        notes.append(f"{len(long) - _MOST} more series are in the table alone; filters choose others.")
    if not long:
        notes.append("No series has two runs yet.")
    changes = tuple(cells for trend in trends for cells in _changes(trend))
    runs = tuple(_row(trend, step) for trend in trends for step in trend.steps)
    tables = [Table("changes", "Changes of level", _CHANGES, changes, brief=True)] if changes else []
    tables.append(Table("history", "All figures", _RUNS, runs))
    return Section("history", "History", _LEAD, plots, tuple(tables), tuple(notes))


def _what(trend: Trend) -> str:
    return f"{trend.metric}, {trend.unit}"


def _draw(trend: Trend) -> Spec:
    x = _x(trend)
    y = {
        "field": "y",
        "type": "quantitative",
        "title": trend.unit,
        "scale": {"zero": False},
        "axis": {"tickCount": 5},
    }
    known = {"commit": "commit", "time": "time, UTC", "y": _what(trend)}
    about = tooltip(**known, low="from", high="to", p90="p90", label="label")
    fill = {"condition": {"test": "datum.complete", "value": _BLUE}, "value": "transparent"}
    interval = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}
    p90 = {"x": x, "y": {**y, "field": "p90"}, "tooltip": about}
    median = {"x": x, "y": y, "fill": fill, "tooltip": about}
    step, tail = "isValid(datum.complete)", "isValid(datum.p90)"
    return spec(
        [*_steps(trend), *_levels(trend), *_marks(trend)],
        [
            layer("rule", interval, only=step),
            *([layer("point", p90, only=tail, shape="triangle-up", **_FAINT)] if trend.unit == "ms" else []),
            *(_change_layers(x, y) if trend.changes else []),
            layer("point", median, only=step, size=55, stroke=_BLUE, opacity=1),
        ],
        height=240,
    )


def _x(trend: Trend) -> Spec:
    if not trend.by_commit:
        days = (trend.steps[-1].run.row.time - trend.steps[0].run.row.time).days
        form = "%Y-%m-%d" if days >= _DAYS else "%m-%d %H:%M"
        axis = {"title": "UTC", "format": form, "labelOverlap": True, "tickCount": 5}
        return {"field": "place", "type": "temporal", "scale": {"type": "utc", "padding": 12}, "axis": axis}
    axis = {"labelAngle": -45, "labelOverlap": True, "title": "commit, in order of its first run"}
    order = list(dict.fromkeys(_place(trend, step) for step in trend.steps))
    return {"field": "place", "type": "ordinal", "scale": {"domain": order}, "axis": axis}


def _change_layers(x: Spec, y: Spec) -> list[Spec]:
    """The levels, and a rule with its words at each change."""
    change, level = "isValid(datum.share)", "isValid(datum.level)"
    words_ = {"x": x, "y": {"value": 4}, "text": {"field": "share"}}
    return [
        layer("line", {"x": x, "y": y, "detail": {"field": "level"}}, only=level, style="soft"),
        layer("rule", {"x": x}, only=change, color="#d1383d", strokeDash=[4, 3]),
        layer("text", words_, only=change, align="right", dx=-5, fontWeight="bold"),
    ]


def _steps(trend: Trend) -> Iterator[dict[str, Any]]:
    for step in trend.steps:
        row = step.run.row
        yield {
            "place": _place(trend, step),
            "commit": (row.git_commit or "none")[:_COMMIT],
            "time": f"{row.time:%Y-%m-%d %H:%M}",
            "label": row.label or "none",
            "complete": row.complete,
            "y": rounded(step.value),
            "low": rounded(step.low),
            "high": rounded(step.high),
            **({} if step.p90 is None else {"p90": rounded(step.p90)}),
        }


def _levels(trend: Trend) -> Iterator[dict[str, Any]]:
    """The level of each part, at the places of its first and its last run."""
    judged, changes = trend.judged, trend.changes
    borders = [0, *(item.place for _, item in changes), len(judged)]
    if not changes:
        return
    levels = [changes[0][1].before, *(item.after for _, item in changes)]
    for part, level in enumerate(levels):
        for step in (judged[borders[part]], judged[borders[part + 1] - 1]):
            yield {"place": _place(trend, step), "y": rounded(level), "level": part}


def _marks(trend: Trend) -> Iterator[dict[str, Any]]:
    """The changes; small ones near large ones have a rule and no words."""
    worded: list[int] = []
    for _, change in sorted(trend.changes, key=lambda pair: -abs(pair[1].share)):
        if all(abs(change.place - other) > _NEAR * len(trend.steps) for other in worded):
            worded.append(change.place)
    for step, change in trend.changes:
        share = f"{100 * change.share:+.1f}%" if change.place in worded else ""
        yield {"place": _place(trend, step), "share": share}


def _place(trend: Trend, step: Step) -> str:
    row = step.run.row
    return (row.git_commit or "")[:_COMMIT] if trend.by_commit else row.time.isoformat()


def _changes(trend: Trend) -> Iterator[tuple[Cell, ...]]:
    for step, change in trend.changes:
        yield (
            words(f"{trend.label}, {_what(trend)}"),
            words((step.run.row.git_commit or f"{step.run.row.time:%Y-%m-%d %H:%M}")[:16]),
            words(step.run.row.id[:_COMMIT], step.run.row.id),
            figure(change.before),
            figure(change.after),
            figure(100 * change.share, "{:+.1f}"),
            figure(change.p_value, "{:.2g}"),
        )


def _row(trend: Trend, step: Step) -> tuple[Cell, ...]:
    row = step.run.row
    return (
        words(trend.label, row.id),
        Cell(f"{row.time:%Y-%m-%d %H:%M}", row.time.isoformat()),
        words((row.git_commit or "")[:_COMMIT]),
        words(_what(trend) if trend.unit == "%" else "ms"),
        figure(step.value),
        range_cell(step.low, step.high, "{:.4g}".format),
        figure(step.p90),
        words(row.label),
    )
