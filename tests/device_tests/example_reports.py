"""Gate reports as ``gate`` makes them, of every outcome and with names that nobody should give."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mobiledeploy.device_tests.gate import GateReport, GateResult
from mobiledeploy.device_tests.gate.report import SessionSeen
from mobiledeploy.device_tests.latency_run import ModelFile

HOSTILE = 'a|b`c"<script>&\x1b[31m\x00%0A::error::x\r\n::warning::y, #é漢\udcff]]>'


def result(
    name: str = "max-regression",
    outcome: str = "pass",
    value: float | None = 0.012,
    low: float | None = 0.004,
    high: float | None = 0.021,
    *,
    unit: str = "share",
    limit: float = 0.03,
    reason: str = "+1.20% (+0.40% to +2.10%, 8 pairs): all of it is within 3%",
) -> GateResult:
    return GateResult(name, unit, outcome, limit, f"--{name}", value, low, high, reason, count=8)


def session(count: int = 8, seed: int = 0) -> SessionSeen:
    ratios = np.random.default_rng(seed).normal(math.log(1.012), 0.01, count).tolist()
    return SessionSeen(count, 0.4 * count, tuple(ratios), None, None, 0.02, ())


def report(*gates: GateResult, name: str = "new.tflite", device: str = "pixel") -> GateReport:
    return GateReport(
        device=device,
        candidate=ModelFile(name, "tflite", "c" * 64, 4_200_000, "full-integer"),
        baseline=ModelFile("old.tflite", "tflite", "b" * 64, 4_200_000, "full-integer"),
        baseline_run=None,
        gates=gates,
        sessions=(session(),),
        trouble=(),
        notes=("governor not held",),
        threads=1,
        affinity="all",
        clock="CLOCK_MONOTONIC",
        time_limit=120.0,
        started="2026-11-25T12:00:00+00:00",
    )


PASS = result()
FAIL = result(
    "max-median", "fail", 21e6, 20.1e6, 22.4e6, unit="time", limit=15e6, reason="beyond 15 ms twice"
)
OPEN = result("max-p90", "inconclusive", 20e6, None, None, unit="time", limit=20e6, reason="too few launches")
TROUBLE = result("max-memory", "trouble", None, None, None, unit="bytes", limit=5e7, reason="throttled: hot")
SIZE = result(
    "max-size", "pass", 4.2e6, 4.2e6, 4.2e6, unit="bytes", limit=5e6, reason="new.tflite has 4.2 MB"
)
FLAG = result(
    "full-integer", "pass", 1.0, 1.0, 1.0, unit="flag", limit=1.0, reason="computes in full-integer"
)
ALL = report(PASS, FAIL, OPEN, TROUBLE, SIZE, FLAG)
ODD = replace(
    report(replace(FAIL, reason=HOSTILE), name=HOSTILE, device=HOSTILE), notes=(HOSTILE,), trouble=(HOSTILE,)
)
EMPTY = replace(report(TROUBLE), sessions=(), baseline=None, clock="", trouble=("the device was lost",))
EVERY = {
    "all": ALL,
    "odd": ODD,
    "empty": EMPTY,
    "pass": report(PASS),
    "many": replace(ALL, sessions=(session(308),) * 2),
}
