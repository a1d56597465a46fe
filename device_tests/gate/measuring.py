"""One session: launches of the arms in turn, pair after pair, until a rule or the clock says stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.device_tests.affinity import ALL, choose_cores
from mobiledeploy.device_tests.conditions import Conditions, observe, utc_now
from mobiledeploy.device_tests.cooling import Coolness, wait_until_cool
from mobiledeploy.device_tests.equipment import ENGINE_OF, Equipment, equip, place_artifact
from mobiledeploy.device_tests.errors import DeviceError, DeviceLost
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.gate.beside import FILE, Beside, around, read_beside, slowed, unlike
from mobiledeploy.device_tests.gate.decision import LOOKS
from mobiledeploy.device_tests.gate.order import candidate_first
from mobiledeploy.device_tests.gate.series import Series
from mobiledeploy.device_tests.latency_run import LatencyRun, Launch
from mobiledeploy.device_tests.launch import LAUNCH_TIMEOUT, Launched, launch
from mobiledeploy.device_tests.plan import ANY_TEMPERATURE, GOVERNOR, Cell, Plan
from mobiledeploy.device_tests.record import record
from mobiledeploy.device_tests.references import connect
from mobiledeploy.device_tests.session import Session, open_session
from mobiledeploy.errors import MobileDeployError
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.runner.request import Request, Timing

PURPOSE = "gate"
RECONNECT_TIMEOUT = 60.0
# Times that a device may be lost before it is given up.
LOSSES = 3
# Many short launches tell more than few long ones: what a launch is given (memory, neighbours) differs.
TIMING = Timing(warmup_runs=2, warmup_seconds=0.03, min_runs=20, min_seconds=0.03)
TIME_LIMIT = 120.0

Announce = Callable[[str], None]
Arms = Sequence[Sequence[Launch]]


@dataclass(frozen=True, slots=True)
class Setting:
    """How a gate measures; the same for both arms.

    Attributes:
        threads: of the engine.
        affinity: cores to bind the runner to (``affinity.check_affinity``).
        governor: to set meanwhile where that is permitted; empty: leave it.
        coolness: to wait for before each session.
        timing: of each launch.
        runner: one of ``equipment.RUNNERS``.
        library: of the engine, for the device; None: from the engine's official wheel.
        time_limit: seconds of launches, those that confirm a red included.
        timeout: of each launch, seconds.
    """

    threads: int = 1
    affinity: str = ALL
    governor: str = GOVERNOR
    coolness: Coolness = ANY_TEMPERATURE
    timing: Timing = TIMING
    runner: str = "auto"
    library: Path | None = None
    time_limit: float = TIME_LIMIT
    timeout: float = LAUNCH_TIMEOUT


def measure(
    reference: str,
    artifacts: Sequence[Artifact],
    setting: Setting,
    done: Callable[[Arms, float], bool],
    *,
    seconds: float,
    announce: Announce = lambda _: None,
) -> Series:
    """Launch the candidate, and the baseline beside it, in one session on one device.

    Args:
        reference: of the device.
        artifacts: the candidate, then the baseline if there is one.
        setting: how.
        done: told all launches, and the seconds they took, after each pair; whether that is enough.
        seconds: after which no further pair begins.
        announce: told what is done now.

    Returns:
        With what had been measured until an error; the error is told there.
    """
    error: MobileDeployError | None = None
    work: _Work | None = None
    started, after = utc_now(), None
    try:
        announce(f"{reference}: connect")
        with connect(reference, purpose=PURPOSE) as device, open_session(device, PURPOSE) as session:
            facts, before = observe(session.transport, session.work)
            work = _Work(reference, artifacts, setting, session, facts, before, announce)
            try:
                work.do(done, seconds)
            finally:
                with suppress(DeviceError):
                    _, after = observe(session.transport, session.work)
    except DeviceError as caught:
        error = caught
    if work is None:
        return Series((), (), 0.0, error=error)
    return work.series(after, started, error)


class _Work:
    def __init__(
        self,
        reference: str,
        artifacts: Sequence[Artifact],
        setting: Setting,
        session: Session,
        facts: DeviceFacts,
        before: Conditions,
        announce: Announce,
    ) -> None:
        self._reference, self._artifacts, self._setting = reference, artifacts, setting
        self._session, self._facts, self._before, self._announce = session, facts, before, announce
        self._launched: list[list[Launched]] = [[] for _ in artifacts]
        self._beside: list[list[Beside]] = [[] for _ in artifacts]
        self._equipment: dict[str, Equipment] = {}
        # Requests by arm, made anew after a loss: a device that was restarted has lost its temporary folders.
        self._ready: dict[int, tuple[str, ...]] = {}
        self._seconds, self._losses = 0.0, 0

    def do(self, done: Callable[[Arms, float], bool], seconds: float) -> None:
        wait_until_cool(self._session, self._setting.coolness, self._announce)
        self._pairs(done, seconds)
        # Once for all launches: they are short, and a digest of the engine is not.
        for argv in self._ready.values():
            self._session.check(argv)

    def _pairs(self, done: Callable[[Arms, float], bool], seconds: float) -> None:
        pair = 0
        while True:
            begun = time.monotonic()
            try:
                for arm in range(len(self._artifacts)):
                    self._prepare(arm)
                begun = time.monotonic()
                launched = self._pair(pair)
            except DeviceLost as lost:
                self._seconds += time.monotonic() - begun
                self._losses += 1
                if self._losses > LOSSES:
                    raise
                # The pair is made again as a whole: its partner's conditions are gone.
                self._announce(f"{self._reference}: {lost.what}; reconnecting")
                self._session.resume(RECONNECT_TIMEOUT)
                self._ready.clear()
                continue
            for arm, (item, seen) in launched.items():
                self._launched[arm].append(item)
                self._beside[arm].append(seen)
            spent = time.monotonic() - begun
            self._seconds += spent
            pair += 1
            if pair in LOOKS:
                self._announce(f"{self._reference}: {pair} pairs, {self._seconds:.0f} s")
            if done([[item.launch for item in arm] for arm in self._launched], self._seconds):
                return
            # One that would end too late is not begun.
            if self._seconds + spent > seconds:
                return

    def series(self, after: Conditions | None, started: str, error: MobileDeployError | None) -> Series:
        measured = [index for index, items in enumerate(self._launched) if items]
        runs = tuple(self._record(index, after, started) for index in measured)
        beside = tuple(tuple(self._beside[index]) for index in measured)
        trouble = tuple(_troubles(runs, beside)) if runs else ()
        return Series(runs, beside, self._seconds, trouble, error)

    def _record(self, index: int, after: Conditions | None, started: str) -> LatencyRun:
        setting, artifact, launched = self._setting, self._artifacts[index], self._launched[index]
        plan = Plan(
            (artifact,),
            (setting.threads,),
            len(launched),
            setting.timing,
            setting.affinity,
            setting.governor,
            setting.coolness,
            setting.runner,
            setting.library,
            timeout=setting.timeout,
        )
        return record(
            self._session.device,
            self._facts,
            plan,
            Cell(artifact, setting.threads),
            self._equipment[ENGINE_OF[artifact.target]],
            launched,
            (),
            self._before,
            after,
            started,
        )

    def _pair(self, pair: int) -> dict[int, tuple[Launched, Beside]]:
        arms = list(range(len(self._artifacts)))
        if not candidate_first(pair):
            arms.reverse()
        return {arm: self._launch(arm, pair * len(arms) + place) for place, arm in enumerate(arms)}

    def _launch(self, arm: int, order: int) -> tuple[Launched, Beside]:
        equipment = self._equipment[ENGINE_OF[self._artifacts[arm].target]]
        item = launch(
            self._session,
            around(self._session.folder, self._ready[arm]),
            order,
            dialect=equipment.dialect,
            governor=self._setting.governor,
            timeout=self._setting.timeout,
        )
        if item.error:
            raise item.error
        if not item.launch.samples_ns or not all(item.launch.samples_ns):
            raise DeviceError("the runner took no sample", where=self._reference, hint="See docs/runner.md")
        path = f"{self._session.folder}/{FILE}"
        seen = self._session.run(["sh", "-c", 'cat "$1"; rm -f "$1"', "sh", path])
        return item, read_beside(seen.stdout)

    def _prepare(self, arm: int) -> None:
        """Runner, engine and model on the device; outside the time that counts."""
        if arm in self._ready:
            return
        artifact, setting = self._artifacts[arm], self._setting
        engine = ENGINE_OF[artifact.target]
        if not self._ready or engine not in self._equipment:
            self._announce(f"{self._reference}: runner for {engine}")
            self._equipment[engine] = equip(
                self._session, self._facts, engine, runner=setting.runner, library=setting.library
            )
        equipment = self._equipment[engine]
        request = Request(
            equipment.engine,
            place_artifact(self._session, artifact),
            library=equipment.library,
            threads=setting.threads,
            affinity=choose_cores(setting.affinity, self._facts.cores, self._reference),
            timing=setting.timing,
        )
        self._ready[arm] = (*equipment.argv, *equipment.dialect.ask(request))


def _troubles(runs: Sequence[LatencyRun], beside: Sequence[Sequence[Beside]]) -> Iterator[str]:
    before, after = runs[0].before, runs[0].after
    for moment, conditions in (("before", before), ("after", after)):
        if conditions and conditions.thermal_status not in (None, "none"):
            yield f"throttled: thermal status {conditions.thermal_status} {moment}"
    if after and after.power_save != before.power_save:
        yield "power save was switched meanwhile"
    if slow := slowed([item for arm in beside for item in arm]):
        yield f"throttled: {slow}"
    if len(beside) > 1:
        yield from (f"the arms' conditions differ: {what}" for what in unlike(*beside))
