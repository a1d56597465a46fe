"""Reads ``/proc``, ``/sys``, ``/etc`` and ``df`` of a Linux kernel: text in, data out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from mobiledeploy.device_tests.cpu_parse import number
from mobiledeploy.device_tests.facts import Battery, Zone

_FILE = re.compile(r"^(/.*/[\w-]+):(.*)$", re.MULTILINE)
_DENIED = re.compile(r"(/[^:\s]+): Permission denied")
_VIRTUAL_BOARDS = ("linux,dummy-virt", "qemu,", "riscv-virtio", "google,goldfish")
_VIRTUAL_VENDORS = ("qemu", "vmware", "virtualbox", "innotek", "xen", "amazon ec2", "google compute")
_VIRTUAL_PROPERTIES = (
    ("ro.kernel.qemu", "1"),
    ("ro.boot.qemu", "1"),
    ("ro.hardware", "goldfish"),
    ("ro.hardware", "ranchu"),
    ("ro.hardware", "cutf_cvm"),
)
DMI, TREE = "/sys/class/dmi/id", "/proc/device-tree"


def parse_files(text: str) -> dict[str, str]:
    """What ``grep -H ''`` printed of one-line files: content by path."""
    return {path: value.strip() for path, value in _FILE.findall(text)}


def denied(text: str) -> tuple[str, ...]:
    """Paths that a program complained it may not read."""
    return tuple(_DENIED.findall(text))


def parse_memory(text: str) -> tuple[int | None, int | None]:
    """``/proc/meminfo``: total and available bytes."""

    def read(name: str) -> int | None:
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
        return int(found[1]) * 1024 if found else None

    return read("MemTotal"), read("MemAvailable")


def parse_os_release(text: str) -> dict[str, str]:
    """``/etc/os-release``: values without their quotes."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            try:
                found[name.strip()] = " ".join(shlex.split(value))
            except ValueError:
                continue
    return found


def parse_free(text: str) -> int | None:
    """``df -Pk FOLDER``, or ``stat -f -c '%a %S'``: free bytes."""
    rows = [line.split() for line in text.strip().splitlines()]
    if not rows:
        return None
    last = rows[-1]
    if len(last) == 2 and all(item.isdigit() for item in last):
        return int(last[0]) * int(last[1])
    # A long device name makes a row of its own; the share in use marks the columns.
    share = next((index for index, item in enumerate(last) if re.fullmatch(r"\d+%", item)), None)
    if not share or not last[share - 1].isdigit():
        return None
    return int(last[share - 1]) * 1024


def parse_zones(files: Mapping[str, str]) -> tuple[Zone, ...]:
    """Thermometers below ``/sys/class/thermal``; those that say nothing of use are left out."""
    zones = []
    for path, value in sorted(files.items()):
        folder, _, name = path.rpartition("/")
        reading = number(value)
        if name == "temp" and "/thermal_zone" in folder and reading is not None:
            # Millidegrees by the kernel's rule; some drivers give degrees.
            celsius = reading / 1000 if abs(reading) >= 1000 else float(reading)
            zones.append(Zone(files.get(f"{folder}/type") or folder.rpartition("/")[2], celsius))
    return tuple(zones)


def parse_power(files: Mapping[str, str]) -> Battery | None:
    """The first battery below ``/sys/class/power_supply``; None if there is none."""
    for path, value in sorted(files.items()):
        folder, _, name = path.rpartition("/")
        if name != "type" or value != "Battery" or "power_supply" not in folder:
            continue
        tenths, microvolts = number(files.get(f"{folder}/temp")), number(files.get(f"{folder}/voltage_now"))
        status = files.get(f"{folder}/status")
        return Battery(
            number(files.get(f"{folder}/capacity")),
            None if status in {None, "Unknown"} else status != "Discharging",
            None if tenths is None else tenths / 10,
            None if microvolts is None else microvolts // 1000,
        )
    return None


def emulation(
    properties: Mapping[str, str], tree: tuple[str, ...], files: Mapping[str, str], features: tuple[str, ...]
) -> tuple[bool | None, str | None]:
    """Whether the device is a virtual one, and the sign of it.

    Args:
        properties: Android's.
        tree: ``compatible`` of the device tree.
        files: content of files below ``/sys`` by path.
        features: of the processor.

    Returns:
        None if nothing that would tell could be read.
    """
    for name, value in _VIRTUAL_PROPERTIES:
        if properties.get(name) == value:
            return True, f"{name}={value}"
    for board in tree:
        if board.startswith(_VIRTUAL_BOARDS):
            return True, f"device tree: {board}"
    vendor = files.get(f"{DMI}/sys_vendor", "")
    if vendor.lower().startswith(_VIRTUAL_VENDORS):
        return True, f"firmware: {vendor}"
    if "hypervisor" in features:
        return True, "processor: hypervisor"
    return (False, None) if properties or tree or vendor else (None, None)
