"""What a device is: plain data, each value read from the device or absent with a reason."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Core:
    """One processor core; what could not be read is None.

    Attributes:
        index: as the kernel counts.
        online: whether it takes work now.
        part: ``implementer:part`` of an Arm core, like ``0x41:0xd0c``.
        name: of its type, like ``Cortex-A76``.
        governor: what sets its frequency.
        min_khz, max_khz: limits in force.
        current_khz: when it was read.
    """

    index: int
    online: bool = True
    part: str | None = None
    name: str | None = None
    governor: str | None = None
    min_khz: int | None = None
    max_khz: int | None = None
    current_khz: int | None = None


@dataclass(frozen=True, slots=True)
class Battery:
    """State of the battery.

    Attributes:
        percent: 0..100.
        charging: whether it is plugged in.
        celsius: temperature.
        millivolts: voltage.
    """

    percent: int | None = None
    charging: bool | None = None
    celsius: float | None = None
    millivolts: int | None = None


@dataclass(frozen=True, slots=True)
class Zone:
    """One thermometer: its name, degrees Celsius."""

    name: str
    celsius: float


@dataclass(frozen=True, slots=True)
class Unread:
    """A value that is absent, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A device at one moment; what is None or empty stands in ``unread``.

    Attributes:
        kind: ``android``, ``linux``, ``darwin``, as the device says.
        manufacturer, model: of the device.
        soc: maker and name of the chip.
        cores: in order of index.
        abis: what it runs, best first: Android's names, elsewhere the kernel's machine name.
        features: of the processor, sorted: those that all cores have.
        os: name and version.
        build: Android's build fingerprint, elsewhere the system's build id.
        kernel: name and release.
        memory_total, memory_available: bytes.
        battery: None also where there is none.
        thermal_status: Android's word, ``none`` to ``shutdown``.
        zones: thermometers.
        folder: where ``free_bytes`` was read.
        free_bytes: for this user, in that folder.
        emulated: an emulator or another virtual machine, whose times are no device's.
        emulated_sign: what says so.
        unread: what is absent, and why.
    """

    kind: str | None
    manufacturer: str | None
    model: str | None
    soc: str | None
    cores: tuple[Core, ...]
    abis: tuple[str, ...]
    features: tuple[str, ...]
    os: str | None
    build: str | None
    kernel: str | None
    memory_total: int | None
    memory_available: int | None
    battery: Battery | None
    thermal_status: str | None
    zones: tuple[Zone, ...]
    folder: str
    free_bytes: int | None
    emulated: bool | None
    emulated_sign: str | None
    unread: tuple[Unread, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with the schema's version."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def to_json(self) -> str:
        """``to_dict`` as one line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
