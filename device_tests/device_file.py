"""``devices.toml``: devices by name.

[devices.pixel]
reference = "adb:0A041FDD4003XK"

[devices.board]
reference = "ssh:pi@board.local"
ssh_config = "bench_ssh_config"     # a path from this file's folder
folder = "/mnt/fast/mobiledeploy"   # where to work on the device
python = "/home/pi/venv/bin/python" # with the engine, for the Python runner
clock = "instructions"              # an emulator whose clock counts instructions
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobiledeploy.errors import InputError

FILE = "devices.toml"
INSTRUCTIONS = "instructions"
_KEYS = ("reference", "ssh_config", "folder", "python", "clock")
_NAME = re.compile(r"[\w][\w.-]*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One named device.

    Attributes:
        name: letters, digits, ``_``, ``-`` and ``.``.
        reference: ``local``, ``adb:...`` or ``ssh:...``.
        file: where it stands.
        ssh_config: OpenSSH configuration to use instead of the user's.
        folder: absolute path on the device to work in; None: a usual one.
        python: absolute path on the device of the Python to use; None: ``python3``.
        clock: ``instructions`` of an emulator whose clock counts them; None: time.
    """

    name: str
    reference: str
    file: Path
    ssh_config: Path | None = None
    folder: str | None = None
    python: str | None = None
    clock: str | None = None


def find_entries(start: Path | None = None) -> dict[str, Entry]:
    """All named devices: of the nearest ``devices.toml`` from a folder upwards, then of the user's own.

    Args:
        start: None: the current folder.

    Raises:
        InputError: a file is damaged, or says what is not understood.
    """
    start = (start or Path.cwd()).resolve()
    nearest = next((folder / FILE for folder in (start, *start.parents) if (folder / FILE).is_file()), None)
    entries: dict[str, Entry] = {}
    for file in (_user_file(), nearest):
        if file and file.is_file():
            entries.update(read_entries(file))
    return entries


def read_entries(file: Path) -> dict[str, Entry]:
    """The devices of one file, by name.

    Raises:
        InputError: it is damaged, or says what is not understood.
    """
    import tomllib

    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot be read ({error})", where=str(file), hint="Correct the file") from error
    devices = data.pop("devices", {})
    if data or not isinstance(devices, Mapping):
        raise InputError(
            "holds more than tables [devices.NAME]",
            where=str(file),
            hint="Write [devices.NAME] over each device",
        )
    return {name: _entry(name, values, file) for name, values in devices.items()}


def _entry(name: str, values: Any, file: Path) -> Entry:
    where = f"{file}: [devices.{name}]"
    if not _NAME.fullmatch(name) or name in {"local", "adb", "ssh"}:
        raise InputError("cannot be the name of a device", where=where, hint="Take letters, digits, - and _")
    if not isinstance(values, Mapping):
        raise InputError("is no table", where=where, hint='Write reference = "adb:SERIAL" under it')
    for key, value in values.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            raise InputError(
                f"{key!r} is not understood",
                where=where,
                hint=f"Did you mean {near[0]}?" if near else f"Known are {', '.join(_KEYS)}",
            )
        if not isinstance(value, str) or not value:
            raise InputError(f"{key} is no text", where=where, hint="Put it in quotes")
    if "reference" not in values:
        raise InputError("has no reference", where=where, hint='Add reference = "adb:SERIAL"')
    for key in ("folder", "python"):
        if key in values and not values[key].startswith("/"):
            raise InputError(
                f"{key} {values[key]!r} is no absolute path", where=where, hint="Start it with /"
            )
    if values.get("clock", INSTRUCTIONS) != INSTRUCTIONS:
        raise InputError(
            f"clock {values['clock']!r} is unknown",
            where=where,
            hint=f'Write "{INSTRUCTIONS}" or leave it out',
        )
    config = values.get("ssh_config")
    return Entry(
        name,
        values["reference"],
        file,
        file.parent / Path(config).expanduser() if config else None,
        values.get("folder"),
        values.get("python"),
        values.get("clock"),
    )


def _user_file() -> Path:
    configured = os.environ.get("XDG_CONFIG_HOME")
    base = Path(configured) if configured else Path.home() / ".config"
    return base / "mobiledeploy" / FILE
