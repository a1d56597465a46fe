"""Float against int8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mobiledeploy.deploy.report.cells import figure, range_cell, words
from mobiledeploy.deploy.report.layout import Cell, Column, Plot, Section, Table
from mobiledeploy.deploy.report.metrics import common, opening, with_metric
from mobiledeploy.deploy.report.pairs import Pair, find_pairs
from mobiledeploy.deploy.report.story import Story
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

_LEAD = (
    "Integer files beside the float files of the same model: told by their names, their arithmetic by "
    "what is in them."
)
_NO_PAIRS = (
    "No pair: needs a float and an integer file whose names differ in the precision alone, as convert names "
    "them, measured in the same setting."
)
_SPEED = "Below 1 the integer file is faster. Bars: from the ends of both medians' 95% intervals."
_POINTS = "Below 0 the integer file is worse, image by image. Bars: 95% interval of the paired difference."
_HEADS = (
    Column("float"),
    Column("integer"),
    Column("setting"),
    Column("float, ms", number=True),
    Column("integer, ms", number=True),
    Column("latency ratio", number=True),
    Column("interval"),
    Column("size ratio", number=True),
    Column("{metric} difference, points", number=True),
    Column("95% interval, points"),
    Column("same answer, %", number=True),
    Column("p-value", number=True),
)


def tell(story: Story) -> Section:
    """Two plots and a table."""
    pairs = find_pairs(story)
    if not pairs:
        return Section("precision", "Float against int8", _LEAD, notes=(_NO_PAIRS,))
    fast = [(pair, pair.speed, pair.speed_interval) for pair in pairs if pair.speed and pair.speed_interval]
    # One for each two files: accuracy knows no setting.
    files = {(p.before.run.row.model_sha256, p.after.run.row.model_sha256): p for p in reversed(pairs)}
    exact = [
        (pair, pair.points.points, pair.points.interval)
        for pair in files.values()
        if pair.points and pair.points.interval
    ]
    metric = common(pair.points.metric for pair in pairs if pair.points)
    plots = []
    if fast:
        values = [_value(p, p.after.label, s, i.low, i.high) for p, s, i in fast]
        plots.append(
            Plot(
                "precision-latency",
                "Latency, integer / float",
                _SPEED,
                _draw(values, 1.0, "times the float file's"),
            )
        )
    if exact:
        values = [_value(p, p.after.run.row.model_name, s, i.low, i.high) for p, s, i in reversed(exact)]
        plots.append(
            Plot(
                "precision-accuracy",
                f"{opening(metric)}, integer - float, points",
                _POINTS,
                _draw(values, 0.0, "points"),
            )
        )
    table = Table("precision", "Pairs", with_metric(_HEADS, metric), tuple(map(_row, pairs)), brief=True)
    notes = left_out(len(fast), "Latency")
    return Section("precision", "Float against int8", _LEAD, tuple(plots), (table,), tuple(notes))


def _value(pair: Pair, label: str, value: float, low: float, high: float) -> dict[str, Any]:
    figures = {"x": rounded(value), "low": rounded(low), "high": rounded(high)}
    return {"first": True, "words": f"{pair.after.mark}  {label}", "label": label, **figures}


def _draw(values: Sequence[dict[str, Any]], even: float, title: str) -> Spec:
    x = number("x", title, [], scale={"zero": False})
    y = row()
    about = tooltip(label="file", x=title, low="from", high="to")
    placed = [{**value, "row": index} for index, value in enumerate(values[:MOST_ROWS])]
    return spec(
        placed,
        [
            layer("rule", {"x": {"datum": even, "type": "quantitative"}}, strokeDash=[4, 4], style="soft"),
            layer("rule", {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y}, strokeWidth=2),
            layer(
                "point", {"x": x, "y": y, "tooltip": about}, filled=True, size=90, opacity=1, color="#d55e00"
            ),
            *row_words(y),
        ],
        **rows(len(placed)),
    )


def _row(pair: Pair) -> tuple[Cell, ...]:
    before, after, points = pair.before, pair.after, pair.points
    sizes = (after.run.row.model_size, before.run.row.model_size)
    stored = after.run.row
    threads = f"{stored.threads} thread{'' if stored.threads == 1 else 's'}" if after.timed else ""
    setting = ", ".join(filter(None, (stored.device, stored.engine, threads)))
    return (
        words(before.run.row.model_name, before.run.row.id),
        words(stored.model_name, stored.id),
        words(setting),
        figure(before.milliseconds[0] or None),
        figure(after.milliseconds[0] or None),
        figure(pair.speed, "{:.3f}"),
        range_cell(*_ends(pair.speed_interval), "{:.3f}".format),
        figure(sizes[0] / sizes[1] if sizes[0] and sizes[1] else None, "{:.3f}"),
        figure(points.points if points else None, "{:+.2f}"),
        range_cell(*_ends(points.interval if points else None), "{:+.2f}".format),
        figure(100 * points.agreement if points else None, "{:.1f}"),
        figure(points.p_value if points else None, "{:.2g}"),
    )


def _ends(interval: Any) -> tuple[float | None, float | None]:
    return (interval.low, interval.high) if interval else (None, None)
