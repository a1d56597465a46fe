"""How a device is at one moment, as far as it changes latencies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from mobiledeploy.device_tests.facts import Battery, Core, DeviceFacts, Zone
from mobiledeploy.device_tests.load import read_load
from mobiledeploy.device_tests.probe import probe
from mobiledeploy.device_tests.transport import Transport

TIMEOUT = 20.0
_SETTINGS = (
    "sh",
    "-c",
    "for name in low_power airplane_mode_on; do echo $name=$(settings get global $name 2>/dev/null); done; "
    "dumpsys power 2>/dev/null | grep -m 1 mWakefulness=",
)


@dataclass(frozen=True, slots=True)
class CoreState:
    """One core: its governor, its frequency now and its limits in kHz; None: not readable."""

    index: int
    online: bool
    governor: str | None
    current_khz: int | None
    min_khz: int | None
    max_khz: int | None


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a credible latency carries from before and from after it; None or empty: not readable.

    Attributes:
        time: UTC, ISO 8601.
        cores: in order of index.
        thermal_status: Android's word, ``none`` to ``shutdown``.
        zones: thermometers, degrees Celsius.
        battery: its state.
        power_save: battery saver is on.
        screen: on.
        airplane: airplane mode is on.
        busy: share of all cores that worked, 0..1, over one second.
        memory_available: bytes.
    """

    time: str
    cores: tuple[CoreState, ...]
    thermal_status: str | None
    zones: tuple[Zone, ...]
    battery: Battery | None
    power_save: bool | None
    screen: bool | None
    airplane: bool | None
    busy: float | None
    memory_available: int | None


def observe(transport: Transport, folder: str) -> tuple[DeviceFacts, Conditions]:
    """What a device is, and how it is now.

    Args:
        transport: a connected device.
        folder: where its free space counts.

    Raises:
        DeviceLost: it vanished meanwhile.
    """
    facts = probe(transport, folder)
    power_save, screen, airplane = _android(transport) if facts.kind == "android" else (None, None, None)
    return facts, Conditions(
        time=utc_now(),
        cores=tuple(map(_state, facts.cores)),
        thermal_status=facts.thermal_status,
        zones=facts.zones,
        battery=facts.battery,
        power_save=power_save,
        screen=screen,
        airplane=airplane,
        busy=read_load(transport),
        memory_available=facts.memory_available,
    )


def utc_now() -> str:
    """This host's clock, like ``2026-03-01T12:00:00+00:00``."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _state(core: Core) -> CoreState:
    return CoreState(core.index, core.online, core.governor, core.current_khz, core.min_khz, core.max_khz)


def _android(transport: Transport) -> tuple[bool | None, bool | None, bool | None]:
    """Power save, screen, airplane mode."""
    done = transport.run(_SETTINGS, TIMEOUT)
    found = dict(re.findall(r"^(\w+)=(\S+)$", done.stdout, re.MULTILINE))
    awake = re.search(r"mWakefulness=(\w+)", done.stdout)
    flags = {"0": False, "1": True}
    return (
        flags.get(found.get("low_power", "")),
        awake[1] == "Awake" if awake else None,
        flags.get(found.get("airplane_mode_on", "")),
    )
