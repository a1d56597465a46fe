"""Benchmarks and gates in a lab: what the command line and Python call."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from mobiledeploy.device_tests.benchmark import Measured, benchmark
from mobiledeploy.device_tests.device_file import Entry, find_entries
from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.gate import Gate, GateReport, Setting, Stored, gate
from mobiledeploy.device_tests.gate.limits import TOP1_DROP
from mobiledeploy.device_tests.history.commits import find_commit
from mobiledeploy.device_tests.lab.leases import KIND
from mobiledeploy.device_tests.lab.settings import configure
from mobiledeploy.device_tests.plan import Plan
from mobiledeploy.errors import InputError, MobileDeployError
from mobiledeploy.parallel import each_until_interrupted
from mobiledeploy.runtimes.census import Artifact

if TYPE_CHECKING:
    from mobiledeploy.device_tests.accuracy_run import AccuracyRun
    from mobiledeploy.device_tests.lab.client import Errand, Lab

WAIT = 600.0
Announce = Callable[[str], None]


def is_for_lab(devices: Sequence[str], scheduler: str | None) -> bool:
    """Whether a lab has to choose the device: by its scheduler, or because a kind is wanted."""
    return scheduler is not None or any(device.startswith(KIND) for device in devices)


def measure(
    devices: Sequence[str],
    plan: Plan,
    *,
    scheduler: str | None = None,
    wait: float = WAIT,
    label: str | None = None,
    announce: Announce = lambda _: None,
    stop: threading.Event | None = None,
) -> tuple[Measured, ...]:
    """Measure a plan where its devices are: in a lab (see ``is_for_lab``), or at this host.

    Args:
        devices, plan, scheduler, wait, label, announce, stop: as of ``benchmark_in_lab``.
    """
    if is_for_lab(devices, scheduler):
        return benchmark_in_lab(
            devices, plan, scheduler=scheduler, wait=wait, label=label, announce=announce, stop=stop
        )
    return benchmark(devices, plan, announce=announce, stop=stop)


def benchmark_in_lab(
    devices: Sequence[str],
    plan: Plan,
    *,
    scheduler: str | None = None,
    wait: float = WAIT,
    label: str | None = None,
    announce: Announce = lambda _: None,
    stop: threading.Event | None = None,
) -> tuple[Measured, ...]:
    """Measure a plan on devices of a lab, at the same time.

    Args:
        devices: ``kind:KIND`` or names, none twice.
        plan: the same for all of them.
        scheduler: ``tcp://HOST:PORT``; None: a lab on this host for this call, of ``devices.toml``.
        wait: seconds to wait for a device that is free.
        label: for the histories of the lab's hosts.
        announce: told what is done now, from several threads.
        stop: as of ``benchmark``.

    Returns:
        One for each device, in their order; runs of attempts that were cut come first.

    Raises:
        InputError: see ``benchmark``; a file cannot be read; the lab has no such device.
        LabUnavailableError: no scheduler answers, or it has gone.
        EnvironmentProblem: Dask is not installed, or of another version.
    """
    from mobiledeploy.device_tests.lab.jobs import benchmark_job

    if len(set(devices)) != len(devices):
        raise InputError("a device is named twice", where=", ".join(devices), hint="Name each once")
    if not plan.order or not devices:
        raise InputError("there is nothing to measure", hint="Give a model file, a device and launches")
    job, commit = benchmark_job(plan), find_commit()
    with _opened(devices, scheduler, announce) as lab:
        from mobiledeploy.device_tests.lab.client import Errand

        errands = [Errand(device, job, wait, label, commit) for device in devices]
        return _all(lab, errands, announce, stop or threading.Event())


def gate_in_lab(
    device: str,
    candidate: Artifact,
    gates: Sequence[Gate],
    *,
    baseline: Artifact | Stored | None = None,
    setting: Setting | None = None,
    scheduler: str | None = None,
    wait: float = WAIT,
    label: str | None = None,
    announce: Announce = lambda _: None,
) -> GateReport:
    """Decide gates on a device of a lab; see ``gate`` and ``benchmark_in_lab``.

    Raises:
        InputError: as ``gate``; a gate of accuracy, whose images stay on this host.
        LabUnavailableError, EnvironmentProblem: as ``benchmark_in_lab``.
    """
    from mobiledeploy.device_tests.lab.jobs import gate_job

    if item := next((item for item in gates if item.kind is TOP1_DROP), None):
        raise InputError(
            "accuracy is not gated in a lab, as the images stay on this host",
            where=item.source or item.kind.name,
            hint="Gate it on a device of this host, without --scheduler",
        )
    job = gate_job(candidate, gates, baseline, setting or Setting())
    with _opened([device], scheduler, announce) as lab:
        from mobiledeploy.device_tests.lab.client import Errand

        outcome = lab.run(Errand(device, job, wait, label, find_commit()), announce, threading.Event())
    report = outcome.answer.report
    if report is None:
        raise outcome.answer.error or DeviceError("the gate has no result", where=device)
    notes = [f"attempt {number}: {why}" for number, why in enumerate(outcome.earlier, 1)]
    return replace(report, runs=(*outcome.cut, *outcome.answer.runs), notes=(*report.notes, *notes))


def decide(
    device: str,
    candidate: Artifact,
    gates: Sequence[Gate],
    *,
    baseline: Artifact | Stored | None = None,
    setting: Setting | None = None,
    evaluate: Callable[[Artifact], AccuracyRun] | None = None,
    scheduler: str | None = None,
    wait: float = WAIT,
    label: str | None = None,
    announce: Announce = lambda _: None,
) -> GateReport:
    """Decide gates where their device is: in a lab (see ``is_for_lab``), or at this host.

    Args:
        device, candidate, gates, baseline, setting, evaluate, announce: as of ``gate``; nothing is
            evaluated in a lab.
        scheduler, wait, label: as of ``gate_in_lab``.
    """
    if is_for_lab([device], scheduler):
        return gate_in_lab(
            device,
            candidate,
            gates,
            baseline=baseline,
            setting=setting,
            scheduler=scheduler,
            wait=wait,
            label=label,
            announce=announce,
        )
    return gate(
        device, candidate, gates, baseline=baseline, setting=setting, evaluate=evaluate, announce=announce
    )


def devices_of(host: str, names: Sequence[str] = (), *, may_lack: bool = False) -> list[Entry]:
    """Devices of ``devices.toml`` that a host holds.

    Args:
        host: as the lab calls it.
        names: only these; empty: all.
        may_lack: it may hold none.

    Raises:
        InputError: there is none, or one of the names is not held by this host.
    """
    entries = find_entries()
    held = {name: entry for name, entry in entries.items() if entry.host in (None, host)}
    if missing := next((name for name in names if name not in held), None):
        raise InputError(
            f"the host {host} holds no such device",
            where=missing,
            hint=f"It holds {', '.join(held) or 'none'} of devices.toml",
        )
    if not held and not may_lack:
        hosts = sorted({entry.host for entry in entries.values() if entry.host})
        raise InputError(
            f"no device of devices.toml is held by the host {host}",
            where="devices.toml",
            hint=f"Give --host, one of {', '.join(hosts)}" if hosts else "Add [devices.NAME] there",
        )
    return [held[name] for name in (names or held)]


@contextmanager
def _opened(devices: Sequence[str], scheduler: str | None, announce: Announce) -> Iterator[Lab]:
    configure()
    if scheduler is not None:
        from mobiledeploy.device_tests.lab.client import open_lab

        with open_lab(scheduler) as lab:
            yield lab
        return
    from mobiledeploy.device_tests.lab.hosts import local_lab

    host = socket.gethostname()
    entries = [
        entry
        for entry in devices_of(host)
        if any(wanted in (entry.name, f"{KIND}{entry.kind}") for wanted in devices)
    ]
    announce(f"{host}: start a lab of {', '.join(entry.name for entry in entries) or 'nothing'}")
    with local_lab(entries, host) as lab:
        yield lab


def _all(
    lab: Lab, errands: Sequence[Errand], announce: Announce, stop: threading.Event
) -> tuple[Measured, ...]:
    def measured(errand: Errand) -> Measured:
        try:
            outcome = lab.run(errand, announce, stop)
        except MobileDeployError as error:
            return Measured(errand.wanted, (), error)
        return Measured(errand.wanted, (*outcome.cut, *outcome.answer.runs), outcome.answer.error)

    return each_until_interrupted(measured, errands, announce, stop)
