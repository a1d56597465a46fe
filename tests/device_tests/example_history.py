"""A history with everything that a report shows: made up, with a change of level and hostile names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from example_reports import ALL
from example_runs import accuracy_run, latency_run

from mobiledeploy.device_tests.accuracy_run import AccuracyRun, Prediction
from mobiledeploy.device_tests.history import open_history
from mobiledeploy.device_tests.latency_run import EMULATED_CLOCK, LatencyRun
from mobiledeploy.runtimes.runner.report import OpTime

HOSTILE = "=1+1</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>|`*_[x](javascript:a) 📱"
FLOAT, INT8, STRANGE = "ab" * 32, "cd" * 32, "ef" * 32
# Runs of the series that changes, and its first one after the change.
DAYS, SLOWER = 16, 10
_DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


def float_run(**options: object) -> LatencyRun:
    """Of ``net.tflite``, in floats."""
    run = latency_run(model="net.tflite", sha256=FLOAT, **options)  # type: ignore[arg-type]
    return replace(run, model=replace(run.model, arithmetic="float32"))


def int8_run(**options: object) -> LatencyRun:
    """Of ``net_int8.tflite``, with a profile of two operators."""
    run = latency_run(model="net_int8.tflite", sha256=INT8, **options)  # type: ignore[arg-type]
    return replace(run, ops=(*run.ops, OpTime("features/1/dw", "DEPTHWISE_CONV_2D", 3_000_000, 10)))


def evaluation(file: str, sha256: str, right: int, images: int = 200) -> AccuracyRun:
    """So many of the first images right."""
    run = accuracy_run()
    predictions = tuple(
        Prediction(f"{index}.jpg", 5, (5 if index < right else 6, 1, 2, 3, 4), False)
        for index in range(images)
    )
    return replace(run, file=file, sha256=sha256, predictions=predictions)


def make_history(file: Path) -> list[str]:
    """Fill a new history; ids of its runs in order of storing."""
    random = np.random.default_rng(0)
    found = []
    with open_history(file) as history:
        for day in range(DAYS):
            started = (_DAY + timedelta(days=day)).isoformat()
            commit = f"{day:02x}{'abcdef01' * 3}"
            slow = 1.1 if day >= SLOWER else 1.0
            steady = float(12 * slow * random.normal(1, 0.004))
            run = float_run(milliseconds=steady, started=started, seed=day, complete=day != 3)
            found.append(history.add(run, label="nightly", commit=commit))
        for run, label in (
            (int8_run(milliseconds=5.0), "nightly"),
            (_emulated(), None),
            (_hostile(), HOSTILE),
        ):
            found.append(history.add(run, label=label))
        evaluated = (
            evaluation("net.tflite", FLOAT, 180),
            evaluation("net_int8.tflite", INT8, 150),
            evaluation(HOSTILE, STRANGE, 100),
        )
        found.extend(map(history.add, evaluated))
    return found


def diagnosis_file(path: Path, names: Sequence[str] = ("features.0", "features.1", HOSTILE)) -> Path:
    """What ``diagnose --json`` prints, of so many layers."""
    layers = [
        {
            "module": name,
            "operation": "aten.conv2d.default",
            "isolated": 30.0 + index,
            "weights_only": None,
            "activations_only": 31.5,
            "cumulative": 40.0 - index,
        }
        for index, name in enumerate(names)
    ]
    told = {"model": HOSTILE, "weights": "random", "total": 24.5, "verdict": HOSTILE, "layers": layers}
    path.write_text(json.dumps({**told, "equalisation": None, "plot": None, "seconds": {}}))
    return path


def gate_file(path: Path) -> Path:
    """What ``gate --json`` prints: a gate of every outcome."""
    path.write_text(json.dumps({**ALL.to_dict(), "history": {"ids": [], "problem": ""}}))
    return path


def _emulated() -> LatencyRun:
    return int8_run(milliseconds=40.0, device="ssh:pi", clock=EMULATED_CLOCK, complete=False)


def _hostile() -> LatencyRun:
    run = latency_run(milliseconds=7.0, device=HOSTILE, model=HOSTILE, sha256=STRANGE, name=HOSTILE)
    held = replace(run.uncontrolled[0], reason=HOSTILE)
    engine = replace(run.engine, delegate=HOSTILE, delegated=40)
    return replace(run, uncontrolled=(held,), engine=engine, ops=(OpTime(HOSTILE, HOSTILE, 5, 1),))
