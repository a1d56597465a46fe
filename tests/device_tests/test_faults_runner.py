"""Runners that crash, hang, lie or babble, and files that change under them."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from lab import odd_runner
from lab.trial import Trial, left_files, left_processes, wait_for

from mobiledeploy.device_tests.session import STALE_MINUTES
from mobiledeploy.runtimes.runner import build
from mobiledeploy.runtimes.runner.platforms import host_platform

BOTH = (
    *(f"insert: {what}" for what in ("bytes", "codes", "nul", "long", "brackets", "json", "half", "glued")),
    *(f"drop: {event}" for event in ("hello", "model", "first", "outputs", "end")),
    *("cut: 0", "cut: 1", "cut: 66", "cut: 255", "order: end first", "order: end twice", "order: twice"),
    *(f"signal: {name}" for name in ("SIGKILL", "SIGSEGV", "SIGTERM")),
    *("group: SIGKILL", "group: SIGTERM", "hang: deaf", "hang: stopped", "daemon: left", "code: 7"),
    *("change: short digest", "change: another protocol", "change: negative shape", "change: no dtype"),
    *("change: codes in the error", "change: unknown failure", "change: huge", "errors: flood"),
    *("session: gone", "session: spoilt", "store: session", "store: store", "insert: flood"),
)
OF_ONE = {
    "benchmark": (
        *("drop: samples", "insert: unknown", "signal: SIGABRT"),
        *(f"change: {what}" for what in ("negative", "not a number", "text", "true", "one sample fewer")),
    ),
    "evaluate": (
        *(f"outputs: {how}" for how in odd_runner.OUTPUTS),
        *("change: no items", "change: fewer items", "change: wrong bytes", "change: capital digest"),
    ),
}
FAULTS = tuple(
    (job, mode, 1 + index % 2) for job in OF_ONE for index, mode in enumerate((*BOTH, *OF_ONE[job]))
)
FAST = (
    *(("benchmark", "cut: 0"), ("benchmark", "insert: codes")),
    *(("evaluate", "signal: SIGKILL"), ("evaluate", "outputs: flipped")),
)
SLOW = re.compile("hang|group|daemon")


@pytest.mark.parametrize(
    ("job", "mode", "number"),
    [
        pytest.param(
            *(job, mode, number),
            id=f"{job}: launch {number}, {mode}",
            marks=() if (job, mode) in FAST else pytest.mark.slow,
        )
        for job, mode, number in FAULTS
    ],
)
def test_an_odd_runner(
    job: str, mode: str, number: int, trial: Trial, work: Path, tmp_path: Path, governors: list[Path]
) -> None:
    platform = host_platform()
    assert platform is not None
    said = tmp_path / "said"
    said.mkdir()
    script = Path(odd_runner.__file__)
    program = tmp_path / "runner"
    words = [sys.executable, "-S", script, mode, number, FAULTS.index((job, mode, number)),
             build.native_runner(platform), said]  # fmt: skip
    program.write_text(f'#!/bin/sh\nexec {" ".join(shlex.quote(str(word)) for word in words)} "$@"\n')

    def true_samples() -> set[int]:
        return set().union(*(odd_runner.samples(file.read_bytes()) for file in said.iterdir()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "native_runner", lambda platform: program)
        odd = replace(trial, samples=true_samples, timeout=4.0 if SLOW.match(mode) else 20.0)
        odd.attempt(job, 30)
    if mode == "session: spoilt":
        # Whose it was cannot be read any more; it is waited for.
        then = time.time() - 60 * (STALE_MINUTES + 2)
        os.utime(work / "session" / "beat", (then, then))
    assert (said / str(number)).is_file()
    assert trial.attempt(job, 30) == "right"
    assert not left_files(work)
    wait_for(lambda: not left_processes(str(work)))
    assert not left_processes(str(work))
    assert [core.read_text() for core in governors] == ["schedutil\n"] * 2
