"""Gates on a runner whose samples are made up: fixtures for all tests of this folder."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import scripted_runner
from tflite_builder import float_dense

from mobiledeploy.device_tests import benchmark, conditions, launch
from mobiledeploy.device_tests.conditions import utc_now
from mobiledeploy.device_tests.equipment import Equipment
from mobiledeploy.device_tests.gate import measuring
from mobiledeploy.device_tests.gate.beside import Beside
from mobiledeploy.device_tests.launch import Launched
from mobiledeploy.runtimes.runner.lines import read_report

RUNNER = Path(__file__).with_name("scripted_runner.py")
BASE = 2_000_000
Script = Callable[..., Path]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Candidate and baseline, which differ in size alone."""
    paths = (tmp_path / "new.tflite", tmp_path / "old.tflite")
    paths[0].write_bytes(float_dense() + bytes(8))
    paths[1].write_bytes(float_dense())
    return paths


def launch_here(
    session: object, argv: Sequence[str], order: int, *, dialect: object, governor: str, timeout: float
) -> Launched:
    """``launch`` with the scripted runner in this process: a busy machine starts few programs."""
    words = list(argv[argv.index(str(RUNNER)) + 1 :])
    said = io.StringIO()
    with redirect_stdout(said):
        scripted_runner.main(words)
    report = read_report(said.getvalue())
    return Launched(report, launch._record(report, order, utc_now(), None), None, None)


@pytest.fixture
def programs(tmp_path: Path, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Script:
    """Sets the noise model; the candidate is slower by a share."""
    state = tmp_path / "script"
    # Without site-packages it starts in no time.
    argv = (sys.executable, "-I", "-S", str(RUNNER), str(state))
    equipment = Equipment("litert", argv, "/lib.so", "0" * 64, "1" * 64)
    for module in (measuring, benchmark):
        monkeypatch.setattr(module, "equip", lambda *arguments, **options: equipment)
    monkeypatch.setattr(conditions, "read_load", lambda transport: 0.01)
    # What this machine does beside has no say here.
    monkeypatch.setattr(measuring, "read_beside", lambda text: Beside())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MOBILEDEPLOY_HISTORY", str(tmp_path / "history.db"))
    monkeypatch.chdir(tmp_path)

    def write(slower: float = 0.0, **more: Any) -> Path:
        times = {"": BASE, str(files[0].stat().st_size): round(BASE * (1 + slower))}
        state.write_text(json.dumps({"ns": times, "sd": 0.003, **more}))
        return state

    return write


@pytest.fixture
def script(programs: Script, monkeypatch: pytest.MonkeyPatch) -> Script:
    """The same, without programs."""
    for module in (measuring, benchmark):
        monkeypatch.setattr(module, "launch", launch_here)
    return programs


def run(files: tuple[Path, Path], *more: str) -> list[str]:
    """The command, with time for a machine that is busy otherwise; later options count."""
    words = ["gate", "--candidate", str(files[0]), "--baseline", str(files[1]), "--device", "local"]
    return [*words, "--time-limit", "600s", *more]
