"""Measured runs between steps: the documents of the history, in files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mobiledeploy import __version__
from mobiledeploy.deploy.packages.measured import Measured, measured_of
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.conditions import utc_now
from mobiledeploy.device_tests.history.columns import to_row
from mobiledeploy.device_tests.history.documents import Record, read
from mobiledeploy.device_tests.latency_run import LatencyRun


def write_run(run: LatencyRun | AccuracyRun, file: Path) -> None:
    """Write a run as the history would keep it."""
    time = utc_now() if isinstance(run, AccuracyRun) else run.started
    record = Record(_identity(run), time, run.device, None, None, __version__, run)
    file.write_text(json.dumps(record.to_dict(), sort_keys=True), encoding="ascii")


def read_run(file: Path) -> Record:
    """Read what ``write_run`` wrote."""
    return read(json.loads(file.read_text(encoding="ascii")), str(file))


def measured_in(files: Iterable[Path]) -> Measured:
    """What runs say of one file, for its package."""
    records = [read_run(file) for file in files]
    rows = [to_row(record, record.to_dict()) for record in records]
    return measured_of(sorted(rows, key=lambda row: (row.kind, row.device or "", row.id)))


def _identity(run: LatencyRun | AccuracyRun) -> str:
    """Of what was found, not of when: the same predictions are the same run."""
    found: Any = run.to_dict()
    if isinstance(run, AccuracyRun):
        found = [run.sha256, run.device, found["predictions"]]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:32]
