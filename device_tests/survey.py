"""Every device that could be used from here, without touching one of them."""

from __future__ import annotations

from dataclasses import dataclass

from mobiledeploy.device_tests.adb_program import Attached, attached, find_adb
from mobiledeploy.device_tests.device_file import Entry, find_entries
from mobiledeploy.device_tests.errors import DeviceError, one_line
from mobiledeploy.device_tests.lock import owner
from mobiledeploy.device_tests.references import of_entry
from mobiledeploy.errors import EnvironmentProblem, MobileDeployError


@dataclass(frozen=True, slots=True)
class Sighting:
    """One row of the list.

    Attributes:
        reference: what to write to use it.
        state: of an attached device as adb says it; ``absent`` for a named one that adb does not
            see, ``not checked`` for one that only a login would tell.
        what: its model, or where its name comes from.
        in_use_by: who measures on it; empty if nobody.
        advice: what to do; empty if nothing.
    """

    reference: str
    state: str
    what: str
    in_use_by: str
    advice: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen.

    Attributes:
        sightings: devices on adb, then those of ``devices.toml``.
        problem: why adb could not be asked; empty if it could.
    """

    sightings: tuple[Sighting, ...]
    problem: str


def survey() -> Survey:
    """Ask adb and read ``devices.toml``.

    Raises:
        InputError: ``devices.toml`` is damaged.
    """
    found: tuple[Attached, ...] = ()
    problem = ""
    try:
        found = attached(find_adb())
    except (EnvironmentProblem, DeviceError) as error:
        problem = str(error)
    states = {f"adb:{item.serial}": item.state for item in found}
    named = [_named(entry, states) for entry in find_entries().values()]
    return Survey((*map(_on_adb, found), *named), problem)


def _on_adb(item: Attached) -> Sighting:
    reference = f"adb:{item.serial}"
    return Sighting(reference, item.state, item.model, _user(reference), item.advice)


def _named(entry: Entry, states: dict[str, str]) -> Sighting:
    what = f"{one_line(entry.reference)} in {entry.file}"
    try:
        of_entry(entry)
    except MobileDeployError as error:
        return Sighting(entry.name, "not understood", what, "", error.hint)
    if entry.reference.startswith("adb:"):
        state = states.get(entry.reference, "absent")
        advice = "Attach it, or connect to it over the network" if state == "absent" else ""
        return Sighting(entry.name, state, what, _user(entry.reference), advice)
    return Sighting(
        entry.name, "not checked", what, _user(entry.reference), f"mobiledeploy devices doctor {entry.name}"
    )


def _user(reference: str) -> str:
    holder = owner(reference)
    return str(holder) if holder else ""
