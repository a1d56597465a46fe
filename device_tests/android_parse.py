"""Reads what Android's ``getprop`` and ``dumpsys`` print: text in, data out."""

from __future__ import annotations

import re

from mobiledeploy.device_tests.facts import Battery, Zone

_PROPERTY = re.compile(r"^\[([^\]]+)\]: \[(.*?)\]$", re.MULTILINE | re.DOTALL)
_TEMPERATURE = re.compile(r"Temperature\{mValue=(?P<value>[-\d.eE]+).*?mName=(?P<name>[^,}]*)")
_THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
_PLUGS = ("AC powered", "USB powered", "Wireless powered", "Dock powered")


def parse_getprop(text: str) -> dict[str, str]:
    """Properties by name; a value may hold line ends."""
    return {name: value.strip() for name, value in _PROPERTY.findall(text.replace("\r\n", "\n"))}


def parse_battery(text: str) -> Battery | None:
    """``dumpsys battery``; None if it tells of no battery."""
    fields = {
        name.strip(): value.strip()
        for name, colon, value in (line.partition(":") for line in text.splitlines())
        if colon
    }
    if fields.get("present") == "false" or not _number(fields.get("level")):
        return None
    level, scale = _number(fields.get("level")), _number(fields.get("scale")) or 100
    tenths = _number(fields.get("temperature"))
    plugs = [fields[name] for name in _PLUGS if name in fields]
    return Battery(
        None if level is None else round(100 * level / scale),
        "true" in plugs if plugs else None,
        None if tenths is None else tenths / 10,
        _number(fields.get("voltage")),
    )


def parse_thermal(text: str) -> tuple[str | None, tuple[Zone, ...]]:
    """``dumpsys thermalservice``: status as a word, and the temperatures as the hardware gives them.

    Cached temperatures are left out: they are of another time.
    """
    status = re.search(r"Thermal Status: (\d+)", text)
    word = _THERMAL[int(status[1])] if status and int(status[1]) < len(_THERMAL) else None
    _, _, current = text.partition("Current temperatures from HAL:")
    current, _, _ = current.partition("Current cooling devices")
    zones = []
    for match in _TEMPERATURE.finditer(current):
        try:
            zones.append(Zone(match["name"].strip(), float(match["value"])))
        except ValueError:
            continue
    return word, tuple(zones)


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"-?\d+", text) else None
