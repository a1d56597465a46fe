"""Waiting until a device is cool."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.probe import probe
from mobiledeploy.device_tests.session import Session

PAUSE = 5.0
PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Coolness:
    """What a measurement may begin with.

    Attributes:
        celsius: its hottest thermometer at most; None: any.
        patience: seconds to wait for it.
    """

    celsius: float | None = None
    patience: float = PATIENCE


def wait_until_cool(
    session: Session,
    wanted: Coolness,
    announce: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Wait until a device is cool enough and Android says that it is not throttled.

    Args:
        session: on the device.
        wanted: how cool.
        announce: told what is waited for.
        sleep: waits so many seconds.

    Returns:
        Seconds waited.

    Raises:
        DeviceError: it tells no temperature, or did not cool down in time.
    """
    if wanted.celsius is None:
        return 0.0
    waited = 0.0
    while True:
        facts = probe(session.transport, session.work)
        hot = _too_hot(facts, wanted.celsius)
        if not hot:
            return waited
        if not facts.zones and facts.thermal_status is None:
            raise DeviceError(hot, where=session.transport.name, hint="Leave --max-temperature out")
        if waited >= wanted.patience:
            raise DeviceError(
                f"{hot} after {waited:.0f} s",
                where=session.transport.name,
                hint="Cool it, or allow more by --max-temperature",
            )
        announce(f"{session.transport.name} cools down: {hot}")
        # Tells other hosts that this session is alive, too.
        session.run(["true"])
        sleep(PAUSE)
        waited += PAUSE


def _too_hot(facts: DeviceFacts, celsius: float) -> str:
    if not facts.zones and facts.thermal_status is None:
        return "it tells no temperature"
    if facts.thermal_status not in (None, "none"):
        return f"thermal status {facts.thermal_status}"
    hottest = max(facts.zones, key=lambda zone: zone.celsius, default=None)
    if hottest and hottest.celsius > celsius:
        return f"{hottest.celsius:.1f} C ({hottest.name})"
    return ""
