"""Stored figures as series: what a plot of the history draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.device_tests.history.rows import Kind, Row
from mobiledeploy.device_tests.latency_run import EMULATED_CLOCK
from mobiledeploy.errors import InputError

By = Literal["time", "commit"]
# More cannot be told apart.
MOST = 8
_TICKS = 6
_COMMIT = 8
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Point:
    """One run; times in milliseconds, accuracy in percent.

    Attributes:
        x: seconds since 1970, or the commit's place.
        median, low, high, p90: of latency; low and high: 95% of the median.  Of accuracy all are its
            figure, but for p90, which it has none of.
        complete: the run came to its end.
    """

    x: float
    median: float
    low: float
    high: float
    p90: float | None
    complete: bool


@dataclass(frozen=True, slots=True)
class Series:
    """Runs that may be compared: same file name, device and engine; of latency also the same threads,
    affinity, pace and clock; of accuracy the same metric.

    Attributes:
        mark: a letter that stands for it.
        label: what it is, one line.
        points: in order of time.
    """

    mark: str
    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that is drawn.

    Attributes:
        by: what the horizontal axis is.
        series: at most ``MOST``.
        ticks: places on the axis and their words.
        left_out: runs that could not be drawn, one phrase for each reason.
        kind: what is drawn.
    """

    by: By
    series: tuple[Series, ...]
    ticks: tuple[tuple[float, str], ...]
    left_out: tuple[str, ...]
    kind: Kind = "latency"

    @property
    def title(self) -> str:
        """Its first line; says so if any time is an emulated one."""
        if self.kind == "accuracy":
            return "Accuracy, %"
        emulated = any(EMULATED_CLOCK in series.label for series in self.series)
        return f"Latency, ms ({EMULATED_CLOCK} where marked)" if emulated else "Latency, ms"


def chart(rows: Iterable[Row], by: By, kind: Kind = "latency") -> Chart:
    """Series of the latencies, or of the accuracies, among the rows.

    Raises:
        InputError: there is nothing to draw, or more than ``MOST`` series.
    """
    wanted = [row for row in rows if row.kind == kind]
    timed = [row for row in wanted if row.median_ns is not None or row.value is not None]
    drawn = timed if by == "time" else [row for row in timed if row.git_commit]
    left_out = tuple(
        f"{count} {reason}"
        for count, reason in (
            (len(wanted) - len(timed), "without samples"),
            (len(timed) - len(drawn), "without a commit"),
        )
        if count
    )
    if not drawn:
        hint = "Widen the filters; `mobiledeploy history list` shows what there is"
        what = "latencies" if kind == "latency" else "accuracies"
        raise InputError(" and ".join((f"no {what} to draw by {by}", *left_out)), hint=hint)
    named = grouped(drawn)
    if len(named) > MOST:
        hint = "Narrow it down with --model, --device, --engine, --label or --since"
        raise InputError(f"{len(named)} series, more than {MOST}, cannot be told apart", hint=hint)
    place, ticks = _by_time(drawn) if by == "time" else _by_commit(drawn)
    series = tuple(
        Series(chr(ord("A") + index), label, tuple(map(_point(place), group)))
        for index, (label, group) in enumerate(named)
    )
    return Chart(by, series, ticks, left_out, kind)


def grouped(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Runs that may be compared, see ``Series``: what they are in one line, and they in order.

    By label, so that the same runs always come in the same order.
    """
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    differing = _differing(list(groups))
    labelled = ((_label(group[0], differing), group) for group in groups.values())
    return sorted(labelled, key=lambda item: item[0])


def _key(row: Row) -> tuple[object, ...]:
    return (
        row.model_name,
        row.device,
        row.threads,
        row.engine,
        row.affinity,
        row.mode,
        row.clock,
        row.metric,
    )


def _differing(keys: Sequence[tuple[object, ...]]) -> tuple[bool, bool, bool]:
    """Whether engines, affinities and paces have to be named to tell the series apart."""
    engines, affinities, modes = (len({key[place] for key in keys}) > 1 for place in (3, 4, 5))
    return engines, affinities, modes


def _label(row: Row, differing: tuple[bool, bool, bool]) -> str:
    engine, affinity, mode = differing
    parts = [
        row.model_name,
        row.device or ("" if row.metric is None else "this host"),
        "" if row.threads is None else f"{row.threads} thread{'' if row.threads == 1 else 's'}",
        one_line(row.metric or ""),
        row.engine if engine else "",
        f"cores {row.affinity}" if affinity else "",
        (row.mode or "") if mode else "",
    ]
    emulated = f" ({EMULATED_CLOCK})" if row.clock == EMULATED_CLOCK else ""
    return ", ".join(filter(None, parts)) + emulated


def _point(place: Callable[[Row], float]) -> Callable[[Row], Point]:
    def point(row: Row) -> Point:
        if row.value is not None:
            share = 100 * row.value
            return Point(place(row), share, share, share, None, row.complete)
        median = row.median_ns or 0.0
        others = (row.low_ns, row.high_ns, row.p90_ns)
        low, high, p90 = (median if value is None else value for value in others)
        return Point(place(row), median / 1e6, low / 1e6, high / 1e6, p90 / 1e6, row.complete)

    return point


def _by_time(rows: Sequence[Row]) -> tuple[Callable[[Row], float], tuple[tuple[float, str], ...]]:
    moments = [row.time.timestamp() for row in rows]
    first, last = min(moments), max(moments)
    form = "%Y-%m-%d" if last - first > _TICKS * _DAY else "%m-%d %H:%M"
    step = (last - first) / (_TICKS - 1)
    places = [first + index * step for index in range(_TICKS)] if step else [first]
    ticks = tuple((place, datetime.fromtimestamp(place, UTC).strftime(form)) for place in places)
    return lambda row: row.time.timestamp(), ticks


def _by_commit(rows: Sequence[Row]) -> tuple[Callable[[Row], float], tuple[tuple[float, str], ...]]:
    """Commits in order of their first run: a history of runs knows no other."""
    order = {name: float(index) for index, name in enumerate(dict.fromkeys(row.git_commit for row in rows))}
    every = -(-len(order) // (2 * _TICKS))
    ticks = tuple((place, (name or "")[:_COMMIT]) for name, place in order.items() if place % every == 0)
    return lambda row: order[row.git_commit], ticks
