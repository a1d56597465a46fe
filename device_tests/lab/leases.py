"""Which devices a lab has, and whose each one is now: plain data, without Dask and without a clock.

A lease is taken by the one who wants a run and renewed by the worker that does it.  One that is not
renewed in time is *silent*: its run may be done elsewhere, while its device is given to nobody until
the worker has given it back or has left, as something may still be running there.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mobiledeploy.device_tests.lock import Owner
from mobiledeploy.errors import InputError

KIND = "kind:"
LEASE_SECONDS = 60.0
# What a worker left behind is kept for those who wait for it; after so many seconds nobody does.
FORGET_SECONDS = 3600.0

State = Literal["waiting", "running", "silent", "ended"]
Word = Literal["go on", "stop", "gone"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A device that a worker holds.

    Attributes:
        device: its name in ``devices.toml``, unique in a lab.
        kind: devices of one kind are equal; None: equal to no other.
        host: that holds it.
        reference: what it is there, like ``adb:SERIAL``.
        worker: Dask's address of the process that works on it, and on nothing else.
        pid: of that process.
    """

    device: str
    kind: str | None
    host: str
    reference: str
    worker: str
    pid: int

    def fits(self, wanted: str) -> bool:
        """Whether it is what was asked for: its name, or ``kind:`` and its kind."""
        return wanted == self.device or (self.kind is not None and wanted == f"{KIND}{self.kind}")


@dataclass(frozen=True, slots=True)
class Lease:
    """A device for one run.

    Attributes:
        token: tells it from every other.
        offer: the device.
        owner: who wants the run.
        expires: moment, by the table's clock, after which it is silent.
        begun: its worker is at it.
        stopped: its owner wants no more of it.
        said: how far it is.
        kept: what its run had measured so far (``keeping``).
    """

    token: str
    offer: Offer
    owner: Owner
    expires: float
    begun: bool = False
    stopped: bool = False
    said: str = ""
    kept: bytes = b""


@dataclass(frozen=True, slots=True)
class Watched:
    """What the owner of a lease is told: its state, how far it is, what it had measured if it is over."""

    state: State
    said: str = ""
    kept: bytes = b""


@dataclass(frozen=True, slots=True)
class Seen:
    """One row of ``lab status``: a device, and the lease of it; ``free`` without one."""

    offer: Offer
    state: Literal["free", "waiting", "running", "silent"]
    owner: Owner | None = None
    said: str = ""


class LeaseTable:
    """Devices and leases of a lab.

    Args:
        seconds: that a lease holds without being renewed.
        clock: seconds that never go back.
    """

    def __init__(self, seconds: float = LEASE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        # By worker, then by device.
        self._announced: dict[str, Offer] = {}
        self._offers: dict[str, Offer] = {}
        self._leases: dict[str, Lease] = {}
        self._over: dict[str, Lease] = {}

    def offer(self, offer: Offer) -> None:
        """Have one more device, as soon as its worker has come (``arrive``).

        A second worker of the same host takes the place of the first, which has died unseen.

        Raises:
            InputError: another host has offered one of that name.
        """
        others = [*self._offers.values(), *self._announced.values()]
        known = next((item for item in others if item.device == offer.device), None)
        if known and known.host != offer.host:
            raise InputError(
                f"a device of that name is offered by {known.host} already",
                where=offer.device,
                hint="Give one of them another name in devices.toml, or name the host of each",
            )
        if known and known.worker != offer.worker:
            self.withdraw(known.worker)
        self._announced[offer.worker] = offer

    def arrive(self, worker: str) -> None:
        """A worker can be given work from now on."""
        if offer := self._announced.pop(worker, None):
            self._offers[offer.device] = offer

    def withdraw(self, worker: str) -> None:
        """A worker has left: its device goes, and the lease of that ends."""
        self._announced.pop(worker, None)
        for name in [name for name, offer in self._offers.items() if offer.worker == worker]:
            del self._offers[name]
        for lease in [lease for lease in self._leases.values() if lease.offer.worker == worker]:
            del self._leases[lease.token]
            self._over[lease.token] = lease

    def fitting(self, wanted: str, but_not: Sequence[str] = ()) -> list[Offer]:
        """Devices that would do, leased ones too, by name."""
        found = [offer for offer in self._offers.values() if offer.fits(wanted)]
        return sorted((offer for offer in found if offer.device not in but_not), key=lambda item: item.device)

    def take(self, wanted: str, owner: Owner, but_not: Sequence[str] = ()) -> Lease | None:
        """A lease of a free device, the first by name; None if there is none.

        Args:
            wanted: the name of a device, or ``kind:KIND``.
            owner: of the run.
            but_not: names of devices that have had it.
        """
        self._sweep()
        leased = {lease.offer.device for lease in self._leases.values()}
        free = [offer for offer in self.fitting(wanted, but_not) if offer.device not in leased]
        if not free:
            return None
        lease = Lease(secrets.token_hex(8), free[0], owner, self._clock() + self.seconds)
        self._leases[lease.token] = lease
        return lease

    def renew(self, token: str, said: str = "") -> Word:
        """Told by the worker: it is at it.

        Returns:
            ``go on``; ``stop`` where the owner wants no more, while the device is the worker's until it
            gives it back; ``gone``: there is no such lease.
        """
        lease = self._leases.get(token)
        if lease is None:
            return "gone"
        expires = self._clock() + self.seconds
        self._leases[token] = replace(lease, begun=True, expires=expires, said=said or lease.said)
        return "stop" if lease.stopped else "go on"

    def keep(self, token: str, measured: bytes) -> None:
        """Told by the worker: what it has measured so far."""
        if token in self._leases:
            self._leases[token] = replace(self._leases[token], kept=measured)

    def stop(self, token: str) -> None:
        """Told by the owner: no more.  A worker that is at it hears of it when it renews."""
        lease = self._leases.get(token)
        if lease and lease.begun:
            self._leases[token] = replace(lease, stopped=True)
        else:
            self._leases.pop(token, None)

    def give_back(self, token: str) -> None:
        """Told by the worker: it is done."""
        self._leases.pop(token, None)

    def watch(self, token: str) -> Watched:
        """Told to the owner.  What a worker that has gone had measured is told once."""
        lease = self._leases.get(token)
        if lease is None:
            over = self._over.pop(token, None)
            return Watched("ended", over.said, over.kept) if over else Watched("ended")
        state = self._state(lease)
        return Watched(state, lease.said, lease.kept if state == "silent" else b"")

    def seen(self) -> list[Seen]:
        """Every device, by name."""
        self._sweep()
        leases = {lease.offer.device: lease for lease in self._leases.values()}
        rows = []
        for name, offer in sorted(self._offers.items()):
            lease = leases.get(name)
            rows.append(
                Seen(offer, self._state(lease), lease.owner, lease.said) if lease else Seen(offer, "free")
            )
        return rows

    def _state(self, lease: Lease) -> Literal["waiting", "running", "silent"]:
        if self._clock() > lease.expires:
            return "silent"
        return "running" if lease.begun else "waiting"

    def _sweep(self) -> None:
        """Drop leases that no worker began in time, and what nobody came for."""
        now = self._clock()
        self._leases = {
            token: lease for token, lease in self._leases.items() if lease.begun or now <= lease.expires
        }
        self._over = {
            token: lease for token, lease in self._over.items() if now <= lease.expires + FORGET_SECONDS
        }
