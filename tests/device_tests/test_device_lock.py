"""Two processes never use one device at once, and a dead one holds nothing."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mobiledeploy.device_tests.errors import DeviceBusyError
from mobiledeploy.device_tests.lock import hold, lock_file, owner
from mobiledeploy.errors import OutputError

HOLDER = """
import sys, time
from mobiledeploy.device_tests.lock import hold
with hold(["adb:X"], "adb:X", "a long measurement"):
    print("held", flush=True)
    time.sleep(60)
"""


def _holder() -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_kept_off_and_told_by_whom() -> None:
    process = _holder()
    try:
        with pytest.raises(DeviceBusyError) as caught, hold(["adb:X"], "adb:X"):
            pass
        text = str(caught.value)
        assert f"{getpass.getuser()}@{socket.gethostname()}, process {process.pid}" in text
        assert "for a long measurement, since 20" in text
        seen = owner("adb:X")
        assert seen is not None
        assert seen.pid == process.pid
        with hold(["adb:Y"], "adb:Y"):
            pass
    finally:
        process.kill()
        process.wait()


def test_a_killed_process_holds_nothing() -> None:
    process = _holder()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with hold(["adb:X"], "adb:X"):
        seen = owner("adb:X")
        assert seen is not None
        assert seen.pid == os.getpid()
    assert owner("adb:X") is None


def test_waiting() -> None:
    process = _holder()
    began = time.monotonic()
    with pytest.raises(DeviceBusyError), hold(["adb:X"], "adb:X", wait=0.6):
        pass
    assert 0.5 < time.monotonic() - began < 5
    process.kill()
    process.wait()
    with hold(["adb:X"], "adb:X", wait=5):
        pass


def test_several_identities_are_taken_together_or_not_at_all() -> None:
    with hold(["b"], "one"):
        with pytest.raises(DeviceBusyError), hold(["a", "b", "a"], "two"):
            pass
        assert owner("a") is None


def test_names_that_are_no_file_names() -> None:
    with hold(["adb:../../etc/passwd\n"], "odd"):
        assert lock_file("adb:../../etc/passwd\n").name.endswith(".lock")


def test_an_unreadable_signature_is_no_obstacle() -> None:
    lock_file("x").parent.mkdir(parents=True)
    lock_file("x").write_text("{garbage")
    with hold(["x"], "x"):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="XDG_STATE_HOME"), hold(["x"], "x"):
        pass
