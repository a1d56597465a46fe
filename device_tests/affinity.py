"""Which cores a measurement is bound to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.facts import Core
from mobiledeploy.errors import InputError

ALL, FASTEST, SLOWEST = "all", "fastest", "slowest"
_RANGE = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")


def check_affinity(text: str) -> str:
    """The text, if it is ``all``, ``fastest``, ``slowest`` or a list of cores like ``0-3,6``.

    Raises:
        InputError: it is not.
    """
    if text not in (ALL, FASTEST, SLOWEST):
        _listed(text)
    return text


def choose_cores(text: str, cores: Sequence[Core], device: str) -> tuple[int, ...]:
    """The cores that an affinity means on a device.

    Args:
        text: as ``check_affinity`` takes it; ``fastest`` and ``slowest`` go by highest frequency.
        cores: of the device.
        device: its name, for messages.

    Returns:
        Their indices, ascending; empty: all.

    Raises:
        InputError: the text is not understood.
        DeviceError: the device has no such cores, or does not tell which are fast.
    """
    if text == ALL:
        return ()
    online = {core.index: core for core in cores if core.online}
    if text in (FASTEST, SLOWEST):
        speeds = {index: core.max_khz for index, core in online.items() if core.max_khz}
        if len(speeds) < len(online) or not speeds:
            raise DeviceError(
                "it does not tell how fast its cores are",
                where=device,
                hint="Name the cores: --affinity 4-7",
            )
        wanted = max(speeds.values()) if text == FASTEST else min(speeds.values())
        return tuple(sorted(index for index, speed in speeds.items() if speed == wanted))
    listed = _listed(text)
    if missing := [index for index in listed if online and index not in online]:
        there = ", ".join(map(str, sorted(online)))
        raise DeviceError(f"it has no core {missing[0]} online", where=device, hint=f"Online are {there}")
    return listed


def _listed(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if not match:
            raise InputError(
                f"affinity {text!r} is not understood",
                hint=f"Give cores like 0-3,6, or {ALL}, {FASTEST} or {SLOWEST}",
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise InputError(f"affinity {text!r} goes backwards", hint=f"Write {last}-{first}")
        found.update(range(first, last + 1))
    return tuple(sorted(found))
