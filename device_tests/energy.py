"""Energy that a battery gave between two readings of its counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# Of a watt hour, and of an ampere hour.
SECONDS = 3600


def spent(readings: Iterable[Mapping[str, Any]]) -> int | None:
    """Microjoules between two readings of Linux's battery counters.

    Args:
        readings: ``status`` and, in the kernel's units, ``energy_now`` (microwatt hours) or
            ``charge_now`` or ``charge_counter`` (microampere hours) with ``voltage_now`` (microvolts).

    Returns:
        None unless there are two, both of a battery that is being discharged.
    """
    pair = list(readings)
    if len(pair) != 2 or any(reading.get("status") != "Discharging" for reading in pair):
        return None
    before, after = pair
    if (energy := _fall(before, after, "energy_now")) is not None:
        return SECONDS * energy
    volts = _number(after, "voltage_now")
    for name in ("charge_now", "charge_counter"):
        charge = _fall(before, after, name)
        if charge is not None and volts is not None:
            return SECONDS * charge * volts // 1_000_000
    return None


def _fall(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> int | None:
    first, last = _number(before, name), _number(after, name)
    return None if first is None or last is None else max(0, first - last)


def _number(reading: Mapping[str, Any], name: str) -> int | None:
    value = reading.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
