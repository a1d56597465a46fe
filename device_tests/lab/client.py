"""A lab as those see it who want a run.  Imports Dask: import it inside functions."""

from __future__ import annotations

import contextlib
import difflib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from distributed import Client, Future, KilledWorker
from distributed.client import FutureCancelledError

from mobiledeploy.device_tests.errors import DeviceError, one_line
from mobiledeploy.device_tests.lab.errors import LabUnavailableError
from mobiledeploy.device_tests.lab.jobs import Answer, Job
from mobiledeploy.device_tests.lab.keeping import cut, unpack_runs
from mobiledeploy.device_tests.lab.leases import KIND, Offer, Seen, Watched
from mobiledeploy.device_tests.lab.order import Made, Order, do
from mobiledeploy.device_tests.lab.settings import split_address, versions
from mobiledeploy.device_tests.lab.worker import CORE, Attempt, attempt, resource
from mobiledeploy.device_tests.latency_run import LatencyRun
from mobiledeploy.device_tests.lock import Owner, this_process
from mobiledeploy.errors import EnvironmentProblem, InputError

ATTEMPTS = 3
CONNECT_TIMEOUT = 10.0
_PAUSE = 0.5
# Between a worker's last word and its result.
_GRACE = 10.0

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Errand:
    """A run that somebody wants.

    Attributes:
        wanted: the name of a device, or ``kind:KIND``.
        job: what is to be done there.
        wait: seconds to wait while all devices that would do are in use.
        label, commit: for the history of the host that holds the device.
    """

    wanted: str
    job: Job
    wait: float
    label: str | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an errand.

    Attributes:
        answer: of the last attempt.
        cut: what earlier attempts had measured.
        earlier: why they did not come to their end, one line each.
    """

    answer: Answer
    cut: tuple[LatencyRun, ...]
    earlier: tuple[str, ...]


class Lab:
    """An open lab; threads may share it.

    Every method raises ``LabUnavailableError`` where the scheduler has gone.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.where = str(client.scheduler_info()["address"])

    def versions(self) -> dict[str, str] | None:
        """The scheduler's, package -> version; None: it is not one of a lab."""
        # Dask answers nothing where it does not know the question.
        found: dict[str, str] | None = self._ask("lab_versions")
        return found

    def seen(self) -> list[Seen]:
        """Every device, and whose it is now."""
        return [
            Seen(
                Offer(**row["offer"]),
                row["state"],
                Owner(**row["owner"]) if row["owner"] else None,
                row["said"],
            )
            for row in self._ask("lab_seen")
        ]

    def cores(self) -> dict[str, int]:
        """Processes that compute, by host."""
        found: dict[str, int] = self._ask("lab_cores")
        return found

    def compute(self, orders: Sequence[Order[Made]]) -> Iterator[Made]:
        """What orders make, in their order, on the cores of the lab's hosts.

        An order gives the same wherever it is done: one whose process died is done again elsewhere.

        Args:
            orders: that can be pickled, of a module that all hosts have.

        Raises:
            LabUnavailableError: no host has cores (any more), or the processes of one order died.
            Exception: what the first order that failed has raised.
        """
        futures: list[Future[Made]] = []
        try:
            for index, order in enumerate(orders):
                # No more than are soon done: an order may carry images.
                ahead = index + 1 + sum(self.cores().values())
                futures += [self._submit(each) for each in orders[len(futures) : ahead]]
                yield self._made(order, futures, index)
        finally:
            with contextlib.suppress(OSError, CancelledError):
                self._client.cancel(futures)

    def _submit(self, order: Order[Made]) -> Future[Made]:
        key = f"mobiledeploy-{uuid.uuid4().hex}"
        return self._client.submit(do, order, key=key, resources={CORE: 1}, pure=False)

    def _made(self, order: Order[Made], futures: list[Future[Made]], index: int) -> Made:
        for _ in range(ATTEMPTS):
            try:
                while not futures[index].done():
                    with contextlib.suppress(TimeoutError):
                        futures[index].result(timeout=_PAUSE)
                    if not self.cores():
                        raise LabUnavailableError(
                            "no host of the lab has cores", where=self.where, hint="See lab worker --cores"
                        )
                return futures[index].result()
            except KilledWorker:
                futures[index] = self._submit(order)
            except (FutureCancelledError, CancelledError) as error:
                raise self._gone() from error
        raise LabUnavailableError(
            f"the process that computes died {ATTEMPTS} times",
            where=self.where,
            hint="Often the memory of a host is full: give --cores less there",
        )

    def run(self, errand: Errand, announce: Announce, stop: threading.Event) -> Outcome:
        """Run a job on a device that is free, and on an equal one if that device or its host fails.

        Args:
            errand: what, and where.
            announce: told what is done now.
            stop: once it is set, the attempt ends as soon as its job allows, and no other begins.

        Raises:
            InputError: the lab has no such device.
            LabUnavailableError: all stayed in use; or the scheduler has gone.
        """
        earlier: list[str] = []
        kept: list[LatencyRun] = []
        had: list[str] = []
        token, offer = self._first(errand, announce, stop)
        while True:
            had.append(offer.device)
            this = Attempt(token, len(had), tuple(earlier), errand.label, errand.commit)
            answer = self._attempt(errand.job, this, offer, announce, stop)
            if answer.unstored:
                announce(f"{offer.host}: not stored there: {answer.unstored}")
            outcome = Outcome(answer, tuple(kept), tuple(earlier))
            if not answer.trouble or len(had) == ATTEMPTS:
                return outcome
            # An error names its host already.
            why = answer.trouble if answer.error else f"{offer.host}: {answer.trouble}"
            announce(f"{offer.device}: {why}")
            taken = self._take(errand, had, announce, stop)
            if taken is None:
                return outcome
            token, offer = taken
            earlier.append(why)
            kept += answer.runs

    def _first(self, errand: Errand, announce: Announce, stop: threading.Event) -> tuple[str, Offer]:
        taken = self._take(errand, (), announce, stop)
        if taken:
            return taken
        seen = self.seen()
        in_use = [f"{row.offer.device} by {row.owner}" for row in seen if row.offer.fits(errand.wanted)]
        if in_use:
            raise LabUnavailableError(
                f"in use all the time: {', '.join(in_use)}",
                where=errand.wanted,
                hint="Wait longer with --wait, or end that run",
            )
        kinds = {f"{KIND}{row.offer.kind}" for row in seen if row.offer.kind}
        known = sorted(kinds | {row.offer.device for row in seen})
        near = difflib.get_close_matches(errand.wanted, known, 3, 0.5)
        offered = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(known) or 'none'}"
        raise InputError(f"the lab at {self.where} has no such device", where=errand.wanted, hint=offered)

    def _take(
        self, errand: Errand, had: Sequence[str], announce: Announce, stop: threading.Event
    ) -> tuple[str, Offer] | None:
        """A lease's token and its device; None if none would do, or none became free in time."""
        owner = asdict(this_process(errand.job.purpose))
        deadline = time.monotonic() + errand.wait
        said = ""
        while not stop.is_set():
            taken = self._ask("lab_take", wanted=errand.wanted, owner=owner, but_not=list(had))
            if taken["lease"]:
                return taken["lease"]["token"], Offer(**taken["lease"]["offer"])
            if not taken["fitting"] or time.monotonic() >= deadline:
                return None
            holders = [row for row in self.seen() if row.offer.device in taken["fitting"]]
            text = "; ".join(f"{row.offer.device}: in use by {row.owner}" for row in holders if row.owner)
            if text and text != said:
                said = text
                announce(f"{errand.wanted}: wait for {text}")
            stop.wait(_PAUSE)
        return None

    def _attempt(
        self, job: Job, this: Attempt, offer: Offer, announce: Announce, stop: threading.Event
    ) -> Answer:
        future = self._client.submit(
            attempt,
            job,
            this,
            key=f"mobiledeploy-{this.token}",
            resources={resource(offer.device): 1},
            pure=False,
        )
        try:
            last = self._follow(future, this.token, offer, announce, stop)
            if future.done():
                with contextlib.suppress(KilledWorker):
                    return future.result()
                last = last if last.kept else self._watch(this.token)
        except (FutureCancelledError, CancelledError) as error:
            raise self._gone() from error
        finally:
            with contextlib.suppress(OSError):
                future.cancel(reason="its lease is over")
        silent = last.state == "silent"
        trouble = DeviceError(
            "its worker is not heard of any more" if silent else "its worker died during the run",
            where=f"{offer.host}: {offer.device}",
            hint="See that host",
        )
        return Answer(cut(unpack_runs(last.kept), str(trouble)), error=trouble)

    def _follow(
        self, future: Future[Answer], token: str, offer: Offer, announce: Announce, stop: threading.Event
    ) -> Watched:
        """Until there is a result, or nobody to expect one from."""
        said, stopped = "", False
        while True:
            watched = self._watch(token)
            if watched.said and watched.said != said:
                said = watched.said
                announce(f"{offer.host}: {said}")
            if watched.state == "silent" or (stop.is_set() and not stopped):
                stopped = True
                self._ask("lab_stop", token=token)
            with contextlib.suppress(TimeoutError, CancelledError):
                future.exception(timeout=_GRACE if watched.state == "ended" else _PAUSE)
            if future.done() or watched.state in ("silent", "ended"):
                return watched

    def _watch(self, token: str) -> Watched:
        return Watched(**self._ask("lab_watch", token=token))

    def _ask(self, operation: str, **arguments: Any) -> Any:
        ask = getattr(self._client.scheduler, operation)
        try:
            return self._client.sync(ask, callback_timeout=CONNECT_TIMEOUT, **arguments)
        except (OSError, CancelledError) as error:
            raise self._gone() from error

    def _gone(self) -> LabUnavailableError:
        return LabUnavailableError("the lab's scheduler has gone", where=self.where, hint="Start it again")


@contextmanager
def open_lab(address: str) -> Iterator[Lab]:
    """A lab by the address of its scheduler.

    Raises:
        InputError: the address is not understood.
        LabUnavailableError: no lab's scheduler answers there.
        EnvironmentProblem: it has other versions than this host.
    """
    split_address(address, "--scheduler")
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        # TypeError: an address of tls:// and no certificates.
        raise LabUnavailableError(
            f"no scheduler answers ({one_line(str(error))})",
            where=address,
            hint="Start one there: mobiledeploy lab scheduler",
        ) from error
    with client:
        yield checked(client)


def checked(client: Client) -> Lab:
    """The lab of a connection.

    Raises:
        LabUnavailableError: this is a scheduler, and no lab's.
        EnvironmentProblem: it has other versions than this host.
    """
    lab = Lab(client)
    check_versions(lab.versions(), lab.where)
    return lab


def check_versions(theirs: Mapping[str, str] | None, where: str) -> None:
    """Refuse a scheduler that is no lab's, or of other versions.

    Args:
        theirs: package -> version, there; None from a scheduler that knows of no lab.
        where: its address, for messages.

    Raises:
        LabUnavailableError: it is no lab's.
        EnvironmentProblem: says which versions differ.
    """
    if theirs is None:
        raise LabUnavailableError(
            "this is no scheduler of a lab", where=where, hint="Start one: mobiledeploy lab scheduler"
        )
    ours = versions()
    if other := [name for name in ours if theirs.get(name) != ours[name]]:
        here = ", ".join(f"{name} {ours[name]}" for name in other)
        there = ", ".join(f"{name} {theirs.get(name, 'none')}" for name in other)
        raise EnvironmentProblem(
            f"this host has {here}, the lab's scheduler {there}",
            where=where,
            hint="Install the same versions on every host of a lab",
        )
