"""Dask's scheduler with the table of devices and leases.  Imports Dask: import it inside functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.scheduler import WorkerState

from mobiledeploy.device_tests.lab.leases import LEASE_SECONDS, LeaseTable, Offer
from mobiledeploy.device_tests.lab.settings import split_address, versions
from mobiledeploy.device_tests.lab.worker import CORE, CORE_OF_HOST
from mobiledeploy.device_tests.lock import Owner
from mobiledeploy.errors import InputError


class LabPlugin(SchedulerPlugin):
    """The table, asked over Dask's own connections: each ``lab_...`` is an operation of the scheduler.

    Arguments and results are plain data.  The scheduler has one thread, so each is done before the next.
    """

    name = "mobiledeploy-lab"

    def __init__(self, seconds: float = LEASE_SECONDS) -> None:
        self._table = LeaseTable(seconds)
        self._workers: Mapping[str, WorkerState] = {}

    async def start(self, scheduler: Scheduler) -> None:
        """Be there to be asked."""
        self._workers = scheduler.workers
        names = [name for name in dir(self) if name.startswith("lab_")]
        scheduler.handlers.update({name: getattr(self, name) for name in names})

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:  # noqa: ARG002
        """Dask can send it work."""
        self._table.arrive(worker)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:  # noqa: ARG002
        """Dask has given a worker up, or it has left."""
        self._table.withdraw(worker)

    def lab_versions(self) -> dict[str, str]:
        """See ``settings.versions``."""
        return versions()

    def lab_cores(self) -> dict[str, int]:
        """Processes that compute, by host."""
        names = [str(worker.name) for worker in self._workers.values() if CORE in worker.resources]
        return dict(Counter(name.rpartition(CORE_OF_HOST)[0] for name in sorted(names)))

    def lab_offer(self, offer: dict[str, Any]) -> str:
        """A worker's device; what is wrong with it, empty if nothing."""
        try:
            self._table.offer(Offer(**offer))
        except InputError as error:
            return str(error)
        return ""

    def lab_take(self, wanted: str, owner: dict[str, Any], but_not: list[str]) -> dict[str, Any]:
        """``lease`` with ``token`` and ``offer``, or None; ``fitting``: devices that would do."""
        lease = self._table.take(wanted, Owner(**owner), but_not)
        fitting = [offer.device for offer in self._table.fitting(wanted, but_not)]
        if lease is None:
            return {"lease": None, "fitting": fitting}
        return {"lease": {"token": lease.token, "offer": asdict(lease.offer)}, "fitting": fitting}

    def lab_renew(self, token: str, said: str) -> dict[str, Any]:
        """``word`` of ``LeaseTable.renew``, and ``seconds`` until it has to be renewed again."""
        return {"word": self._table.renew(token, said), "seconds": self._table.seconds}

    def lab_keep(self, token: str, measured: bytes) -> None:
        """See ``LeaseTable.keep``."""
        self._table.keep(token, measured)

    def lab_give_back(self, token: str) -> None:
        """See ``LeaseTable.give_back``."""
        self._table.give_back(token)

    def lab_stop(self, token: str) -> None:
        """See ``LeaseTable.stop``."""
        self._table.stop(token)

    def lab_watch(self, token: str) -> dict[str, Any]:
        """See ``LeaseTable.watch``."""
        return asdict(self._table.watch(token))

    def lab_seen(self) -> list[dict[str, Any]]:
        """See ``LeaseTable.seen``."""
        return [asdict(row) for row in self._table.seen()]


def scheduler_options(listen: str, seconds: float = LEASE_SECONDS) -> dict[str, Any]:
    """For ``distributed.Scheduler``, or a cluster that makes one.

    Args:
        listen: ``tcp://HOST:PORT``; port 0: any.
        seconds: of a lease.

    Raises:
        InputError: the address is not understood.
    """
    protocol, host, port = split_address(listen, "--listen")
    return {
        "protocol": protocol,
        "host": host,
        "port": port,
        # A run is no pure function: it is tried again elsewhere by the one who wants it, or not at all.
        "allowed_failures": 0,
        "dashboard": False,
        # It is opened nonetheless, with nothing behind it.
        "dashboard_address": "127.0.0.1:0",
        "plugins": (LabPlugin(seconds),),
    }
