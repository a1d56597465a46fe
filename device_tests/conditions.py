"""How a device is at one moment, as far as it changes latencies."""

from __future__ import annotations

from dataclasses import dataclass

from mobiledeploy.device_tests.facts import Battery, Zone


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
