"""A device that is lost, slow, restarted or misheard at any step of a benchmark or an evaluation."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from lab import odd_runner
from lab.faulty_transport import ELSEWHERE, Fault, FaultyTransport
from lab.trial import Trial, left_files, left_processes

from mobiledeploy.device_tests import benchmark as benchmark_module
from mobiledeploy.device_tests import references

SEED = 20260301
STEPS = {
    "benchmark": (
        *(("cat boot_id", 1), ("choose", 1), ("enter", 1), ("uname", 2), ("cat cpuinfo", 1), ("files", 1)),
        *(("load", 1), ("script", 1), ("has", 1), ("has", 2), ("has", 3), ("has", 4), ("send", 1)),
        *(("send", 2), ("send", 3), ("settle", 1), ("settle", 2), ("settle", 3), ("launch", 1)),
        *(("check", 1), ("launch", 2), ("check", 2), ("load", 2), ("leave", 1)),
    ),
    "evaluate": (
        *(("choose", 1), ("enter", 1), ("cat meminfo", 1), ("free", 1), ("script", 1), ("has", 1)),
        *(("has", 2), ("has", 3), ("send", 1), ("send", 3), ("send", 4), ("send", 5), ("settle", 2)),
        *(("settle", 4), ("settle", 5), ("launch", 1), ("launch", 2), ("measure", 1), ("measure", 2)),
        *(("check", 1), ("check", 2), ("fetch", 1), ("fetch", 2), ("rm", 1), ("rm", 2), ("leave", 1)),
    ),
}
KINDS = ("unheard", "unanswered", "cut", "slow")
THEN = ("same", "same", "restarted", "restarted", "taken", "gone")
ALWAYS = tuple(
    Fault(job, step, 0, kind, then)
    for job in STEPS
    for step in ("launch", "settle", "send", "leave")
    for kind, then in (("unanswered", "same"), ("cut", "restarted"))
)
GARBLED = tuple(
    Fault(job, step, nth, "garbled")
    for job, steps in (("benchmark", ("launch", "check")), ("evaluate", ("launch", "check", "measure")))
    for step in steps
    for nth in (1, 2)
)
COUNT, FAST = 70, 5


def generated() -> tuple[Fault, ...]:
    """Faults drawn from all there are, each once; the same ones every time."""
    every = [
        Fault(job, step, nth, kind, then)
        for job, steps in STEPS.items()
        for step, nth in steps
        for kind in KINDS
        for then in (dict.fromkeys(THEN) if kind != "slow" else ("same",))
    ]
    drawn = random.Random(SEED).sample(every, COUNT - len(ALWAYS) - len(GARBLED))  # noqa: S311
    return (*GARBLED, *drawn, *ALWAYS)


FAULTS = generated()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=str(fault), marks=() if index < FAST else pytest.mark.slow)
        for index, fault in enumerate(FAULTS)
    ],
)
def test_a_fault_at_one_step(
    fault: Fault, trial: Trial, work: Path, governors: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = FaultyTransport(work, fault, seed=FAULTS.index(fault))
    monkeypatch.setattr(references, "open_transport", lambda address: device)

    def true_samples() -> set[int]:
        return set().union(*(odd_runner.samples(said.encode()) for said in device.said))

    replace(trial, samples=true_samples).attempt(fault.job, benchmark_module.RECONNECT_TIMEOUT)
    assert device.struck, dict(device.steps)
    if fault.kind not in {"slow", "garbled"} and fault.nth and fault.then in {"same", "restarted"}:
        assert not left_files(work)
    if fault.then == "taken":
        # Nothing of another host's is touched; now it has gone.
        assert json.loads((work / "session" / "owner").read_text()) == ELSEWHERE
        shutil.rmtree(work / "session")
    monkeypatch.setattr(references, "open_transport", lambda address: FaultyTransport(work, None))
    assert trial.attempt(fault.job, 20) == "right"
    assert not left_files(work)
    assert not left_processes(str(work))
    assert [core.read_text() for core in governors] == ["schedutil\n"] * 2
