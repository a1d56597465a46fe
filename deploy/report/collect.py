"""Stored runs into what a report draws."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mobiledeploy.deploy.commands.history_tables import everything
from mobiledeploy.deploy.report.given import read_finding
from mobiledeploy.deploy.report.seen import Collected, Seen, Spread
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.device_tests.history import Filter, History, Row
from mobiledeploy.device_tests.history.documents import read
from mobiledeploy.device_tests.history.findings import Finding
from mobiledeploy.device_tests.latency_run import LatencyRun
from mobiledeploy.errors import InputError

# Samples of a run that are drawn.
SHOWN = 200
# Below this score latencies wandered too much to be told apart (docs/benchmark.md).
_STEADY = 0.5


def collect(history: History, wanted: Filter, identities: Sequence[str] = ()) -> Collected:
    """Read the runs of a report, one at a time.

    Args:
        history: open.
        wanted: which runs.
        identities: only these, or beginnings of them, however many; empty: all that are wanted.

    Raises:
        InputError: there is none, or no run of such an id; one of these is not wanted, is damaged or of a
            newer version.
        HistoryUnavailableError: the server has gone.
    """
    chosen = set(history.identify(identities))
    total = history.count()
    if chosen:
        # However old they are: who names a run wants it.
        rows = [row for row in history.find(replace(wanted, last=None)) if row.id in chosen]
        if left_out := chosen - {row.id for row in rows}:
            raise InputError(
                "the other filters leave this run out", where=min(left_out), hint="Give IDs or filters"
            )
    else:
        rows = history.find(wanted)
    if not rows:
        raise _nothing(history.where, total)
    return Collected(history.where, total, tuple(_see(history, row) for row in rows))


def _nothing(where: str, total: int) -> InputError:
    if not total:
        hint = "Measure first: mobiledeploy benchmark or evaluate; or name another history with --history"
        return InputError("the history is empty", where=where, hint=hint)
    hint = "Widen the filters; `mobiledeploy history list` shows what there is"
    return InputError(f"none of its {total} runs fits", where=where, hint=hint)


def _see(history: History, row: Row) -> Seen:
    document = history.document(row.id)
    record = read(document, f"{history.where}: run {row.id}")
    seen = Seen(row, tuple((name, value) for name, value in everything(record, document) if value))
    if isinstance(record.run, Finding):
        return replace(seen, told=read_finding(record.run, f"{history.where}: run {row.id}"))
    if isinstance(record.run, AccuracyRun):
        return replace(
            seen,
            accuracy=record.run,
            images=image_set(record.run),
            beware=tuple(_accuracy_notes(record.run)),
        )
    return replace(
        seen,
        spread=spread(record.run),
        ops=record.run.ops,
        engine=record.run.engine,
        beware=tuple(_latency_notes(row, record.run, document["run"].get("summary"))),
    )


def spread(run: LatencyRun) -> Spread | None:
    """The samples of all launches together; None: there is none."""
    import numpy as np

    samples = np.sort(np.concatenate([[], *(launch.samples_ns for launch in run.launches)])) / 1e6
    if not len(samples):
        return None
    places = np.unique(np.linspace(0, len(samples) - 1, SHOWN).round().astype(int))
    p1, p25, p75, p99 = (float(value) for value in np.percentile(samples, (1, 25, 75, 99)))
    return Spread(p1, p25, p75, p99, tuple(float(value) for value in samples[places].round(6)))


def image_set(run: AccuracyRun) -> str:
    """Equal for the same images and labels: the beginning of a sha256."""
    pairs = sorted((item.image, item.truth) for item in run.predictions)
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:8]


def _latency_notes(row: Row, run: LatencyRun, summary: Mapping[str, Any] | None) -> Iterator[str]:
    yield from row.notes
    # As it was stored: to draw it anew takes a bootstrap of all samples.
    if summary and summary["stability_score"] < _STEADY:
        yield f"only {summary['stability_score']:.0%} steady"
    for item in run.uncontrolled:
        yield one_line(f"not held: {item.name} ({item.reason})")
    if any(launch.steady is False for launch in run.launches):
        yield "its outputs changed from one inference to the next"


def _accuracy_notes(run: AccuracyRun) -> Iterator[str]:
    if run.host and not run.host.sound:
        yield one_line(
            f"the device computes something else than this host: {run.host.worst_db:.1f} dB "
            f"on {run.host.worst_image}"
        )
    if run.task == "image-classification" and run.tied:
        yield f"equal best scores on {run.tied} of {run.images} images: order decided"
