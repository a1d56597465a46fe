"""One session on a device at a time, nothing left behind, on this machine's own shell."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from mobiledeploy.device_tests import session as module
from mobiledeploy.device_tests.errors import DeviceBusyError, DeviceError, DeviceLost
from mobiledeploy.device_tests.local import LocalTransport
from mobiledeploy.device_tests.references import Device
from mobiledeploy.device_tests.session import DIGITS, STALE_MINUTES, VARIABLE, clean, open_session
from mobiledeploy.device_tests.transport import Completed

DEAD = 2**22 - 1


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device("local", LocalTransport(), str(tmp_path / "on the 'device'"))


def leave_behind(work: Path, **changes: object) -> Path:
    """A session as a crash leaves it."""
    folder = work / "session"
    folder.mkdir(parents=True)
    work.chmod(0o700)
    owner = {
        "user": "ada",
        "host": socket.gethostname(),
        "pid": DEAD,
        "since": "then",
        "purpose": "a test",
        "token": "0123456789abcdef",
    }
    (folder / "owner").write_text(json.dumps(owner | changes))
    (folder / "boot").write_text(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    (folder / "beat").touch()
    return folder


def test_files_are_sent_once_and_gone_afterwards(device: Device, tmp_path: Path) -> None:
    assert device.folder
    model = tmp_path / "a 'model' $(touch pwned).tflite"
    model.write_bytes(b"1")
    with open_session(device, "test") as session:
        there = Path(session.place(model))
        kept = Path(session.place(model, 0o700, keep=True))
        assert there.suffix == kept.suffix == ".tflite"
        assert "pwned" not in str(there)
        before = there.stat().st_ino
        assert session.place(model) == str(there)
        assert there.stat().st_ino == before
        there.write_bytes(b"2")
        assert Path(session.place(model)).read_bytes() == b"1"
    assert not there.exists()
    assert kept.read_bytes() == b"1"
    assert os.access(kept, os.X_OK)


def test_two_sessions_never_meet(device: Device) -> None:
    with open_session(device, "the first"):
        other = leave_behind(Path(str(device.folder)) / "elsewhere", host="other.host").parent
        with (
            pytest.raises(DeviceBusyError, match=r"in use by ada@other.host, process .* for a test"),
            open_session(Device("local", LocalTransport(), str(other)), "the second"),
        ):
            pytest.fail("both have it")
    with open_session(device, "the third"):
        pass


def test_an_abandoned_session_is_ended_and_undone(device: Device, tmp_path: Path) -> None:
    assert device.folder
    folder = leave_behind(Path(device.folder))
    governor = tmp_path / "governor"
    governor.write_text("performance\n")
    (folder / "governors").write_text(f"{governor} schedutil\n")
    (Path(device.folder) / "store").mkdir()
    part = Path(device.folder) / "store" / ".mobiledeploy-0.part"
    part.touch()
    left = subprocess.Popen(["sleep", "60"], env={VARIABLE: "0123456789abcdef", "PATH": os.environ["PATH"]})
    other = subprocess.Popen(["sleep", "60"], env={VARIABLE: "fedcba9876543210", "PATH": os.environ["PATH"]})
    try:
        with open_session(device, "test") as session:
            assert left.wait(10) == -9
            assert other.poll() is None
            assert governor.read_text() == "schedutil\n"
            assert sorted(path.name for path in Path(session.folder).iterdir()) == ["beat", "boot", "owner"]
            assert not part.exists()
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


@pytest.mark.parametrize("sign", ["old", "restarted"])
def test_other_hosts_sessions_end_by_time_and_restart(device: Device, sign: str) -> None:
    assert device.folder
    folder = leave_behind(Path(device.folder), host="other.host")
    if sign == "old":
        then = time.time() - 60 * (STALE_MINUTES + 2)
        os.utime(folder / "beat", (then, then))
    else:
        (folder / "boot").write_text("another")
    with open_session(device, "test") as session:
        assert session.run(["printenv", VARIABLE]).stdout.strip() == session.owner.token


@pytest.mark.parametrize("owner", ["", "{}", "[" * 9, '{"token": "$(touch /tmp/x)"}', "null\0"])
def test_a_damaged_owner_is_waited_for_then_replaced(device: Device, owner: str) -> None:
    assert device.folder
    folder = leave_behind(Path(device.folder))
    (folder / "owner").write_text(owner)
    (folder / "beat").unlink()
    with pytest.raises(DeviceBusyError, match="another process"), open_session(device, "test"):
        pass
    then = time.time() - 60 * (STALE_MINUTES + 2)
    os.utime(folder, (then, then))
    with open_session(device, "test"):
        pass
    assert not folder.exists()


def test_cleaning_leaves_only_what_is_not_ours(device: Device, tmp_path: Path) -> None:
    assert device.folder
    work = Path(device.folder)
    with open_session(device, "test") as session:
        session.place(Path(__file__), keep=True)
    assert list((work / "store").iterdir())
    (work / "mine").touch()
    assert clean(device) == str(work)
    assert [path.name for path in work.iterdir()] == ["mine"]
    (work / "mine").unlink()
    clean(device)
    assert not work.exists()


@pytest.mark.parametrize("how", ["removed", "taken"])
def test_a_session_that_is_gone_is_a_loss(device: Device, how: str) -> None:
    assert device.folder
    with open_session(device, "test") as session:
        assert session.run(["true"]).exit_code == 0
        shutil.rmtree(session.folder)
        if how == "taken":
            leave_behind(Path(device.folder), host="other.host")
        with pytest.raises(DeviceLost, match="is gone"):
            session.run(["true"])
        if how == "taken":
            with pytest.raises(DeviceBusyError, match=r"ada@other\.host"):
                session.resume(5)
        else:
            session.resume(5)
            assert session.run(["true"]).exit_code == 0
    assert Path(session.folder).exists() is (how == "taken")


def test_what_a_lost_device_still_runs_is_ended(device: Device, tmp_path: Path) -> None:
    with open_session(device, "test") as session:
        left = subprocess.Popen(["sleep", "60"], env={**os.environ, VARIABLE: session.owner.token})
        governor = tmp_path / "governor"
        governor.write_text("performance\n")
        Path(session.folder, "governors").write_text(f"{governor} schedutil\n")
        session.resume(5)
        assert left.wait(10) == -9
        assert governor.read_text() == "schedutil\n"
        assert session.run(["true"]).exit_code == 0


def test_a_lost_good_bye_is_said_again(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.folder
    losses = iter([DeviceLost("lost")])
    run = device.transport.run

    def lossy(argv: list[str], timeout: float = 60.0) -> Completed:
        if argv[2:3] == [module._LEAVE] and (loss := next(losses, None)):
            raise loss
        return run(argv, timeout)

    with open_session(device, "test") as session:
        part = Path(device.folder, "store", ".mobiledeploy-0.part")
        part.touch()
        monkeypatch.setattr(device.transport, "run", lossy)
    assert not Path(session.folder).exists()
    assert not part.exists()


@pytest.mark.parametrize("keep", [False, True])
def test_a_file_that_changed_is_told(device: Device, tmp_path: Path, keep: bool) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(b"1")
    with open_session(device, "test") as session:
        there = session.place(model, keep=keep)
        session.check(["--model", there, f"--graph={there}", "/etc/passwd"])
        Path(there).write_bytes(b"2")
        with pytest.raises(DeviceError, match="was changed"):
            session.check([f"--graph={there}"])
        Path(there).unlink()
        with pytest.raises(DeviceError, match="was changed"):
            session.check(["--model", there])


def test_a_folder_is_not_digested(device: Device, tmp_path: Path) -> None:
    package = tmp_path / "model.mlpackage"
    package.mkdir()
    (package / "weights").write_bytes(b"1")
    with open_session(device, "test") as session:
        there = session.place_tree(package, "0" * DIGITS)
        assert Path(there, "weights").read_bytes() == b"1"
        session.check([there])
