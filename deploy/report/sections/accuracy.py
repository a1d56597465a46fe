"""Accuracy against latency, and against mult-adds as Figure 4 of the MobileNets paper draws it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mobiledeploy.deploy.commands.tables import milliseconds
from mobiledeploy.deploy.front import pareto_front
from mobiledeploy.deploy.report.cells import figure, range_cell, time_cell, words
from mobiledeploy.deploy.report.layout import Cell, Column, Plot, Section, Table
from mobiledeploy.deploy.report.marks import joined_marks, shares
from mobiledeploy.deploy.report.metrics import common, opening, percent, with_metric
from mobiledeploy.deploy.report.story import Story, Subject, by_device
from mobiledeploy.deploy.report.vega import Spec, layer, number, rounded, spec, tooltip
from mobiledeploy.device_tests.tasks.metric import Figure

_LEAD = (
    "Every file in every setting as it was measured last. A file is on the front where no other one is at "
    "least as accurate for as little, and better in one of the two."
)
_NOTE = "Filled points and the dashed line: the Pareto front. Bars: 95% intervals. Letters: the table below."
_NO_ACCURACY = "No accuracy: mobiledeploy evaluate FILE --images DIR adds it."
_NO_COST = "Mult-adds are counted from files: --file FILE gives one whose runs are shown."
_HEADS = (
    Column("mark"),
    Column("file"),
    Column("arithmetic"),
    Column("device"),
    Column("engine"),
    Column("threads", number=True),
    Column("median, ms", number=True),
    Column("95% interval, ms"),
    Column("p90, ms", number=True),
    Column("{metric}, %", number=True),
    Column("95% interval, %"),
    Column("images", number=True),
    Column("size, MB", number=True),
    Column("mult-adds, M", number=True),
    Column("parameters, M", number=True),
    Column("on the front of"),
)


@dataclass(frozen=True, slots=True)
class _Point:
    """A subject with accuracy: what it costs and its interval, its figure in percent and its interval."""

    subject: Subject
    cost: tuple[float, float, float]
    value: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Chart:
    """One plot before it is drawn."""

    name: str
    title: str
    axis: str
    front_of: str
    metric: str
    points: tuple[_Point, ...]

    @property
    def front(self) -> tuple[int, ...]:
        return pareto_front([(point.cost[0], point.value[0]) for point in self.points])


def tell(story: Story) -> Section:
    """The plots where there is accuracy, and a table of every subject."""
    charts = [*_of_latency(story), *_of_cost(story)]
    fronts: dict[str, list[str]] = {}
    for chart in charts:
        for place in chart.front:
            fronts.setdefault(chart.points[place].subject.mark, []).append(chart.front_of)
    plots = tuple(Plot(chart.name, chart.title, _NOTE, _draw(chart)) for chart in charts)
    notes = []
    if not story.collected.accuracies:
        notes.append(_NO_ACCURACY)
    elif not any(subject.cost for subject in story.subjects):
        notes.append(_NO_COST)
    metric = common(subject.accuracy.headline.name for subject in story.subjects if subject.accuracy)
    rows = tuple(_row(subject, fronts.get(subject.mark, []), metric) for subject in story.subjects)
    table = Table("files", "Files and settings", with_metric(_HEADS, metric), rows, brief=True)
    return Section("accuracy", "Accuracy, latency and cost", _LEAD, plots, (table,), tuple(notes))


def _of_latency(story: Story) -> Iterator[_Chart]:
    """One for each device and set of images."""
    count = 0
    for device, subjects in by_device(story.subjects).items():
        for (metric, images), points in _by_images((s, s.milliseconds) for s in subjects).items():
            count += 1
            title = f"{opening(metric)} against latency on {device}, {images}"
            front_of = f"latency on {device}"
            yield _Chart(f"accuracy-latency-{count}", title, "median latency, ms", front_of, metric, points)


def _of_cost(story: Story) -> Iterator[_Chart]:
    """The same of mult-adds: no device, so that a file is one point."""
    first = {subject.run.row.model_sha256: subject for subject in reversed(story.subjects)}
    known = [subject for subject in story.subjects if subject in first.values()]
    costs = ((s, (s.cost.mult_adds / 1e6,) * 3) for s in known if s.cost)
    for count, ((metric, images), points) in enumerate(_by_images(costs).items(), start=1):
        title = f"{opening(metric)} against mult-adds, {images}"
        yield _Chart(f"accuracy-mult-adds-{count}", title, "million mult-adds", "mult-adds", metric, points)


def _by_images(
    costs: Iterable[tuple[Subject, tuple[float, float, float]]],
) -> dict[tuple[str, str], tuple[_Point, ...]]:
    """By metric and images: figures of different ones are not compared."""
    found: dict[tuple[str, str], tuple[_Point, ...]] = {}
    for subject, cost in costs:
        if (run := subject.accuracy) and subject.evaluation:
            key = run.headline.name, f"{run.images} images (set {subject.evaluation.images})"
            found[key] = (*found.get(key, ()), _Point(subject, cost, percent(run.headline)))
    return found


def _draw(chart: _Chart) -> Spec:
    x = number("x", chart.axis, [point.cost[0] for point in chart.points])
    what = f"{chart.metric}, %"
    y = number("y", what, [], axis={"tickCount": 5})
    colour = {"field": "kind", "type": "nominal"}
    about = tooltip(
        mark="mark", label="file", kind="arithmetic", x=chart.axis, y=what, y_low="from", y_high="to"
    )
    bar = {"color": colour, "opacity": {"value": 0.7}}
    filled = {"condition": {"test": "datum.front", **colour, "legend": None}, "value": "transparent"}
    return spec(
        _values(chart, logarithmic=x["scale"].get("type") == "log"),
        [
            layer(
                "line",
                {"x": x, "y": y, "order": {"field": "x"}},
                only="datum.front",
                strokeDash=[4, 4],
                interpolate="step-after",
                style="soft",
            ),
            layer("rule", {"x": {**x, "field": "x_low"}, "x2": {"field": "x_high"}, "y": y, **bar}),
            layer("rule", {"x": x, "y": {**y, "field": "y_low"}, "y2": {"field": "y_high"}, **bar}),
            layer(
                "point",
                {"x": x, "y": y, "color": colour, "fill": filled, "tooltip": about},
                size=80,
                strokeWidth=2,
            ),
            layer("text", {"x": x, "y": y, "text": {"field": "words"}}, dx=9, dy=-9, align="left"),
        ],
        height=320,
    )


def _values(chart: _Chart, *, logarithmic: bool) -> Iterator[dict[str, Any]]:
    costs = [point.cost[0] for point in chart.points]
    across = shares([math.log(cost) for cost in costs] if logarithmic else costs)
    up = shares([point.value[0] for point in chart.points])
    marks = joined_marks([point.subject.mark for point in chart.points], list(zip(across, up, strict=True)))
    front = set(chart.front)
    for index, (point, beside) in enumerate(zip(chart.points, marks, strict=True)):
        names = ("x", "x_low", "x_high", "y", "y_low", "y_high")
        yield {
            "mark": point.subject.mark,
            "words": beside,
            "label": point.subject.label,
            "kind": point.subject.arithmetic or "arithmetic not known",
            "front": index in front,
            **{name: rounded(value) for name, value in zip(names, (*point.cost, *point.value), strict=True)},
        }


def _row(subject: Subject, fronts: Sequence[str], metric: str) -> tuple[Cell, ...]:
    row, cost, run = subject.run.row, subject.cost, subject.accuracy
    ends = run.headline.interval if run else None
    time = row.id if subject.timed else ""
    known = subject.evaluation.row.id if subject.evaluation else ""
    stored = row.model_size or (cost.size if cost else None)
    return (
        words(subject.mark),
        words(row.model_name),
        words(subject.arithmetic),
        words(row.device or "this host"),
        words(" ".join(filter(None, (row.engine, row.engine_version)))),
        figure(row.threads, "{}"),
        time_cell(row.median_ns, time),
        range_cell(row.low_ns, row.high_ns, milliseconds),
        time_cell(row.p90_ns, time),
        _accuracy(run.headline, metric, known) if run else words(""),
        range_cell(100 * ends.low, 100 * ends.high) if ends else words(""),
        figure(run.images if run else None, "{}", known),
        figure(stored / 1e6 if stored else None, "{:.3f}"),
        figure(cost.mult_adds / 1e6 if cost else None, "{:.2f}"),
        figure(cost.parameters / 1e6 if cost else None, "{:.3f}"),
        words(", ".join(dict.fromkeys(fronts))),
    )


def _accuracy(found: Figure, metric: str, run: str) -> Cell:
    """A cell that says whose figure it is where the head cannot."""
    name = "" if found.name == metric else f"{found.name} "
    return Cell(f"{name}{100 * found.value:.2f}", 100 * found.value, run)
