"""Stored runs for people: a list, and one run whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mobiledeploy.deploy.commands.tables import columns, milliseconds, pairs, size
from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.device_tests.history import Record, Row
from mobiledeploy.device_tests.history.findings import Finding
from mobiledeploy.device_tests.latency_run import EMULATED_CLOCK, LatencyRun

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from mobiledeploy.device_tests.accuracy_run import AccuracyRun
    from mobiledeploy.device_tests.conditions import Conditions
    from mobiledeploy.device_tests.tasks.metric import Figure

# Enough of an id to be the only one.
_ID = 8


def listing(rows: Sequence[Row], where: str, total: int) -> RenderableType:
    """A few lines per run, as a terminal has 80 columns."""
    from rich.console import Group

    table = columns(("id", "time, UTC", "result", "run"), map(_cells, rows))
    for column in table.columns[:-1]:
        # Names fold, figures do not.
        column.no_wrap = True
    shown = f"{len(rows)} of {total} runs in {where}"
    return Group(*([table] if rows else []), pairs([("shown", shown)]))


def _cells(row: Row) -> tuple[str, ...]:
    threads = "" if row.threads is None else f"{row.threads} thread{'' if row.threads == 1 else 's'}"
    setting = ", ".join(filter(None, (row.device, row.engine, threads)))
    words = "; ".join(filter(None, (row.label, *row.notes)))
    return (
        one_line(row.id)[:_ID],
        f"{row.time:%Y-%m-%d}\n{row.time:%H:%M}",
        "\n".join(_result(row)),
        "\n".join(filter(None, map(one_line, (row.model_name, setting, words)))),
    )


def _result(row: Row) -> Iterable[str]:
    if row.outcome is not None:
        yield row.kind
        yield row.outcome
    elif row.value is not None:
        yield f"{one_line(row.metric or '')} {100 * row.value:.1f}%"
        yield f"of {row.images} images"
    elif row.median_ns is None:
        yield "no samples"
    else:
        yield f"{milliseconds(row.median_ns)} ms"
        if row.low_ns is not None and row.high_ns is not None:
            yield f"95%: {_range(row.low_ns, row.high_ns)}"
        if row.p90_ns is not None:
            yield f"p90: {milliseconds(row.p90_ns)}"


def whole(record: Record, document: dict[str, Any]) -> RenderableType:
    """Everything that a person reads of one run.

    Args:
        record: the run.
        document: as it is stored, with the figures drawn from it.
    """
    from rich.console import Group

    run, tables = record.run, []
    if isinstance(run, LatencyRun) and run.launches:
        heads = ("launch", "samples", "init ms", "first ms", "median ms", "memory", "complete")
        tables = [columns(heads, _launches(run))]
    if isinstance(run, Finding):
        tables = [_parts(run)]
    return Group(pairs(everything(record, document)), *tables)


def _parts(found: Finding) -> Table:
    """The gates of a report, the layers of a diagnosis."""
    names = ("name", "outcome", "reason") if found.kind == "gate" else ("module", "operation", "isolated")
    rows = found.data.get("gates" if found.kind == "gate" else "layers", ())
    cells = [tuple(one_line(_shown(row.get(name))) for name in names) for row in rows]
    return columns(names, cells)


def _shown(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else "" if value is None else str(value)


def everything(record: Record, document: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what is known of a run, launches apart; each one line; empty: not known.

    Args:
        record, document: as for ``whole``.
    """
    head = [
        ("id", record.id),
        ("kind", record.kind),
        ("time, UTC", record.time),
        ("label", record.label),
        ("commit", record.commit),
        ("mobiledeploy", record.harness),
    ]
    run = record.run
    rest: Sequence[tuple[str, str | None]]
    if isinstance(run, LatencyRun):
        rest = _latency(run, document["run"].get("summary"))
    elif isinstance(run, Finding):
        rest = _finding(run)
    else:
        rest = [("device", record.device), *_accuracy(run)]
    # Names may come from a device or from somebody else's database.
    return [(name, one_line(value or "")) for name, value in [*head, *rest]]


def _latency(run: LatencyRun, summary: dict[str, Any] | None) -> list[tuple[str, str | None]]:
    facts, model, engine, timing = run.facts, run.model, run.engine, run.timing
    name = " ".join(filter(None, (facts.manufacturer, facts.model)))
    pace = f"a sample every {timing.period_us / 1000:g} ms" if timing.period_us else "burst"
    return [
        ("device", f"{run.device} ({name})" if name else run.device),
        ("SoC", facts.soc),
        ("system", ", ".join(filter(None, (facts.os, facts.kernel)))),
        ("build", facts.build),
        ("virtual", f"yes ({facts.emulated_sign})" if facts.emulated else None),
        ("model", f"{model.name}, {model.target}, {model.arithmetic}, {size(model.size)}"),
        ("sha256", model.sha256),
        ("engine", f"{engine.name} {engine.version}, {engine.runner}"),
        ("runner sha256", engine.runner_sha256),
        ("library sha256", engine.library_sha256),
        ("delegate", _delegate(run)),
        ("threads", str(run.threads)),
        ("cores", ", ".join(map(str, run.affinity)) or "all"),
        ("pace", pace),
        ("clock", run.clock),
        ("held", ", ".join(run.controlled)),
        *(("not held", f"{item.name}: {item.reason}") for item in run.uncontrolled),
        *_figures(summary, run.clock),
        ("memory", size(run.memory_peak) if run.memory_peak else None),
        ("complete", "yes" if run.complete else "no: incomplete"),
        ("before", _conditions(run.before)),
        ("after", _conditions(run.after)),
    ]


def _figures(summary: dict[str, Any] | None, clock: str) -> list[tuple[str, str | None]]:
    if summary is None:
        return [("latency", "no samples")]
    interval = summary["interval"]
    mark = f" ({EMULATED_CLOCK})" if clock == EMULATED_CLOCK else ""
    median = f"{milliseconds(summary['median'])} ms, 95%: {_range(interval['low'], interval['high'])}{mark}"
    tail = f"{milliseconds(summary['p90'])} and {milliseconds(summary['p99'])} ms{mark}"
    return [
        ("median", median),
        ("p90, p99", tail),
        ("least, mean", f"{milliseconds(summary['minimum'])} and {milliseconds(summary['mean'])} ms{mark}"),
        ("samples", str(summary["count"])),
        ("steady", f"{summary['stability_score']:.0%}"),
    ]


def _launches(run: LatencyRun) -> Iterable[tuple[str, ...]]:
    from statistics import median

    def time(nanoseconds: float | None) -> str:
        return "-" if nanoseconds is None else milliseconds(nanoseconds)

    for launch in run.launches:
        yield (
            str(launch.order),
            str(len(launch.samples_ns)),
            time(launch.init_ns),
            time(launch.first_ns),
            time(median(launch.samples_ns) if launch.samples_ns else None),
            size(launch.memory_peak) if launch.memory_peak else "-",
            "yes" if launch.complete else "no",
        )


def _delegate(run: LatencyRun) -> str | None:
    share = run.engine.delegated_share
    if run.engine.delegate is None or share is None:
        return run.engine.delegate
    return f"{run.engine.delegate}, {share:.0%} of the operators"


def _conditions(state: Conditions | None) -> str:
    if state is None:
        return "not known"
    warmest = max((zone.celsius for zone in state.zones), default=None)
    words = [
        f"thermal status {state.thermal_status}" if state.thermal_status else "",
        "" if warmest is None else f"at most {warmest:.1f} C",
        "" if state.busy is None else f"{state.busy:.0%} of all cores busy",
        "power save" if state.power_save else "",
    ]
    return ", ".join(filter(None, words)) or "not known"


def _accuracy(run: AccuracyRun) -> list[tuple[str, str | None]]:
    return [
        ("model", run.file),
        ("sha256", run.sha256),
        ("engine", run.engine),
        ("preprocessing", run.preprocessing_id),
        ("task", run.task),
        ("images", str(run.images)),
        *((figure.name, _figure(figure)) for figure in run.figures),
        ("images/s", f"{run.images_per_second:.1f}"),
    ]


def _finding(found: Finding) -> list[tuple[str, str | None]]:
    baseline = found.data.get("baseline") or {}
    return [
        ("device", found.device),
        ("model", found.model),
        ("sha256", found.sha256),
        ("against", baseline.get("name") or found.data.get("baseline_run")),
        ("outcome", found.outcome),
        ("verdict", found.data.get("verdict")),
        *(("trouble", str(item)) for item in found.data.get("trouble", ())),
    ]


def _figure(figure: Figure) -> str:
    value = f"{100 * figure.value:.2f}%"
    if figure.interval is None:
        return value
    return f"{value} (95%: {100 * figure.interval.low:.2f}-{100 * figure.interval.high:.2f})"


def _range(low: float, high: float) -> str:
    return f"{milliseconds(low)}-{milliseconds(high)}"
