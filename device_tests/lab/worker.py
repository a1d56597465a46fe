"""One device of a lab: a Dask worker process with one thread.  Imports Dask: import it inside functions."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from distributed import Worker, get_worker
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.utils import sync

from mobiledeploy.device_tests.device_file import Entry
from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.lab.jobs import Answer, Job, Workplace
from mobiledeploy.device_tests.lab.keeping import cut, pack_runs
from mobiledeploy.device_tests.lab.leases import Offer, Word
from mobiledeploy.device_tests.latency_run import LabUse, LatencyRun
from mobiledeploy.errors import InputError, MobileDeployError

PLUGIN = "mobiledeploy-device"
# Dask's name for what a process that computes has, and what stands in its name after that of its host.
CORE, CORE_OF_HOST = "core", ":core-"
# A lease is renewed this often in its time, and told how far the run is at least so often, in seconds.
_RENEWALS, _PACE = 4, 2.0
_RPC_TIMEOUT = 10.0


class DevicePlugin(WorkerPlugin):
    """What a worker knows of its device; offers it whenever the process has started.

    Args:
        entry: of ``devices.toml``.
        host: that holds it.
        history: where runs are stored at this host, too; None: nowhere.
    """

    name = PLUGIN

    def __init__(self, entry: Entry, host: str, history: str | None) -> None:
        self.entry, self.host, self.history = entry, host, history

    async def setup(self, worker: Worker) -> None:
        """Offer it.

        Raises:
            InputError: the lab has one of that name.
        """
        entry = self.entry
        offer = Offer(entry.name, entry.kind, self.host, entry.reference, worker.address, os.getpid())
        if problem := await worker.scheduler.lab_offer(offer=asdict(offer)):
            raise InputError(problem)


def nanny_options(entry: Entry, host: str, history: str | None, listen: str) -> dict[str, Any]:
    """For ``distributed.Nanny``, which starts the worker's process and starts it again if it dies.

    Args:
        entry: the device.
        host: that holds it, as the lab calls it.
        history: of the host.
        listen: the one IP address to listen on.
    """
    own = {"resources": {resource(entry.name): 1}, "plugins": (DevicePlugin(entry, host, history),)}
    return _options(f"{host}:{entry.name}", listen) | own


def core_options(host: str, number: int, listen: str) -> dict[str, Any]:
    """The same for a process that computes, and has no device.

    Args:
        host: as the lab calls it.
        number: of the process on it.
        listen: the one IP address to listen on.
    """
    # As many processes as cores: one thread each.
    own = {"resources": {CORE: 1}, "env": {"OMP_NUM_THREADS": "1"}}
    return _options(f"{host}{CORE_OF_HOST}{number}", listen) | own


def _options(name: str, listen: str) -> dict[str, Any]:
    return {
        "nthreads": 1,
        "name": name,
        "host": listen,
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
        # What is done here may take what it needs.
        "memory_limit": 0,
    }


def resource(device: str) -> str:
    """Dask's name for a device: each worker has one of its own, and a run asks for it."""
    return f"device:{device}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a run.

    Attributes:
        token: of its lease.
        number: 1 for the first.
        earlier: why those before did not come to their end.
        label, commit: for the history.
    """

    token: str
    number: int
    earlier: tuple[str, ...]
    label: str | None
    commit: str | None


def attempt(job: Job, this: Attempt) -> Answer:
    """Do a job on this worker's device: what Dask runs."""
    worker = get_worker()
    plugin = cast(DevicePlugin, worker.plugins[PLUGIN])
    lease = _Lease(worker, this.token)
    if lease.renew()[0] != "go on":
        return Answer(error=DeviceError("its lease was over before it began", where=plugin.host))
    tags = _Tags(plugin, this)
    stop = threading.Event()
    with lease.renewed(stop), tempfile.TemporaryDirectory(prefix="mobiledeploy-") as folder:
        answer = _do(job, plugin, Path(folder), lease, stop, tags)
        if plugin.history:
            answer = replace(answer, unstored=_store(answer, plugin.history, this))
    return answer


def _do(
    job: Job, plugin: DevicePlugin, folder: Path, lease: _Lease, stop: threading.Event, tags: _Tags
) -> Answer:
    def keep(runs: Sequence[LatencyRun]) -> None:
        lease.keep(pack_runs(tags.on(runs)))

    try:
        answer = job.do(Workplace(plugin.entry.name, folder, lease.say, stop, keep))
    except MobileDeployError as error:
        answer = Answer(error=error)
    if answer.error and answer.trouble:
        # Whose fault it is: the same device may be fine on another host.
        answer.error.where = f"{plugin.host}: {answer.error.where or plugin.entry.name}"
    why = str(answer.error) if answer.error else "stopped" if stop.is_set() else ""
    runs = tags.on(answer.runs)
    return replace(answer, runs=cut(runs, why) if why else runs)


class _Tags:
    """Runs of one attempt get the same ids whenever they are told."""

    def __init__(self, plugin: DevicePlugin, this: Attempt) -> None:
        self._use = LabUse("", plugin.host, plugin.entry.kind, this.number, this.earlier)
        self._ids: list[str] = []

    def on(self, runs: Sequence[LatencyRun]) -> tuple[LatencyRun, ...]:
        while len(self._ids) < len(runs):
            self._ids.append(uuid.uuid4().hex)
        return tuple(
            replace(run, lab=replace(self._use, identity=identity))
            for run, identity in zip(runs, self._ids, strict=False)
        )


class _Lease:
    """A lease as its worker holds it, from a thread beside Dask's own."""

    def __init__(self, worker: Worker, token: str) -> None:
        self._worker, self._token, self._said = worker, token, ""

    def say(self, text: str) -> None:
        """How far the run is, for its owner and for those who wait."""
        self._said = text

    def renew(self) -> tuple[Word, float]:
        """Whether to go on, and how many seconds the lease holds from now on."""
        answer = self._ask("lab_renew", said=self._said)
        return answer["word"], answer["seconds"]

    def keep(self, measured: bytes) -> None:
        """What has been measured, for the case that this process dies."""
        # A scheduler that has gone ends this worker by itself.
        with contextlib.suppress(OSError):
            self._ask("lab_keep", measured=measured)

    @contextmanager
    def renewed(self, stop: threading.Event) -> Iterator[None]:
        """Renew it while the block runs, give it back afterwards; ``stop`` is set when it is unwanted."""
        done = threading.Event()
        beat = threading.Thread(target=self._beat, args=(stop, done), daemon=True)
        beat.start()
        try:
            yield
        finally:
            done.set()
            beat.join()
            with contextlib.suppress(OSError):
                self._ask("lab_give_back")

    def _beat(self, stop: threading.Event, done: threading.Event) -> None:
        pause = 0.0
        while not done.wait(pause):
            pause = _PACE
            with contextlib.suppress(OSError):
                word, seconds = self.renew()
                pause = min(seconds / _RENEWALS, _PACE)
                if word != "go on":
                    stop.set()

    def _ask(self, operation: str, **arguments: Any) -> Any:
        ask = getattr(self._worker.scheduler, operation)
        return sync(self._worker.loop, ask, token=self._token, callback_timeout=_RPC_TIMEOUT, **arguments)


def _store(answer: Answer, history: str, this: Attempt) -> str:
    from mobiledeploy.device_tests.history import open_history

    try:
        with open_history(history) as opened:
            for run in answer.runs:
                opened.add(run, label=this.label, commit=this.commit)
    except MobileDeployError as error:
        return str(error)
    return ""
