"""Both ways to the stand-in device, and this machine, promise the same."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.machine import Machine, adb_programs
from lab.refusing_adbd import refusing_adbd

from mobiledeploy.device_tests.adb import AdbTransport
from mobiledeploy.device_tests.errors import DeviceError, DeviceLost, DeviceTimeout
from mobiledeploy.device_tests.local import LocalTransport
from mobiledeploy.device_tests.ssh import SshTransport
from mobiledeploy.device_tests.transport import Transport
from mobiledeploy.errors import InputError

HOSTILE = [
    "a b", "'", '"', "\\", "$(touch owned)", "`touch owned`", "line\nend\n", "\t", "*", "~", "!x",
    "", "-n", "--", ";exit 9", "&", "|", "ünï☃", "%s", "\x1b[31m", "}", "#",
]  # fmt: skip
PHONE_FOLDER = "/data/local/tmp"
ON_DEVICE = [pytest.mark.device, pytest.mark.slow, pytest.mark.timeout(300)]


WAYS = (
    "local",
    pytest.param("ssh", marks=ON_DEVICE),
    *(
        pytest.param(f"adb {path}", marks=ON_DEVICE, id=f"adb-{index}")
        for index, path in enumerate(adb_programs())
    ),
)


@pytest.fixture(params=WAYS)
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transport]:
    kind, _, client = request.param.partition(" ")
    opened: Transport = LocalTransport()
    if kind == "ssh":
        opened = SshTransport("lab", config=request.getfixturevalue("machine").ssh_config)
    if kind == "adb":
        request.getfixturevalue("adb_clients").use(client, monkeypatch)
        opened = AdbTransport(request.getfixturevalue("machine").serial)
    opened.reconnect()
    yield opened
    opened.close()


@pytest.fixture
def folder(transport: Transport, tmp_path: Path) -> Iterator[str]:
    path = f"{tmp_path if transport.name == 'local' else PHONE_FOLDER}/test-{os.urandom(4).hex()}"
    assert transport.run(["mkdir", "-p", path]).exit_code == 0
    yield path
    transport.run(["rm", "-rf", path])


def _running(transport: Transport, word: str) -> str:
    script = 'for f in /proc/[0-9]*/cmdline; do tr "\\0" " " <$f 2>/dev/null; echo; done | grep "^$1"'
    return transport.run(["sh", "-c", script, "sh", word]).stdout


def test_run(transport: Transport) -> None:
    done = transport.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.exit_code, done.stdout, done.stderr, done.dropped) == (7, "out\n", "err\n", 0)


@pytest.mark.parametrize("code", [0, 1, 126, 255])
def test_exit_codes(transport: Transport, code: int) -> None:
    assert transport.run(["sh", "-c", f"exit {code}"]).exit_code == code


def test_programs_that_do_not_run(transport: Transport) -> None:
    assert transport.run(["no-such-program"]).exit_code == 127
    assert transport.run(["/etc/passwd"]).exit_code == 126
    assert transport.run(["sh", "-c", "kill -9 $$"]).exit_code == 137


def test_hostile_arguments(transport: Transport) -> None:
    assert transport.run(["printf", "%s\\n<>", *HOSTILE]).stdout == "".join(f"{word}\n<>" for word in HOSTILE)


def test_output_without_line_end_and_with_odd_bytes(transport: Transport) -> None:
    assert transport.run(["printf", "no end"]).stdout == "no end"
    assert transport.run(["printf", "\\n\\n"]).stdout == "\n\n"
    assert transport.run(["printf", "a\\377b\\r\\n"]).stdout == "a\\xffb\r\n"


def test_no_input_is_waited_for(transport: Transport) -> None:
    assert transport.run(["cat"], 20).stdout == ""


@pytest.mark.parametrize("argv", [[], [""], ["-rf"], ["echo", "a\0b"], ["echo", "x" * 200_000]])
def test_arguments_that_no_device_can_take(transport: Transport, argv: list[str]) -> None:
    with pytest.raises(InputError):
        transport.run(argv)


@pytest.mark.parametrize("name", ["plain", "a 'q\" $(touch x)\n☃ *"])
def test_five_megabytes_there_and_back(transport: Transport, folder: str, tmp_path: Path, name: str) -> None:
    here, back = tmp_path / f"here {name}", tmp_path / f"back {name}"
    here.write_bytes(os.urandom(5_000_000))
    remote = f"{folder}/{name}"
    transport.push(here, remote, 0o755)
    digest = hashlib.sha256(here.read_bytes()).hexdigest()
    assert transport.run(["sha256sum", remote]).stdout.lstrip("\\").startswith(digest)
    assert transport.run(["stat", "-c", "%a", remote]).stdout.strip() == "755"
    transport.pull(remote, back)
    assert back.read_bytes() == here.read_bytes()
    assert ".part" not in transport.run(["ls", "-A", folder]).stdout


def test_a_push_replaces_whole_files_only(transport: Transport, folder: str, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    transport.push(old, f"{folder}/file")
    transport.push(new, f"{folder}/file")
    assert transport.run(["cat", f"{folder}/file"]).stdout == "new"
    with pytest.raises(DeviceError, match="is a folder"):
        transport.push(new, folder)
    with pytest.raises(InputError, match="cannot be read"):
        transport.push(tmp_path / "absent", f"{folder}/file")
    with pytest.raises(InputError, match="no absolute path"):
        transport.push(new, "relative")
    assert transport.run(["ls", "-A", folder]).stdout == "file\n"


def test_a_pull_of_nothing(transport: Transport, folder: str, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="absent: cannot be read"):
        transport.pull(f"{folder}/absent", tmp_path / "back")
    assert not list(tmp_path.glob(".mobiledeploy*"))


def test_a_time_out_leaves_no_process(transport: Transport) -> None:
    script = "echo begun; sleep 4711 & (setsid sleep 4712 &) ; sleep 4713"
    began = time.monotonic()
    with pytest.raises(DeviceTimeout, match="longer than 3 s") as caught:
        transport.run(["sh", "-c", script], 3)
    assert time.monotonic() - began < 13
    assert caught.value.stdout == "begun\n"
    assert caught.value.exit_code == 8
    assert _running(transport, "sleep 471") == ""
    assert transport.run(["echo", "alive"]).stdout == "alive\n"


def test_a_flood_of_output_is_cut_in_the_middle(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mobiledeploy.device_tests.processes.KEPT", 10_000)
    done = transport.run(["sh", "-c", "echo first; yes | head -c 300000; echo last; exit 3"], 120)
    assert done.exit_code == 3
    assert done.stdout.startswith("first\ny\n")
    assert done.stdout.endswith("y\nlast\n")
    assert 19_000 < len(done.stdout) < 21_000
    assert done.dropped > 270_000


def _hang_or_kill(fault: str, machine: Machine) -> None:
    machine.hang() if fault == "hang" else machine.kill()


def _mend(fault: str, machine: Machine) -> None:
    machine.wake() if fault == "hang" else machine.reboot()


@pytest.fixture(params=["adb", "ssh"])
def fragile_transport(request: pytest.FixtureRequest, fragile: Machine) -> Iterator[Transport]:
    fragile.restore()
    if request.param == "adb":
        request.getfixturevalue("adb_client")
        opened: Transport = AdbTransport(fragile.serial)
    else:
        opened = SshTransport("lab", config=fragile.ssh_config)
    opened.reconnect(60)
    yield opened
    opened.close()


@pytest.mark.device
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["hang", "kill"])
def test_a_device_lost_in_mid_run(fragile_transport: Transport, fragile: Machine, fault: str) -> None:
    word = os.urandom(8).hex()

    def spoil() -> None:
        fragile.wait_for_console(word)
        _hang_or_kill(fault, fragile)

    spoiler = threading.Thread(target=spoil)
    spoiler.start()
    script = f"echo begun; sleep 1; echo {word} >/dev/ttyAMA0; sleep 60; echo done"
    began = time.monotonic()
    with pytest.raises(DeviceLost) as caught:
        fragile_transport.run(["sh", "-c", script], 15)
    assert time.monotonic() - began < 27
    spoiler.join()
    assert caught.value.stdout == "begun\n"
    assert fragile_transport.name in str(caught.value)
    with pytest.raises(DeviceLost):
        fragile_transport.reconnect(3)
    _mend(fault, fragile)
    fragile_transport.reconnect(60)
    assert fragile_transport.run(["echo", "back"]).stdout == "back\n"


@pytest.mark.device
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["hang", "kill"])
def test_a_device_lost_in_mid_push(
    fragile_transport: Transport, fragile: Machine, fault: str, tmp_path: Path
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"the old one")
    large.write_bytes(os.urandom(60_000_000))
    fragile_transport.push(small, f"{PHONE_FOLDER}/file")
    timer = threading.Timer(1.5, _hang_or_kill, (fault, fragile))
    timer.start()
    began = time.monotonic()
    with pytest.raises(DeviceLost):
        fragile_transport.push(large, f"{PHONE_FOLDER}/file", timeout=8)
    assert time.monotonic() - began < 30
    timer.join()
    _mend(fault, fragile)
    fragile_transport.reconnect(60)
    kept = "the old one" if fault == "hang" else ""
    assert fragile_transport.run(["cat", f"{PHONE_FOLDER}/file"]).stdout == kept


@pytest.mark.device
@pytest.mark.slow
def test_a_full_device(machine: Machine, tmp_path: Path) -> None:
    ssh = SshTransport("lab", config=machine.ssh_config)
    ssh.reconnect()
    assert ssh.run(["sh", "-c", "mkdir -p /small && mount -t tmpfs -o size=1m small /small"]).exit_code == 0
    large = tmp_path / "large"
    large.write_bytes(os.urandom(2_000_000))
    with pytest.raises(DeviceError, match="no space left on the device"):
        ssh.push(large, "/small/file")
    assert ssh.run(["ls", "-A", "/small"]).stdout == ""
    ssh.close()


@pytest.mark.device
@pytest.mark.slow
def test_an_unknown_host_key_is_refused(machine: Machine) -> None:
    ssh = SshTransport("root@127.0.0.1", machine.ssh_port, machine.careful_ssh_config)
    with pytest.raises(DeviceError, match="key is not known") as caught:
        ssh.reconnect()
    assert f"ssh -F {machine.careful_ssh_config} -p {machine.ssh_port} root@127.0.0.1" in caught.value.hint


@pytest.mark.device
@pytest.mark.slow
def test_a_refused_login(machine: Machine, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(machine.ssh_config.read_text().replace("id_ed25519", "no_such_key"))
    with pytest.raises(DeviceError, match="login was refused"):
        SshTransport("lab", config=config).reconnect()


@pytest.mark.device
@pytest.mark.slow
def test_nothing_of_a_connection_is_left(machine: Machine) -> None:
    ssh = SshTransport("lab", config=machine.ssh_config)
    ssh.reconnect()
    folder = Path(ssh._folder.name)
    assert (folder / "s").is_socket()
    assert folder.stat().st_mode & 0o077 == 0
    ssh.close()
    assert not (folder / "s").exists()


@pytest.mark.device
@pytest.mark.slow
def test_an_unauthorized_device(adb_client: str) -> None:
    with refusing_adbd() as serial, pytest.raises(DeviceError, match="is unauthorized") as caught:
        AdbTransport(serial).reconnect(20)
    assert "allow USB debugging" in caught.value.hint


@pytest.mark.device
@pytest.mark.slow
def test_a_serial_that_is_not_there(adb_client: str) -> None:
    with pytest.raises(DeviceLost, match="not attached"):
        AdbTransport("no such serial; $(x)").reconnect(1)
    with pytest.raises(DeviceLost, match="not found"):
        AdbTransport("no such serial; $(x)").run(["true"])
