"""Latency of model files on devices: launches interleaved, losses survived, everything recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from mobiledeploy.device_tests.affinity import choose_cores
from mobiledeploy.device_tests.conditions import Conditions, observe, utc_now
from mobiledeploy.device_tests.cooling import wait_until_cool
from mobiledeploy.device_tests.equipment import ENGINE_OF, Equipment, equip, place_artifact
from mobiledeploy.device_tests.errors import DeviceError, DeviceLost
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.latency_run import LatencyRun
from mobiledeploy.device_tests.launch import Launched, launch
from mobiledeploy.device_tests.plan import Plan
from mobiledeploy.device_tests.record import record
from mobiledeploy.device_tests.references import connect
from mobiledeploy.device_tests.session import Session, open_session
from mobiledeploy.errors import InputError, MobileDeployError
from mobiledeploy.parallel import each_until_interrupted
from mobiledeploy.runtimes.runner.report import OpTime
from mobiledeploy.runtimes.runner.request import Request, Timing

RECONNECT_TIMEOUT = 60.0
# Times that a device may be lost before it is given up.
LOSSES = 3
PURPOSE = "benchmark"
Announce = Callable[[str], None]
Keep = Callable[[Sequence[LatencyRun]], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one device.

    Attributes:
        device: its reference.
        runs: one for each setting that has samples, in the order of the plan.
        error: why that is not all of them.
    """

    device: str
    runs: tuple[LatencyRun, ...]
    error: MobileDeployError | None = None


def benchmark(
    devices: Sequence[str],
    plan: Plan,
    *,
    announce: Announce = lambda _: None,
    stop: threading.Event | None = None,
    keep: Keep = lambda _: None,
) -> tuple[Measured, ...]:
    """Measure a plan on several devices at the same time.

    Args:
        devices: references, none twice.
        plan: the same for all of them.
        announce: told what is done now, from several threads.
        stop: once it is set, no further launch begins; a KeyboardInterrupt sets it.
        keep: told the runs of a device as far as they have come, after each launch.

    Returns:
        One for each device, in their order.  What went wrong with one of them is told there and
        does not touch the others; what had been measured until then is kept.

    Raises:
        InputError: a device is named twice, or nothing is to be measured.
    """
    if len(set(devices)) != len(devices):
        raise InputError("a device is named twice", where=", ".join(devices), hint="Name each once")
    if not plan.order or not devices:
        raise InputError("there is nothing to measure", hint="Give a model file, a device and launches")
    stop = stop or threading.Event()
    measure = partial(_measure, plan=plan, announce=announce, stop=stop, keep=keep)
    return each_until_interrupted(measure, devices, announce, stop)


def _measure(reference: str, plan: Plan, announce: Announce, stop: threading.Event, keep: Keep) -> Measured:
    error: MobileDeployError | None = None
    work: _Work | None = None
    started = utc_now()
    before = after = None
    try:
        announce(f"{reference}: connect")
        with connect(reference, purpose=PURPOSE) as device, open_session(device, PURPOSE) as session:
            facts, before = observe(session.transport, session.work)
            work = _Work(reference, plan, session, facts, announce, stop)
            try:
                for _ in work.launches():
                    keep(work.records(before, None, started))
                work.profile()
            finally:
                with suppress(DeviceError):
                    _, after = observe(session.transport, session.work)
    except MobileDeployError as caught:
        error = caught
    if work is None or before is None:
        return Measured(reference, (), error)
    return Measured(reference, work.records(before, after, started), error)


class _Work:
    """A plan on one device, as far as it has come."""

    def __init__(
        self,
        reference: str,
        plan: Plan,
        session: Session,
        facts: DeviceFacts,
        announce: Announce,
        stop: threading.Event,
    ) -> None:
        self._reference, self._plan, self._session, self._facts = reference, plan, session, facts
        self._announce, self._stop = announce, stop
        self._launched: list[list[Launched]] = [[] for _ in plan.cells]
        self._ops: list[tuple[OpTime, ...]] = [() for _ in plan.cells]
        self._equipment: dict[str, Equipment] = {}
        # Engines whose equipment has been on the device since it was last lost.
        self._ready: set[str] = set()
        self._losses = 0

    def launches(self) -> Iterator[None]:
        """Every launch of the plan, in its order; yields after each."""
        order = self._plan.order
        for place, index in enumerate(order):
            if self._stop.is_set():
                return
            self._announce(
                f"{self._reference}: {self._plan.cells[index]}, launch {place + 1} of {len(order)}"
            )
            self._launch(index, place)
            yield

    def records(self, before: Conditions, after: Conditions | None, started: str) -> tuple[LatencyRun, ...]:
        """Of the settings that have a launch."""
        return tuple(
            record(
                self._session.device,
                self._facts,
                self._plan,
                cell,
                self._equipment[ENGINE_OF[cell.artifact.target]],
                launched,
                ops,
                before,
                after,
                started,
            )
            for cell, launched, ops in zip(self._plan.cells, self._launched, self._ops, strict=True)
            if launched
        )

    def _launch(self, index: int, place: int) -> None:
        """One launch; after a loss it is made again, and what the lost one had said is kept."""
        while True:
            try:
                wait_until_cool(self._session, self._plan.coolness, self._announce)
                done = self._start(self._request(index), place)
                if done.launch.samples_ns:
                    self._launched[index].append(done)
                if done.error:
                    raise done.error
                if not done.launch.samples_ns:
                    raise DeviceError(
                        "the runner took no sample", where=self._reference, hint="See docs/runner.md"
                    )
                return
            except DeviceLost as lost:
                self._losses += 1
                if self._losses > LOSSES:
                    raise
                self._announce(f"{self._reference}: {lost.what}; reconnecting")
                self._session.resume(RECONNECT_TIMEOUT)
                # A device that was restarted has lost what was in its temporary folders.
                self._ready.clear()

    def profile(self) -> None:
        """Time of each operator, if the plan wants it."""
        if not self._plan.profile or self._stop.is_set():
            return
        for index, cell in enumerate(self._plan.cells):
            self._announce(f"{self._reference}: {cell}, profile")
            timing = Timing(warmup_runs=5, min_runs=20, min_seconds=0)
            done = self._start(replace(self._request(index), profile=True, timing=timing), 0)
            if done.error:
                raise done.error
            self._ops[index] = done.report.ops

    def _request(self, index: int) -> Request:
        cell = self._plan.cells[index]
        equipment = self._equip(ENGINE_OF[cell.artifact.target])
        return Request(
            equipment.engine,
            place_artifact(self._session, cell.artifact),
            library=equipment.library,
            threads=cell.threads,
            affinity=choose_cores(self._plan.affinity, self._facts.cores, self._reference),
            timing=self._plan.timing,
        )

    def _equip(self, engine: str) -> Equipment:
        if engine not in self._ready:
            self._announce(f"{self._reference}: runner for {engine}")
            self._equipment[engine] = equip(
                self._session, self._facts, engine, runner=self._plan.runner, library=self._plan.library
            )
            self._ready.add(engine)
        return self._equipment[engine]

    def _start(self, request: Request, place: int) -> Launched:
        equipment = self._equipment[request.engine]
        argv = (*equipment.argv, *equipment.dialect.ask(request))
        done = launch(
            self._session,
            argv,
            place,
            dialect=equipment.dialect,
            governor=self._plan.governor,
            timeout=self._plan.timeout,
        )
        if done.error is None:
            self._session.check(argv)
        return done
