"""What is looked for, drawn from a run's document."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.history.documents import Record
from mobiledeploy.device_tests.history.findings import Finding
from mobiledeploy.device_tests.history.rows import Row
from mobiledeploy.device_tests.latency_run import LatencyRun
from mobiledeploy.errors import InputError

_LARGEST = 2**63 - 1
_OF_LATENCY_ALONE = (
    *("clock", "model_size", "target", "arithmetic"),
    *("engine_version", "threads", "affinity", "mode", "samples"),
    *("median_ns", "low_ns", "high_ns", "p90_ns", "p99_ns", "init_ns", "memory_peak"),
)


def to_row(record: Record, document: dict[str, Any]) -> Row:
    """The columns of a record.

    Args:
        record: the run.
        document: its ``to_dict``, whose figures are not computed a second time.

    Raises:
        InputError: its time is not readable.
    """
    run, figures = record.run, document["run"]
    if isinstance(run, LatencyRun):
        special = _of_latency(run, figures)
    else:
        special = _of_finding(run) if isinstance(run, Finding) else _of_accuracy(run, figures)
    return Row(
        id=record.id,
        kind=record.kind,
        time=moment(record.time, record.id),
        device=_text(record.device),
        harness=one_line(record.harness),
        git_commit=_text(record.commit),
        label=_text(record.label),
        **special,
    )


def moment(text: str, where: str) -> datetime:
    """UTC from ISO 8601; without a zone it is taken to be UTC.

    Raises:
        InputError: it is nothing of the kind.
    """
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{one_line(text)!r} is no time", where=where, hint="Write it like 2026-03-01T12:00:00+00:00"
        ) from error


def _of_latency(run: LatencyRun, figures: dict[str, Any]) -> dict[str, Any]:
    summary = figures["summary"]
    interval = summary["interval"] if summary else {}
    init = [launch.init_ns for launch in run.launches if launch.init_ns is not None]
    return {
        **_of_device(run.facts),
        "clock": _text(run.clock),
        "model_name": one_line(run.model.name),
        "model_sha256": one_line(run.model.sha256),
        "model_size": _whole(run.model.size),
        "target": _text(run.model.target),
        "arithmetic": _text(run.model.arithmetic),
        "engine": one_line(run.engine.name),
        "engine_version": _text(run.engine.version),
        "threads": _whole(run.threads),
        "affinity": one_line(_ranges(run.affinity)) or "all",
        "mode": f"paced {run.timing.period_us / 1000:g} ms" if run.timing.period_us else "burst",
        "complete": figures["complete"],
        "samples": summary["count"] if summary else 0,
        "median_ns": summary["median"] if summary else None,
        "low_ns": interval.get("low"),
        "high_ns": interval.get("high"),
        "p90_ns": summary["p90"] if summary else None,
        "p99_ns": summary["p99"] if summary else None,
        "init_ns": _whole(int(median(init))) if init else None,
        "memory_peak": _whole(run.memory_peak),
        **dict.fromkeys(("images", "metric", "value", "top1", "top5", "outcome")),
    }


def _of_finding(found: Finding) -> dict[str, Any]:
    return {
        **_of_device(None),
        **dict.fromkeys((*_OF_LATENCY_ALONE, "images", "metric", "value", "top1", "top5")),
        "model_name": one_line(found.model),
        "model_sha256": one_line(found.sha256),
        "engine": "",
        "complete": True,
        "outcome": _text(found.outcome),
    }


def _of_accuracy(run: AccuracyRun, figures: dict[str, Any]) -> dict[str, Any]:
    return {
        **dict.fromkeys(_OF_LATENCY_ALONE),
        **_of_device(run.facts),
        "model_name": one_line(run.file),
        "model_sha256": one_line(run.sha256),
        "engine": one_line(run.engine),
        "complete": True,
        "images": run.images,
        "metric": one_line(run.headline.name),
        "value": run.headline.value,
        "top1": figures.get("top1", {}).get("share"),
        "top5": figures.get("top5", {}).get("share"),
        "outcome": None,
    }


def _of_device(facts: DeviceFacts | None) -> dict[str, Any]:
    if facts is None:
        return dict.fromkeys(("device_name", "soc", "build", "device_kind", "emulated"))
    return {
        "device_name": _text(" ".join(filter(None, (facts.manufacturer, facts.model)))),
        "soc": _text(facts.soc),
        "build": _text(facts.build),
        "device_kind": _text(facts.kind),
        "emulated": facts.emulated,
    }


def _text(value: str | None) -> str | None:
    return one_line(value) or None if value else None


def _whole(value: int | None) -> int | None:
    """What a column can hold; the document has the rest."""
    return value if value is not None and abs(value) <= _LARGEST else None


def _ranges(cores: Sequence[int]) -> str:
    """``0,4-7``."""
    runs: list[list[int]] = []
    for core in sorted(cores):
        if runs and core == runs[-1][-1] + 1:
            runs[-1].append(core)
        else:
            runs.append([core])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
