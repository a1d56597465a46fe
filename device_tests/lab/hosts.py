"""The processes of a lab: its scheduler, the workers of a host, a whole lab on this one.  Imports Dask."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from distributed import Client, Nanny, Scheduler, Status, rpc
from distributed.deploy.spec import SpecCluster
from distributed.utils import get_ip

from mobiledeploy.device_tests.device_file import Entry
from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.device_tests.lab.client import CONNECT_TIMEOUT, Lab, check_versions, checked
from mobiledeploy.device_tests.lab.errors import LabUnavailableError
from mobiledeploy.device_tests.lab.scheduler import scheduler_options
from mobiledeploy.device_tests.lab.settings import split_address
from mobiledeploy.device_tests.lab.worker import core_options, nanny_options
from mobiledeploy.errors import InputError

Announce = Callable[[str], None]
LOOPBACK = "127.0.0.1"
ANY_PORT = f"tcp://{LOOPBACK}:0"
_PAUSE = 0.5


def serve_scheduler(listen: str, seconds: float, announce: Announce) -> None:
    """Be a lab's scheduler until this process is told to end (SIGINT, SIGTERM).

    Args:
        listen: address, like ``tcp://127.0.0.1:8786``.
        seconds: of a lease.
        announce: told when it is ready, and where.

    Raises:
        InputError: the address is not understood, or nothing can listen there.
    """
    asyncio.run(_serve_scheduler(listen, seconds, announce))


async def _serve_scheduler(listen: str, seconds: float, announce: Announce) -> None:
    options = scheduler_options(listen, seconds)
    ended = _told_to_end()
    try:
        scheduler = await Scheduler(**options)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"nothing can listen there ({one_line(str(error.__cause__ or error))})",
            where=listen,
            hint="Give another --listen; tls:// needs certificates in Dask's configuration",
        ) from error
    announce(f"lab: listening on {scheduler.address}")
    await ended.wait()
    await scheduler.close()


@dataclass(frozen=True, slots=True)
class Host:
    """What a host gives to a lab.

    Attributes:
        name: as the lab calls it.
        entries: its devices.
        cores: processes that compute.
        history: where its devices' runs are stored, too; None: nowhere.
    """

    name: str
    entries: tuple[Entry, ...]
    cores: int = 0
    history: str | None = None

    @property
    def offered(self) -> str:
        """For people."""
        cores = [f"{self.cores} cores"] if self.cores else []
        return ", ".join([*(entry.name for entry in self.entries), *cores])


def serve_host(scheduler: str, host: Host, announce: Announce) -> None:
    """Offer devices and cores of this host until this process is told to end (SIGINT, SIGTERM).

    Args:
        scheduler: the lab's.
        host: this one.
        announce: told when they are ready.

    Raises:
        InputError: the lab has a device of such a name already.
        LabUnavailableError: no lab's scheduler answers, or it has gone.
        EnvironmentProblem: it has other versions than this host.
    """
    _, where, port = split_address(scheduler, "--scheduler")
    try:
        # No wider than the way to the scheduler: its loopback stays a loopback.
        listen = get_ip(where, port)
    except OSError as error:
        raise LabUnavailableError(
            f"its host is not found ({error.strerror})", where=scheduler, hint="Check --scheduler"
        ) from error
    asyncio.run(_serve_host(scheduler, host, listen, announce))


async def _serve_host(scheduler: str, host: Host, listen: str, announce: Announce) -> None:
    ended = _told_to_end()
    await _look_before(scheduler, host.entries)
    options = [nanny_options(entry, host.name, host.history, listen) for entry in host.entries]
    options += [core_options(host.name, number, listen) for number in range(host.cores)]
    nannies: list[Nanny] = []
    try:
        for each in options:
            nannies.append(await Nanny(scheduler, **each))  # noqa: PERF401
        announce(f"{host.name}: offers {host.offered} to {scheduler}")
        while not ended.is_set():
            if any(item.status in (Status.closed, Status.closing, Status.failed) for item in nannies):
                raise LabUnavailableError(
                    "the lab's scheduler has gone", where=scheduler, hint="Start it, then this again"
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _PAUSE)
    finally:
        await asyncio.gather(*(item.close(timeout=5) for item in nannies), return_exceptions=True)


async def _look_before(scheduler: str, entries: Sequence[Entry]) -> None:
    """What is wrong is said here, not from within a process that is being started."""
    from distributed import Security

    connection = Security().get_connection_args("worker")
    try:
        async with rpc(scheduler, connection_args=connection, timeout=CONNECT_TIMEOUT) as there:
            theirs = await asyncio.wait_for(there.lab_versions(), CONNECT_TIMEOUT)
            seen = await asyncio.wait_for(there.lab_seen(), CONNECT_TIMEOUT)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise LabUnavailableError(
            f"no scheduler of a lab answers ({one_line(str(error))})",
            where=scheduler,
            hint="Start one there: mobiledeploy lab scheduler",
        ) from error
    check_versions(theirs, scheduler)
    ours = {entry.name for entry in entries}
    for offer in (row["offer"] for row in seen):
        if offer["device"] in ours:
            raise InputError(
                f"a device of that name is offered by {offer['host']} already",
                where=offer["device"],
                hint="Give one of them another name in devices.toml, or name the host of each",
            )


@contextmanager
def local_lab(entries: Sequence[Entry], host: str) -> Iterator[Lab]:
    """A lab on this host alone, for as long as the block runs.

    Args:
        entries: its devices.
        host: this one.
    """
    scheduler = {"cls": Scheduler, "options": scheduler_options(ANY_PORT)}
    workers = {
        entry.name: {"cls": Nanny, "options": nanny_options(entry, host, None, LOOPBACK)} for entry in entries
    }
    with (
        SpecCluster(scheduler=scheduler, workers=workers, silence_logs=False) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield checked(client)


def _told_to_end() -> asyncio.Event:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended
