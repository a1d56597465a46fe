"""Asks a device what it is.

A few commands, each of which may fail alone: what one of them would have told is then absent, with
the device's own words for the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mobiledeploy.device_tests.android_parse import parse_battery, parse_getprop, parse_thermal
from mobiledeploy.device_tests.cpu_parse import CPU_FOLDER, add_frequencies, parse_cpuinfo
from mobiledeploy.device_tests.errors import DeviceTimeout, one_line
from mobiledeploy.device_tests.facts import Battery, DeviceFacts, Unread, Zone
from mobiledeploy.device_tests.system_parse import (
    DMI,
    TREE,
    denied,
    emulation,
    parse_files,
    parse_free,
    parse_memory,
    parse_os_release,
    parse_power,
    parse_zones,
)
from mobiledeploy.device_tests.transport import Transport

TIMEOUT = 20.0
# Constants all of them: nothing from outside is expanded by the device's shell.
SYSTEM_FILES = (
    "sh",
    "-c",
    "grep -H '' "
    + " ".join(
        (
            f"{CPU_FOLDER}/cpu[0-9]*/online",
            f"{CPU_FOLDER}/cpu[0-9]*/cpufreq/scaling_[gmc][ouia][vnxr]*",
            "/sys/class/thermal/thermal_zone*/type",
            "/sys/class/thermal/thermal_zone*/temp",
            *(
                f"/sys/class/power_supply/*/{name}"
                for name in ("type", "capacity", "status", "temp", "voltage_now")
            ),
            *(f"{DMI}/{name}" for name in ("sys_vendor", "product_name")),
            *(f"/sys/devices/soc0/{name}" for name in ("family", "machine", "soc_id")),
        )
    ),
)
FREE = ("sh", "-c", 'df -Pk "$1" 2>/dev/null || stat -f -c "%a %S" "$1"', "sh")


@dataclass
class _Reader:
    """Asks, and keeps what was not answered."""

    transport: Transport
    unread: list[Unread] = field(default_factory=list)

    def ask(self, argv: Sequence[str], *names: str) -> str | None:
        """What a command prints; None, with the reason under ``names``, if it fails."""
        text, reason = self.listen(argv)
        if text is None:
            self.miss(reason, *names)
        return text

    def listen(self, argv: Sequence[str]) -> tuple[str | None, str]:
        """What a command prints, and why it does not."""
        try:
            done = self.transport.run(argv, TIMEOUT)
        except DeviceTimeout as error:
            return None, error.what
        if done.exit_code == 0:
            return _plain(done.stdout), ""
        return None, one_line(done.stderr) or f"{argv[0]} ended in exit code {done.exit_code}"

    def miss(self, reason: str, *names: str) -> None:
        self.unread.extend(Unread(name, reason) for name in names)


def probe(transport: Transport, folder: str) -> DeviceFacts:
    """Read what a device is and how it is now.

    Args:
        transport: a connected device.
        folder: where free space counts.

    Raises:
        DeviceLost: it vanished meanwhile.
    """
    reader = _Reader(transport)
    properties = parse_getprop(reader.listen(["getprop"])[0] or "")
    android = "ro.build.version.release" in properties
    system = reader.ask(["uname", "-s"], "kind")
    release = reader.ask(["uname", "-r"], "kernel")
    machine = reader.ask(["uname", "-m"], "abis")
    cpuinfo = reader.ask(["cat", "/proc/cpuinfo"], "cores", "features")
    cores, features = parse_cpuinfo(cpuinfo or "")
    files = _system_files(reader)
    tree = _tree(reader)
    memory = parse_memory(reader.ask(["cat", "/proc/meminfo"], "memory_total", "memory_available") or "")
    os, build = _android_os(properties) if android else _linux_os(reader)
    manufacturer, model, soc = _names(properties, tree, files)
    zones, status = _thermal(reader, files, android)
    emulated, sign = emulation(properties, tree, files, features)
    kind = (system or "").strip().lower() or None
    facts = DeviceFacts(
        kind="android" if android else kind,
        manufacturer=manufacturer,
        model=model,
        soc=soc,
        cores=add_frequencies(cores, files),
        abis=_abis(properties, machine),
        features=features,
        os=os,
        build=build,
        kernel=f"{(system or '').strip()} {release.strip()}".strip() if release else None,
        memory_total=memory[0],
        memory_available=memory[1],
        battery=_battery(reader, files, android),
        thermal_status=status,
        zones=zones,
        folder=folder,
        free_bytes=parse_free(reader.ask([*FREE, folder], "free_bytes") or ""),
        emulated=emulated,
        emulated_sign=sign,
        unread=(),
    )
    return _with_reasons(facts, reader.unread)


def _system_files(reader: _Reader) -> dict[str, str]:
    # grep fails where one file of many is absent, so its exit code says nothing.
    try:
        done = reader.transport.run(SYSTEM_FILES, TIMEOUT)
    except DeviceTimeout as error:
        reader.miss(error.what, "governors", "zones")
        return {}
    for path in denied(done.stderr):
        reader.miss("permission denied", path)
    return parse_files(_plain(done.stdout))


def _plain(text: str) -> str:
    """Without the terminal codes that a device may put into a name."""
    return "".join(char if char.isprintable() or char in "\n\t\0" else " " for char in text)


def _tree(reader: _Reader) -> tuple[str, ...]:
    compatible, _ = reader.listen(["cat", f"{TREE}/compatible"])
    return tuple(item for item in (compatible or "").split("\0") if item)


def _names(
    properties: Mapping[str, str], tree: tuple[str, ...], files: Mapping[str, str]
) -> tuple[str | None, str | None, str | None]:
    """Manufacturer, model, SoC: of Android's properties, else of the firmware, else of the device tree."""
    chip = [properties.get("ro.soc.manufacturer"), properties.get("ro.soc.model")]
    soc0 = [files.get(f"/sys/devices/soc0/{name}") for name in ("family", "soc_id")]
    board = tree[0] if tree else None
    return (
        properties.get("ro.product.manufacturer") or files.get(f"{DMI}/sys_vendor"),
        properties.get("ro.product.model") or files.get(f"{DMI}/product_name") or board,
        _joined(chip) or properties.get("ro.board.platform") or _joined(soc0) or (tree[-1] if tree else None),
    )


def _joined(words: Sequence[str | None]) -> str | None:
    return " ".join(word for word in words if word) or None


def _abis(properties: Mapping[str, str], machine: str | None) -> tuple[str, ...]:
    listed = properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi")
    return tuple((listed or (machine or "").strip()).split(",")) if listed or machine else ()


def _android_os(properties: Mapping[str, str]) -> tuple[str, str | None]:
    level = properties.get("ro.build.version.sdk")
    name = f"Android {properties['ro.build.version.release']}"
    return f"{name} (API {level})" if level else name, properties.get("ro.build.fingerprint")


def _linux_os(reader: _Reader) -> tuple[str | None, str | None]:
    found = parse_os_release(reader.ask(["cat", "/etc/os-release"], "os", "build") or "")
    return found.get("PRETTY_NAME") or found.get("NAME"), found.get("BUILD_ID")


def _thermal(reader: _Reader, files: Mapping[str, str], android: bool) -> tuple[tuple[Zone, ...], str | None]:
    zones = parse_zones(files)
    if not android:
        reader.miss("only Android has one", "thermal_status")
        return zones, None
    status, service = parse_thermal(reader.ask(["dumpsys", "thermalservice"], "thermal_status") or "")
    # The kernel's own thermometers are many and fine; Android often hides them from the shell.
    return zones or service, status


def _battery(reader: _Reader, files: Mapping[str, str], android: bool) -> Battery | None:
    if android:
        return parse_battery(reader.ask(["dumpsys", "battery"], "battery") or "")
    return parse_power(files)


def _with_reasons(facts: DeviceFacts, unread: list[Unread]) -> DeviceFacts:
    given = {item.name for item in unread}
    absent = [
        name
        for name, value in ((name, getattr(facts, name)) for name in facts.__slots__)
        if value in (None, ()) and name not in given | {"unread", "emulated_sign"}
    ]
    if facts.cores and all(core.governor is None for core in facts.cores):
        absent.append("governors")
    reasons = tuple(Unread(name, "the device does not say") for name in absent)
    return replace(facts, unread=(*unread, *reasons))
