"""``mobiledeploy devices list | info | doctor | clean``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.device_tests.facts import Core, DeviceFacts
    from mobiledeploy.device_tests.health import Check
    from mobiledeploy.device_tests.survey import Survey

HELP = "Phones and boards: what is attached, what each is, whether it can be measured."
LIST_EXAMPLE = "mobiledeploy devices list"
INFO_EXAMPLE = "mobiledeploy devices info adb:0A041FDD4003XK"
CLEAN_EXAMPLE = "mobiledeploy devices clean ssh:pi@board.local"
DOCTOR_EXAMPLE = "mobiledeploy devices doctor ssh:pi@board.local"

# Someone waits at the terminal.
CONNECT_TIMEOUT = 10.0

Reference = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="local, adb:SERIAL, adb:HOST:PORT, ssh:[USER@]HOST[:PORT], or a name of devices.toml; "
        "adb alone if exactly one device is attached.",
    ),
]


def list_devices(as_json: JsonOption = False) -> Outcome:
    """List the devices on adb and those of devices.toml, and what to do about those that do not work."""
    from mobiledeploy.device_tests.survey import survey

    seen = survey()
    return Outcome(asdict(seen), lambda: _render_list(seen), as_json)


def info(reference: Reference, as_json: JsonOption = False) -> Outcome:
    """Say what a device is, read from the device: chip, cores, system, memory, battery, temperatures."""
    from mobiledeploy.device_tests.folder import work_folder
    from mobiledeploy.device_tests.probe import probe
    from mobiledeploy.device_tests.references import connect

    with connect(reference, purpose="devices info", timeout=CONNECT_TIMEOUT) as device:
        facts = probe(device.transport, work_folder(device.transport, device.folder))
        name = device.transport.name
    return Outcome({"device": name, **facts.to_dict()}, lambda: _render_info(name, facts), as_json)


def doctor(reference: Reference, as_json: JsonOption = False) -> Outcome:
    """Check what a measurement needs of a device; exit code 8 if something fails."""
    from mobiledeploy.device_tests.errors import DeviceBusyError, DeviceError
    from mobiledeploy.device_tests.health import FAIL, Check, examine, unreachable
    from mobiledeploy.device_tests.references import connect

    checks: tuple[Check, ...]
    try:
        with connect(reference, purpose="devices doctor", timeout=CONNECT_TIMEOUT) as device:
            checks = (Check("reachable", "pass", device.transport.name), *examine(device))
    except DeviceBusyError:
        raise
    except DeviceError as error:
        checks = (unreachable(error),)
    failed = any(check.verdict == FAIL for check in checks)
    data = {"device": reference, "passed": not failed, "checks": [asdict(check) for check in checks]}
    return Outcome(data, lambda: _render_checks(checks), as_json, DeviceError.exit_code if failed else 0)


def clean(reference: Reference, as_json: JsonOption = False) -> Outcome:
    """Remove what measurements keep on a device: runners, engine libraries, leftovers of a crash."""
    from mobiledeploy.device_tests.references import connect
    from mobiledeploy.device_tests.session import clean as remove

    with connect(reference, purpose="devices clean", timeout=CONNECT_TIMEOUT) as device:
        folder = remove(device)
        name = device.transport.name
    return Outcome({"device": name, "removed": folder}, lambda: f"{name}: {folder} removed", as_json)


COMMANDS = (
    ("list", list_devices, LIST_EXAMPLE),
    ("info", info, INFO_EXAMPLE),
    ("doctor", doctor, DOCTOR_EXAMPLE),
    ("clean", clean, CLEAN_EXAMPLE),
)


def _render_list(seen: Survey) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns, pairs

    rows = [
        (item.reference, item.state, item.what, item.in_use_by or "-", item.advice) for item in seen.sightings
    ]
    table = columns(("device", "state", "what it is", "in use by", "what to do"), rows)
    nothing = "" if rows or seen.problem else "nothing attached, nothing in devices.toml"
    return Group(*([table] if rows else []), pairs([("adb", seen.problem), ("devices", nothing)]))


def _render_info(name: str, facts: DeviceFacts) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns, pairs, size

    def amount(count: int | None) -> str:
        return "" if count is None else size(count)

    zones = ", ".join(f"{zone.name} {zone.celsius:.1f} C" for zone in facts.zones)
    virtual = {True: f"yes ({facts.emulated_sign})", False: "no", None: ""}[facts.emulated]
    return Group(
        pairs(
            [
                ("device", name),
                ("maker, model", " ".join(filter(None, (facts.manufacturer, facts.model)))),
                ("SoC", facts.soc or ""),
                ("virtual", virtual),
                ("system", ", ".join(filter(None, (facts.os, facts.kernel)))),
                ("build", facts.build or ""),
                ("ABI", ", ".join(facts.abis)),
                ("features", " ".join(facts.features)),
                ("memory", amount(facts.memory_total)),
                ("available", amount(facts.memory_available)),
                ("free", f"{amount(facts.free_bytes)} in {facts.folder}" if facts.free_bytes else ""),
                ("battery", _battery(facts)),
                ("thermal status", facts.thermal_status or ""),
                ("temperatures", zones),
            ]
        ),
        columns(("core", "type", "online", "governor", "MHz now", "least", "most"), map(_core, facts.cores)),
        pairs([(item.name, item.reason) for item in facts.unread], "not read"),
    )


def _core(core: Core) -> tuple[str, ...]:
    speeds = (core.current_khz, core.min_khz, core.max_khz)
    megahertz = ("-" if speed is None else f"{speed / 1000:.0f}" for speed in speeds)
    kind = core.name or core.part or "-"
    return str(core.index), kind, "yes" if core.online else "no", core.governor or "-", *megahertz


def _battery(facts: DeviceFacts) -> str:
    battery = facts.battery
    if battery is None:
        return ""
    words = [
        "" if battery.percent is None else f"{battery.percent}%",
        {True: "charging", False: "not charging", None: ""}[battery.charging],
        "" if battery.celsius is None else f"{battery.celsius:.1f} C",
        "" if battery.millivolts is None else f"{battery.millivolts} mV",
    ]
    return ", ".join(filter(None, words))


def _render_checks(checks: tuple[Check, ...]) -> RenderableType:
    from mobiledeploy.deploy.commands.tables import columns

    rows = [(check.name, check.verdict, check.found, check.advice) for check in checks]
    return columns(("check", "verdict", "found", "what to do"), rows)
