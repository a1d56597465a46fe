"""References, ``devices.toml``, adb programs and the errors for those that lead nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobiledeploy.device_tests import adb_program
from mobiledeploy.device_tests.adb_program import Attached, find_adb
from mobiledeploy.device_tests.device_file import find_entries
from mobiledeploy.device_tests.errors import DeviceBusyError, DeviceError
from mobiledeploy.device_tests.lock import hold
from mobiledeploy.device_tests.references import Address, connect, open_transport, parse, resolve
from mobiledeploy.device_tests.ssh import SshTransport
from mobiledeploy.errors import EnvironmentProblem, InputError, MobileDeployError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("local", Address("local")),
        ("adb", Address("adb")),
        ("adb:0A1B", Address("adb", "0A1B")),
        ("adb:127.0.0.1:5600", Address("adb", "127.0.0.1:5600")),
        ("ssh:board", Address("ssh", "board")),
        ("ssh:pi@board.local:2222", Address("ssh", "pi@board.local", 2222)),
        ("ssh:pi@[::1]:22", Address("ssh", "pi@::1", 22)),
        ("board", None),
        ("usb:1", None),
    ],
)
def test_forms(text: str, address: Address | None) -> None:
    assert parse(text) == address


@pytest.mark.parametrize("text", ["adb:", "ssh:", "ssh:host:99999", "ssh:host:0", "ssh:host:x", "adb:a\nb"])
def test_forms_that_go_wrong(text: str) -> None:
    with pytest.raises(InputError, match="not understood") as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "x;y", "$(x)", "pi@-x", ""])
def test_destinations_that_are_options_or_worse(host: str) -> None:
    with pytest.raises(InputError):
        SshTransport(host)


def _write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "devices.toml"
    file.write_text(text)
    return file


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest file upwards, then the user's; the nearer one wins."""
    near = _write(
        tmp_path / "a",
        '[devices.board]\nreference = "ssh:pi@x:2222"\nssh_config = "cfg"\nfolder = "/mnt/fast"\n'
        '[devices.both]\nreference = "adb:NEAR"\n',
    )
    _write(
        tmp_path / "config" / "mobiledeploy",
        '[devices.both]\nreference = "adb:FAR"\n[devices.mine]\nreference = "local"\n',
    )
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert resolve("board") == Address("ssh", "pi@x", 2222, near.parent / "cfg", "/mnt/fast")
    assert resolve("both") == Address("adb", "NEAR")
    assert resolve("mine") == Address("local")
    assert set(find_entries(tmp_path)) == {"both", "mine"}


def test_near_misses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, '[devices.pixel-6]\nreference = "adb:A"\n[devices.pixel-7]\nreference = "adb:B"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="Did you mean pixel-"):
        resolve("pixel6")
    with pytest.raises(InputError, match="Did you mean local"):
        resolve("locl")
    with pytest.raises(InputError, match="Known forms are local, adb:SERIAL"):
        resolve("zzzzzzzzzzz")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("devices = [", "cannot be read"),
        ("[device.x]\n", "holds more than tables"),
        ("devices = 3\n", "holds more than tables"),
        ("[devices.x]\n", "has no reference"),
        ("[devices.x]\nreference = 3\n", "reference is no text"),
        (
            '[devices.x]\nreference = "local"\nfoldr = "/a"\n',
            "'foldr' is not understood. Did you mean folder?",
        ),
        ('[devices.x]\nreference = "local"\nfolder = "a"\n', "no absolute path"),
        ('[devices."a b"]\nreference = "local"\n', "cannot be the name"),
        ('[devices.local]\nreference = "local"\n', "cannot be the name"),
        ('[devices]\nx = "local"\n', "is no table"),
    ],
)
def test_damaged_files(text: str, problem: str, tmp_path: Path) -> None:
    file = _write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        find_entries(tmp_path)
    assert problem in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_name_of_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, '[devices.x]\nreference = "y"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"\[devices.x\].*'y' is not understood"):
        resolve("x")


def _attach(monkeypatch: pytest.MonkeyPatch, *serials: str) -> None:
    found = tuple(Attached(serial, "device", f"Model {serial}", "") for serial in serials)
    monkeypatch.setattr(adb_program, "attached", lambda _: found)
    monkeypatch.setenv("MOBILEDEPLOY_ADB", "true")


def test_adb_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    _attach(monkeypatch, "ONE")
    assert open_transport(Address("adb")).name == "adb:ONE"
    _attach(monkeypatch, "ONE", "TWO")
    with pytest.raises(DeviceError, match=r"2 devices.*adb:ONE \(Model ONE\), adb:TWO"):
        open_transport(Address("adb"))
    _attach(monkeypatch)
    with pytest.raises(DeviceError, match="no devices are attached"):
        open_transport(Address("adb"))


def test_a_serial_with_a_slip(monkeypatch: pytest.MonkeyPatch) -> None:
    _attach(monkeypatch, "0A041FDD", "R58M")
    with pytest.raises(DeviceError, match=r"not attached. Did you mean 0A041FDD\?"):
        open_transport(Address("adb", "0A041FDE"))
    with pytest.raises(DeviceError, match="Attached: 0A041FDD, R58M"):
        open_transport(Address("adb", "zzz"))


def test_which_adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "adb"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MOBILEDEPLOY_ADB", raising=False)
    assert find_adb() == program
    monkeypatch.setenv("MOBILEDEPLOY_ADB", "/no/such/adb")
    with pytest.raises(EnvironmentProblem, match="MOBILEDEPLOY_ADB=/no/such/adb"):
        find_adb()
    monkeypatch.delenv("MOBILEDEPLOY_ADB")
    program.unlink()
    monkeypatch.setattr(adb_program, "find_spec", lambda _: None)
    with pytest.raises(EnvironmentProblem, match="adb is not on this machine"):
        find_adb()


def test_a_launcher_that_joins_its_arguments_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher, real = tmp_path / "venv" / "adb", tmp_path / "sdk" / "adb"
    for program, text in ((launcher, "import sys\nfrom adbx.__main__ import adb\n"), (real, "")):
        program.parent.mkdir()
        program.write_text(f"#!/usr/bin/python3\n{text}")
        program.chmod(0o755)
    monkeypatch.delenv("MOBILEDEPLOY_ADB", raising=False)
    monkeypatch.setenv("PATH", f"{launcher.parent}:{real.parent}")
    assert find_adb() == real
    monkeypatch.setenv("PATH", str(launcher.parent))
    assert find_adb() != launcher


def test_local_is_connected_and_locked() -> None:
    with connect("local", purpose="a test") as device:
        assert device.transport.run(["echo", "hi"]).stdout == "hi\n"
        with pytest.raises(DeviceBusyError, match="for a test"), connect("local"):
            pass
    with connect("local"):
        pass


def test_the_same_device_by_another_name() -> None:
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.is_file():
        pytest.skip("no boot id here")
    with (
        hold([f"boot:{boot.read_text().strip()}"], "ssh:me"),
        pytest.raises(DeviceBusyError) as caught,
        connect("local"),
    ):
        pass
    assert isinstance(caught.value, MobileDeployError)
    assert caught.value.exit_code == 8
