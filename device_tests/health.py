"""Whether a device can be measured now: one check each, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.folder import work_folder
from mobiledeploy.device_tests.load import read_load
from mobiledeploy.device_tests.probe import probe
from mobiledeploy.device_tests.references import Device

PASS, WARN, FAIL = "pass", "warn", "fail"
# A model, an engine and inputs; below the first nothing fits.
LEAST_FREE, ENOUGH_FREE = 50_000_000, 500_000_000
WARM, HOT = 45.0, 70.0
LOADED, BUSY = 0.10, 0.50
LOW_BATTERY = 20
STEADY_GOVERNORS = frozenset({"performance", "userspace"})
THROTTLED = frozenset({"severe", "critical", "emergency", "shutdown"})
TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a measurement needs.

    Attributes:
        name: what was looked at.
        verdict: ``pass``, ``warn`` (a measurement is possible, its figures are less sure) or ``fail``.
        found: what was read.
        advice: what to do; empty if nothing.
    """

    name: str
    verdict: str
    found: str
    advice: str = ""


def examine(device: Device) -> tuple[Check, ...]:
    """Every check of a connected device, in the order in which one depends on another.

    Raises:
        DeviceLost: it vanished meanwhile.
    """
    load = check_load(read_load(device.transport))
    try:
        folder = work_folder(device.transport, device.folder)
    except DeviceError as error:
        return (check_shell(device), Check("folder", FAIL, error.what, error.hint), load)
    facts = probe(device.transport, folder)
    checks = tuple(check(facts) for check in OF_FACTS)
    return (check_shell(device), Check("folder", PASS, folder), *checks, load)


def unreachable(error: DeviceError) -> Check:
    """The one check of a device that could not be connected to."""
    return Check("reachable", FAIL, error.what, error.hint)


def check_shell(device: Device) -> Check:
    """Arguments and exit codes arrive as they were sent."""
    odd = "a 'b' \"c\" $d `e` \\ *\n."
    done = device.transport.run(["sh", "-c", 'printf "%s" "$1"; exit 7', "sh", odd], TIMEOUT)
    if (done.exit_code, done.stdout) == (7, odd):
        return Check("shell", PASS, "arguments and exit codes arrive")
    return Check(
        "shell",
        FAIL,
        f"exit code {done.exit_code} instead of 7, or other arguments",
        "See that its login starts a plain shell and prints nothing",
    )


def check_space(facts: DeviceFacts) -> Check:
    """Free space where the work is done."""
    free = facts.free_bytes
    if free is None:
        return Check("space", WARN, f"unknown in {facts.folder}", "Make sure that 500 MB are free")
    verdict = FAIL if free < LEAST_FREE else WARN if free < ENOUGH_FREE else PASS
    return Check(
        "space",
        verdict,
        f"{free / 1e6:.0f} MB free",
        "" if verdict == PASS else f"Free some in {facts.folder}",
    )


def check_governor(facts: DeviceFacts) -> Check:
    """The frequency stays where it is."""
    governors = sorted({core.governor for core in facts.cores if core.online and core.governor})
    if not governors:
        return Check("governor", WARN, "cannot be read", "Expect latencies to depend on the frequency")
    found = ", ".join(governors)
    if set(governors) <= STEADY_GOVERNORS:
        return Check("governor", PASS, found)
    return Check(
        "governor", WARN, found, "With root: set scaling_governor to performance; else warm up longer"
    )


def check_temperature(facts: DeviceFacts) -> Check:
    """Neither hot nor throttled."""
    hottest = max(facts.zones, key=lambda zone: zone.celsius, default=None)
    words = [f"thermal status {facts.thermal_status}"] if facts.thermal_status else []
    words += [f"{hottest.celsius:.1f} C ({hottest.name})"] if hottest else []
    if not words:
        return Check("temperature", WARN, "cannot be read", "Let it rest between measurements")
    found, celsius = ", ".join(words), hottest.celsius if hottest else 0.0
    if facts.thermal_status in THROTTLED or celsius >= HOT:
        return Check("temperature", FAIL, found, "Let it cool down: it slows itself down")
    if facts.thermal_status not in {None, "none"} or celsius >= WARM:
        return Check("temperature", WARN, found, "Let it cool down")
    return Check("temperature", PASS, found)


def check_battery(facts: DeviceFacts) -> Check:
    """Full enough not to save power."""
    battery = facts.battery
    if battery is None or battery.percent is None:
        return Check("battery", PASS, "none, or not said")
    found = f"{battery.percent}%, {'charging' if battery.charging else 'not charging'}"
    if battery.percent < LOW_BATTERY:
        return Check("battery", WARN, found, "Charge it: a phone slows down when it is low")
    return Check("battery", PASS, found)


def check_real(facts: DeviceFacts) -> Check:
    """Times of an emulator are nobody's."""
    if facts.emulated:
        return Check(
            "hardware",
            WARN,
            f"virtual ({facts.emulated_sign})",
            "Its latencies are not those of a real device",
        )
    if facts.emulated is None:
        return Check(
            "hardware", WARN, "cannot be told from a virtual one", "See what it is before you trust it"
        )
    return Check("hardware", PASS, facts.model or "real")


OF_FACTS: tuple[Callable[[DeviceFacts], Check], ...] = (
    check_space,
    check_governor,
    check_temperature,
    check_battery,
    check_real,
)


def check_load(share: float | None) -> Check:
    """Other work on the processor.

    Args:
        share: 0..1 of all cores, None: unknown.
    """
    if share is None:
        return Check("load", WARN, "cannot be read", "Stop what else runs there")
    verdict = FAIL if share >= BUSY else WARN if share >= LOADED else PASS
    return Check(
        "load",
        verdict,
        f"{share:.0%} of all cores busy",
        "" if verdict == PASS else "Stop what else runs there",
    )
