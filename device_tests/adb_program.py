"""The ``adb`` program: where it is, what is attached, and what it means by what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mobiledeploy.device_tests.errors import DeviceError, one_line
from mobiledeploy.device_tests.processes import Finished, run_process
from mobiledeploy.errors import EnvironmentProblem

VARIABLE = "MOBILEDEPLOY_ADB"
SERVER_TIMEOUT = 20.0
LIST_TIMEOUT = 10.0
READY = "device"
# Nothing but a human hand gets a device out of these.
BY_HAND = frozenset({"unauthorized", "no permissions"})

_ADVICE = {
    READY: "",
    "unauthorized": "Unlock it and allow USB debugging for this computer; if it does not ask, revoke the "
    "authorizations in its developer options and plug it in again",
    "authorizing": "Wait a moment",
    "connecting": "Wait a moment",
    "offline": "Plug it in again or restart it; over a network: adb disconnect, then adb connect",
    "no permissions": "Give this user access to the USB device: a udev rule for its vendor, and membership "
    "of the group that the rule names; then plug it in again",
    "recovery": "Restart it into Android: adb reboot",
    "rescue": "Restart it into Android: adb reboot",
    "sideload": "Restart it into Android: adb reboot",
    "bootloader": "Restart it into Android: fastboot reboot",
    "host": "Nothing to do: this is the computer itself",
}
_PACKAGES = {"adbutils": "binaries/adb", "adbx": "bin/platform-tools/adb"}
_LAUNCHER_BYTES = 1024
_ROW = re.compile(rf"(?P<serial>\S.*?)\s+(?P<state>{'|'.join(_ADVICE)})\b(?P<rest>.*)")
_MODEL = re.compile(r"\bmodel:(\S+)")


@dataclass(frozen=True, slots=True)
class Attached:
    """One line of ``adb devices``.

    Attributes:
        serial: what adb calls it.
        state: ``device`` is the one that works.
        model: empty if adb does not know it.
        advice: what to do about the state; empty if nothing.
    """

    serial: str
    state: str
    model: str
    advice: str


def find_adb() -> Path:
    """The program: that which ``MOBILEDEPLOY_ADB`` names, else in ``PATH``, else inside a package.

    Raises:
        EnvironmentProblem: it is in none of them.
    """
    if named := os.environ.get(VARIABLE):
        if found := shutil.which(named):
            return Path(found)
        raise EnvironmentProblem(
            "no such program", where=f"{VARIABLE}={named}", hint="Correct the variable or unset it"
        )
    if in_path := adb_in_path():
        return in_path
    for name, place in _PACKAGES.items():
        package = find_spec(name)
        if package and package.origin and (inside := Path(package.origin).parent / place).is_file():
            return inside
    raise EnvironmentProblem(
        "adb is not on this machine",
        hint=f"Install Android's platform tools, or: pip install adbutils; or name it in {VARIABLE}",
    )


def adb_in_path() -> Path | None:
    """The first adb in ``PATH`` that can be trusted with arguments.

    The launcher that comes with the package adbx joins them for a shell, unquoted, and ends in 0
    whatever happened.
    """
    for folder in os.get_exec_path():
        found = shutil.which("adb", path=folder)
        if found and not _of_adbx(Path(found)):
            return Path(found)
    return None


def _of_adbx(program: Path) -> bool:
    with program.open("rb") as file:
        start = file.read(_LAUNCHER_BYTES)
    return start.startswith(b"#!") and b"adbx" in start


def start_server(adb: Path) -> None:
    """Start adb's server unless it runs, on the port that ``ANDROID_ADB_SERVER_PORT`` names.

    Apart from all else, because the server keeps the outputs of the command that starts it.

    Raises:
        DeviceError: it does not start.
    """
    try:
        done = subprocess.run(
            [str(adb), "start-server"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SERVER_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(
            "adb's server does not start", where=str(adb), hint="Try: adb kill-server; adb start-server"
        ) from error
    if done.returncode:
        raise DeviceError(
            "adb's server does not start", where=str(adb), hint="See what this says: adb start-server"
        )


def ask(adb: Path, arguments: Sequence[str], timeout: float) -> Finished:
    """Run adb itself, not a command on a device."""
    return run_process([str(adb), *arguments], timeout)


def attached(adb: Path) -> tuple[Attached, ...]:
    """Every device that adb knows of, in its order.

    Raises:
        DeviceError: adb or its server does not work.
    """
    start_server(adb)
    done = ask(adb, ["devices", "-l"], LIST_TIMEOUT)
    if done.exit_code != 0:
        raise DeviceError(
            f"adb lists no devices ({one_line(done.stderr.decode(errors='replace')) or 'no answer'})",
            where=str(adb),
            hint="Try: adb kill-server; adb devices",
        )
    return parse_devices(done.stdout.decode(errors="replace"))


def parse_devices(listing: str) -> tuple[Attached, ...]:
    """What ``adb devices`` or ``adb devices -l`` printed; lines of another form are left out."""
    _, _, rows = listing.partition("List of devices attached")
    matches = (_ROW.fullmatch(line.strip()) for line in rows.splitlines())
    return tuple(_attached(match) for match in matches if match)


def advice(state: str) -> str:
    """What to do about a device in this state; empty if nothing."""
    return _ADVICE.get(state, "Plug it in again")


def _attached(match: re.Match[str]) -> Attached:
    model = _MODEL.search(match["rest"])
    return Attached(
        match["serial"],
        match["state"],
        one_line(model[1].replace("_", " ")) if model else "",
        advice(match["state"]),
    )
