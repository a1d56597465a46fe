"""What the history knows about a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mobiledeploy.errors import EnvironmentProblem

if TYPE_CHECKING:
    from mobiledeploy.device_tests.history import Row

Measured = dict[str, list[dict[str, Any]]]


def find_measured(sha256: str, history: str | None) -> Measured:
    """Accuracy and latency of one file: of every device and setting the latest complete run.

    Args:
        sha256: of the model file.
        history: as the user named it; None: the usual one, which need not be there.

    Returns:
        ``accuracy`` and ``latency``, each a list in order of device and setting.

    Raises:
        InputError, OutputError, HistoryUnavailableError: the history cannot be read.
        EnvironmentProblem: one was named, and the packages that read it are not installed.
    """
    try:
        return measured_of(_rows(sha256, history))
    except EnvironmentProblem:
        if history:
            raise
        return measured_of([])


def measured_of(rows: Sequence[Row]) -> Measured:
    """Rows of one file as ``find_measured`` gives them."""
    return {
        "accuracy": [_accuracy(row) for row in rows if row.kind == "accuracy"],
        "latency": [_latency(row) for row in rows if row.kind == "latency"],
    }


def _rows(sha256: str, history: str | None) -> list[Row]:
    from mobiledeploy.device_tests.history import Filter, open_history
    from mobiledeploy.device_tests.history.places import find_place

    place = find_place(history)
    if place.usual and place.file is not None and not place.file.exists():
        return []
    with open_history(history, must_exist=True) as opened:
        found = opened.find(Filter(model=sha256, complete=True))
    latest = {_setting(row): row for row in found if row.model_sha256 == sha256}
    return [latest[key] for key in sorted(latest)]


def _setting(row: Row) -> tuple[str, ...]:
    parts = (row.kind, row.device_name or row.device, row.engine, row.threads, row.affinity, row.mode)
    return tuple("" if part is None else str(part) for part in (*parts, row.label))


def _common(row: Row) -> dict[str, Any]:
    return {
        "run": row.id,
        "device": row.device_name or row.device or "this host",
        "soc": row.soc or "",
        "engine": " ".join(filter(None, (row.engine, row.engine_version))),
        "notes": list(row.notes),
    }


def _accuracy(row: Row) -> dict[str, Any]:
    figures = {"metric": row.metric, "value": row.value, "top1": row.top1, "top5": row.top5}
    return {**_common(row), "images": row.images, **figures}


def _latency(row: Row) -> dict[str, Any]:
    figures = {"median_ns": row.median_ns, "low_ns": row.low_ns, "high_ns": row.high_ns, "p90_ns": row.p90_ns}
    return {**_common(row), "threads": row.threads, "mode": row.mode, "samples": row.samples, **figures}
