"""The harness itself is killed, interrupted or started twice, and its notes are damaged."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from lab import doomed
from lab.faulty_transport import Fault, FaultyTransport
from lab.trial import Trial, clear, left_files, left_processes, wait_for

from mobiledeploy.device_tests import references
from mobiledeploy.device_tests.errors import DeviceBusyError
from mobiledeploy.device_tests.lock import state_folder

STEPS = {
    "benchmark": (
        *(("enter", 1), ("has", 1), ("send", 2), ("settle", 3)),
        *(("launch", 1), ("launch", 2), ("leave", 1)),
    ),
    "evaluate": (
        *(("has", 2), ("send", 3), ("send", 5)),
        *(("launch", 1), ("launch", 2), ("fetch", 1), ("leave", 1)),
    ),
}
# One after which nothing of the process runs, and one of those that it may answer.
SIGNALS = (("SIGKILL", "SIGTERM"), ("SIGKILL", "SIGINT"))
FAULTS = tuple(
    Fault(job, step, nth, number)
    for job, steps in STEPS.items()
    for index, (step, nth) in enumerate(steps)
    for number in SIGNALS[index % 2]
)
FAST = (9, 24)
DAMAGES = tuple((kind, seed) for kind in ("cut", "garbled", "doubled", "noise") for seed in range(2))
SEED = 20260303


def start(fault: Fault, trial: Trial, work: Path, seconds: float = 0.0) -> subprocess.Popen[str]:
    """The operation in a process of its own, begun."""
    specification = {
        "fault": asdict(fault),
        "work": str(work),
        "model": str(trial.artifact.path),
        "images": str(trial.images[0].path.parents[1]),
        "seconds": seconds,
    }
    tests = Path(doomed.__file__).parents[2]
    paths = (tests, tests / "device_tests", os.environ.get("PYTHONPATH", ""))
    process = subprocess.Popen(
        [sys.executable, "-m", "lab.doomed", json.dumps(specification)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=str(fault), marks=() if index in FAST else pytest.mark.slow)
        for index, fault in enumerate(FAULTS)
    ],
)
def test_the_harness_ends(fault: Fault, trial: Trial, work: Path, governors: list[Path]) -> None:
    # A runner that goes on for a minute, unless there is someone who waits for it.
    outlives = fault.kind != "SIGINT" and (fault.step, fault.nth) == ("launch", 1)
    process = start(fault, trial, work, 60.0 if outlives else 0.3)
    try:
        code = process.wait(40)
        # A benchmark that is interrupted stops after the launch that is running, and says what it has.
        assert code != 0 or (fault.job, fault.kind) == ("benchmark", "SIGINT")
    finally:
        process.kill()
    if fault.kind == "SIGINT":
        assert not left_files(work)
    assert trial.attempt(fault.job, 20) == "right"
    assert not left_files(work)
    wait_for(lambda: not left_processes(str(work)))
    assert not left_processes(str(work))
    assert [core.read_text() for core in governors] == ["schedutil\n"] * 2


@pytest.mark.parametrize("second", ["lab", pytest.param("local", marks=pytest.mark.slow)])
def test_two_at_once(second: str, trial: Trial, work: Path) -> None:
    process = start(Fault("benchmark", "none", 1, "SIGKILL"), trial, work, 60.0)
    try:
        assert wait_for(lambda: left_processes(str(work)), 30)
        began = time.monotonic()
        with pytest.raises(DeviceBusyError) as refusal, references.connect(second, purpose="evaluate"):
            pass
        assert f"process {process.pid} for benchmark" in clear(refusal.value)
        assert time.monotonic() - began < 15
    finally:
        process.kill()
        process.wait()
    assert trial.attempt("evaluate", 20) == "right"
    assert not left_files(work)
    assert not left_processes(str(work))


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        pytest.param(*damage, marks=() if index == 0 else pytest.mark.slow)
        for index, damage in enumerate(DAMAGES)
    ],
)
def test_damaged_notes(
    kind: str, seed: int, trial: Trial, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = FaultyTransport(work, Fault("evaluate", "launch", 3, "unheard", "gone"))
    with monkeypatch.context() as patch:
        patch.setattr(references, "open_transport", lambda address: lost)
        assert "nothing answered" in trial.attempt("evaluate", 20)
    (notes,) = (state_folder() / "evaluations").iterdir()
    data, chance = bytearray(notes.read_bytes()), random.Random(SEED + seed)  # noqa: S311
    place = chance.randrange(len(data))
    if kind == "cut":
        data = data[:place]
    if kind == "garbled":
        data[place] ^= 1 << chance.randrange(7)
    if kind == "doubled":
        data *= 2
    if kind == "noise":
        data[place:place] = chance.randbytes(50)
    notes.write_bytes(data)
    assert trial.attempt("evaluate", 20) == "right"
    assert not list(notes.parent.iterdir())


def test_a_digit_of_the_notes(trial: Trial, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = FaultyTransport(work, Fault("evaluate", "launch", 3, "unheard", "gone"))
    with monkeypatch.context() as patch:
        patch.setattr(references, "open_transport", lambda address: lost)
        trial.attempt("evaluate", 20)
    (notes,) = (state_folder() / "evaluations").iterdir()
    first = trial.truth["predictions"][0].classes[0]
    text = notes.read_text()
    assert f'"classes":[{first},' in text
    notes.write_text(text.replace(f'"classes":[{first},', f'"classes":[{(first + 1) % 10},', 1))
    assert trial.attempt("evaluate", 20) == "right"
