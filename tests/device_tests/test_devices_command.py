"""``mobiledeploy devices`` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lab.machine import Machine
from lab.refusing_adbd import refusing_adbd

from mobiledeploy.deploy.cli import main
from mobiledeploy.device_tests.lock import hold

HEAVY = {"torch", "numpy", "onnx", "onnxruntime", "coremltools", "ai_edge_litert", "PIL"}
LISTING = """List of devices attached
GOOD1 device product:p model:Pixel_6 device:d transport_id:1
LOCKED1 unauthorized usb:1-2 transport_id:2
AWAY1 offline transport_id:3
DENIED1 no permissions (missing udev rules?); see [a page] usb:1-3
"""


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["devices", *arguments, "--json"])
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert "Traceback" not in captured.err
    return code, json.loads(captured.out)


def fails(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    assert main(["devices", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture
def scripted_adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An adb that only lists."""
    program = tmp_path / "scripted-adb"
    (tmp_path / "listing").write_text(LISTING)
    program.write_text(
        f"#!/bin/sh\n[ $1 = start-server ] && exit\n[ $1 = devices ] && exec cat {tmp_path}/listing\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("MOBILEDEPLOY_ADB", str(program))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "listing"


@pytest.mark.parametrize("command", ["list", "info", "doctor"])
def test_help_is_light_and_has_an_example(command: str) -> None:
    code = (
        "import sys\n"
        "from mobiledeploy.deploy.cli import main\n"
        f"code = main(['devices', {command!r}, '--help'])\n"
        f"print('heavy:', sorted({HEAVY!r} & set(sys.modules)), code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: [] 0"
    assert f"mobiledeploy devices {command}" in done.stdout.partition("Example:")[2]


def test_list(scripted_adb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("devices.toml").write_text(
        '[devices.pixel]\nreference = "adb:GOOD1"\n[devices.gone]\nreference = "adb:OTHER"\n'
        '[devices.board]\nreference = "ssh:pi@x"\n[devices.odd]\nreference = "usb:1"\n'
    )
    with hold(["adb:GOOD1"], "adb:GOOD1", "a benchmark"):
        code, data = ask(capsys, "list")
    assert code == 0
    rows = {item["reference"]: item for item in data["sightings"]}
    assert {name: item["state"] for name, item in rows.items()} == {
        "adb:GOOD1": "device",
        "adb:LOCKED1": "unauthorized",
        "adb:AWAY1": "offline",
        "adb:DENIED1": "no permissions",
        "pixel": "device",
        "gone": "absent",
        "board": "not checked",
        "odd": "not understood",
    }
    assert "allow USB debugging" in rows["adb:LOCKED1"]["advice"]
    assert "udev" in rows["adb:DENIED1"]["advice"]
    assert f"process {os.getpid()} for a benchmark" in rows["adb:GOOD1"]["in_use_by"]
    assert main(["devices", "list"]) == 0
    assert "unauthorized" in capsys.readouterr().out


def test_list_without_adb(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOBILEDEPLOY_ADB", "/no/such/adb")
    code, data = ask(capsys, "list")
    assert (code, data["sightings"]) == (0, [])
    assert "no such program" in data["problem"]


def test_two_and_none_chosen(scripted_adb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, 8, "info", "adb")
    assert "4 devices are attached" in line
    assert "adb:GOOD1 (Pixel 6)" in line
    scripted_adb.write_text("List of devices attached\n")
    assert "no devices are attached" in fails(capsys, 8, "info", "adb")


def test_a_state_that_needs_a_hand(scripted_adb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is unauthorized. Unlock it" in fails(capsys, 8, "info", "adb:LOCKED1")
    code, data = ask(capsys, "doctor", "adb:DENIED1")
    assert (code, data["passed"]) == (8, False)
    assert data["checks"][0]["verdict"] == "fail"


def test_no_such_reference(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Did you mean local?" in fails(capsys, 3, "info", "loca")
    assert "not understood" in fails(capsys, 3, "doctor", "ssh:\x1b[31m:x")
    assert "is no [USER@]HOST" in fails(capsys, 3, "info", "ssh:-oProxyCommand=x")


def test_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = ask(capsys, "info", "local")
    assert code == 0
    assert data["device"] == "local"
    assert len(data["cores"]) == os.cpu_count()
    assert data["memory_total"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    _, data = ask(capsys, "doctor", "local")
    verdicts = {item["name"]: item["verdict"] for item in data["checks"]}
    assert verdicts["shell"] == verdicts["folder"] == "pass"


def test_a_device_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with hold(["local"], "local", "a benchmark"):
        assert f"process {os.getpid()} for a benchmark" in fails(capsys, 8, "doctor", "local")


@pytest.mark.device
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_phone(machine: Machine, adb_client: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, data = ask(capsys, "info", f"adb:{machine.serial}")
    assert code == 0
    assert (data["kind"], data["model"], data["soc"]) == ("android", "Lab Phone", "QEMU virt")
    assert [core["name"] for core in data["cores"]] == ["Neoverse-N1"] * 2
    assert data["abis"] == ["arm64-v8a"]
    assert "asimd" in data["features"]
    assert data["battery"] == {"percent": 84, "charging": True, "celsius": 28.9, "millivolts": 4201}
    assert data["thermal_status"] == "none"
    assert data["zones"] == [{"name": "skin", "celsius": 33.4}, {"name": "CPU0", "celsius": 38.25}]
    assert (data["emulated"], data["emulated_sign"]) == (True, "ro.boot.qemu=1")
    code, data = ask(capsys, "list")
    # Another test's machine may still be attached to this adb.
    assert f"adb:{machine.serial}" in [item["reference"] for item in data["sightings"]]


@pytest.mark.device
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_board_by_name(
    machine: Machine, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices.toml").write_text(
        f'[devices.board]\nreference = "ssh:lab"\nssh_config = "{machine.ssh_config}"\nfolder = "/tmp/work"\n'
    )
    code, data = ask(capsys, "doctor", "board")
    verdicts = {item["name"]: item["verdict"] for item in data["checks"]}
    assert {name: verdicts[name] for name in ("reachable", "shell", "folder", "space")} == dict.fromkeys(
        ("reachable", "shell", "folder", "space"), "pass"
    )
    assert verdicts["hardware"] == "warn"
    assert code == (8 if "fail" in verdicts.values() else 0)
    text = Path("devices.toml").read_text()
    Path("devices.toml").write_text(text.replace('folder = "/tmp', 'folder = "/proc'))
    code, data = ask(capsys, "doctor", "board")
    (folder,) = [item for item in data["checks"] if item["name"] == "folder"]
    assert code == 8
    assert "/proc/work: cannot be made" in folder["found"]


@pytest.mark.device
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_unauthorized_device_is_listed(adb_client: str, capsys: pytest.CaptureFixture[str]) -> None:
    with refusing_adbd() as serial:
        assert "is unauthorized" in fails(capsys, 8, "info", f"adb:{serial}")
        _, data = ask(capsys, "list")
    (row,) = [item for item in data["sightings"] if item["reference"] == f"adb:{serial}"]
    assert row["state"] == "unauthorized"
    assert "allow USB debugging" in row["advice"]
