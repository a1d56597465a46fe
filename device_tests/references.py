"""From what a user writes (``adb:SERIAL``, ``ssh:HOST``, ``local``, a name) to a connected device."""

from __future__ import annotations

import contextlib
import difflib
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mobiledeploy.device_tests.device_file import Entry, find_entries
from mobiledeploy.device_tests.errors import DeviceError, one_line
from mobiledeploy.device_tests.lock import hold
from mobiledeploy.device_tests.transport import CONNECT_TIMEOUT, Transport
from mobiledeploy.errors import InputError

FORMS = (
    "Known forms are local, adb:SERIAL, adb:HOST:PORT, ssh:[USER@]HOST[:PORT] and the names of devices.toml"
)
BOOT_ID = "/proc/sys/kernel/random/boot_id"
_SSH = re.compile(r"(?P<host>(?:[^@]*@)?(?:\[[^\]]*\]|[^:]*))(?::(?P<port>\d+))?")
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed reference.

    Attributes:
        kind: ``local``, ``adb`` or ``ssh``.
        where: adb's serial (empty: the only one attached), or ssh's ``[USER@]HOST``.
        port: of ssh; None: as configured.
        ssh_config: OpenSSH configuration to use instead of the user's.
        folder: where to work on the device; None: a usual place.
        python: the device's Python; None: ``python3``, on this machine the one that runs.
        clock: as in ``device_file.Entry``.
    """

    kind: str
    where: str = ""
    port: int | None = None
    ssh_config: Path | None = None
    folder: str | None = None
    python: str | None = None
    clock: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device that is connected and locked.

    Attributes:
        reference: as the user wrote it.
        transport: the way to it.
        folder: where to work on it, if the user said so.
        python: its Python.
        clock: as in ``device_file.Entry``.
    """

    reference: str
    transport: Transport
    folder: str | None = None
    python: str = "python3"
    clock: str | None = None


@contextmanager
def connect(
    reference: str, *, purpose: str = "", wait: float = 0.0, timeout: float = CONNECT_TIMEOUT
) -> Iterator[Device]:
    """Connect to a device and keep other processes off it while the block runs.

    Args:
        reference: ``local``, ``adb``, ``adb:SERIAL``, ``adb:HOST:PORT``, ``ssh:[USER@]HOST[:PORT]``
            or a name of ``devices.toml``.
        purpose: what for, for others who want it meanwhile.
        wait: seconds to wait while another process uses it.
        timeout: seconds to wait for its answer.

    Raises:
        InputError: the reference is not understood; lists near misses.
        DeviceBusyError: another process uses it.
        DeviceError: it cannot be reached.
        EnvironmentProblem: adb or ssh is not on this machine.
    """
    address = resolve(reference)
    transport = open_transport(address)
    with contextlib.ExitStack() as stack:
        # Before anything is sent to it: a measurement may be running there.
        stack.enter_context(hold([transport.name], transport.name, purpose, wait))
        stack.callback(transport.close)
        transport.reconnect(timeout)
        # The same device may be reached by another name; its boot id is the same by all of them.
        booted = transport.run(["cat", BOOT_ID], timeout)
        if booted.exit_code == 0 and booted.stdout.strip():
            boot = f"boot:{booted.stdout.strip()}"
            stack.enter_context(hold([boot], transport.name, purpose, wait))
        python = sys.executable if address.kind == "local" else "python3"
        yield Device(reference, transport, address.folder, address.python or python, address.clock)


def resolve(reference: str) -> Address:
    """What a reference means, with names looked up in ``devices.toml``.

    Raises:
        InputError: it means nothing; lists near misses.
    """
    address = parse(reference)
    if address:
        return address
    entries = find_entries()
    if reference in entries:
        return of_entry(entries[reference])
    hint = _near(reference, (*entries, "local", "adb", "ssh:")) or FORMS
    raise InputError("no such device", where=one_line(reference) or "''", hint=hint)


def of_entry(entry: Entry) -> Address:
    """The address of a named device.

    Raises:
        InputError: its reference is not understood.
    """
    address = parse(entry.reference)
    if address is None:
        raise InputError(
            f"the reference {one_line(entry.reference)!r} is not understood",
            where=f"{entry.file}: [devices.{entry.name}]",
            hint="Known forms are local, adb:SERIAL, adb:HOST:PORT and ssh:[USER@]HOST[:PORT]",
        )
    return replace(
        address,
        ssh_config=entry.ssh_config,
        folder=entry.folder,
        python=entry.python,
        clock=entry.clock,
    )


def parse(reference: str) -> Address | None:
    """A reference that is no name; None if it is of no known form.

    Raises:
        InputError: it begins like one and goes on wrongly.
    """
    kind, colon, rest = reference.partition(":")
    if reference in {"local", "adb"}:
        return Address(reference)
    if not colon or kind not in {"adb", "ssh"}:
        return None
    match = _SSH.fullmatch(rest)
    if kind == "adb" and rest and rest.isprintable():
        return Address("adb", rest)
    if kind == "ssh" and match and match["host"]:
        port = int(match["port"]) if match["port"] else None
        if port is None or 0 < port <= _HIGHEST_PORT:
            return Address("ssh", match["host"].replace("[", "").replace("]", ""), port)
    raise InputError("not understood", where=one_line(reference), hint=FORMS)


def open_transport(address: Address) -> Transport:
    """The way to an address, not yet connected.

    Raises:
        DeviceError: adb alone was named and not exactly one device is attached.
        EnvironmentProblem: adb or ssh is not on this machine.
    """
    if address.kind == "local":
        from mobiledeploy.device_tests.local import LocalTransport

        return LocalTransport()
    if address.kind == "ssh":
        from mobiledeploy.device_tests.ssh import SshTransport

        return SshTransport(address.where, address.port, address.ssh_config)
    from mobiledeploy.device_tests.adb import AdbTransport

    return AdbTransport(_serial(address.where))


def _serial(wanted: str) -> str:
    from mobiledeploy.device_tests.adb_program import attached, find_adb

    if ":" in wanted:
        return wanted
    found = attached(find_adb())
    serials = [item.serial for item in found]
    if wanted in serials or (wanted and not serials):
        return wanted
    if wanted:
        raise DeviceError(
            "not attached",
            where=f"adb:{one_line(wanted)}",
            hint=_near(wanted, serials) or f"Attached: {', '.join(serials)}",
        )
    if len(serials) == 1:
        return serials[0]
    listed = ", ".join(f"adb:{item.serial} ({item.model or item.state})" for item in found)
    raise DeviceError(
        f"{len(serials) or 'no'} devices are attached",
        where="adb",
        hint=f"Choose one: {listed}" if found else "Attach one and allow USB debugging on it",
    )


def _near(wanted: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(wanted, list(known), 3, 0.5)
    return f"Did you mean {' or '.join(near)}?" if near else ""
