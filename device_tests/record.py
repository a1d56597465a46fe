"""From launches to the record of a latency run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import metadata

from mobiledeploy.device_tests.affinity import choose_cores
from mobiledeploy.device_tests.conditions import Conditions
from mobiledeploy.device_tests.device_file import INSTRUCTIONS
from mobiledeploy.device_tests.equipment import Equipment
from mobiledeploy.device_tests.facts import DeviceFacts, Unread
from mobiledeploy.device_tests.latency_run import EMULATED_CLOCK, EngineUsed, LatencyRun, ModelFile
from mobiledeploy.device_tests.launch import Launched
from mobiledeploy.device_tests.plan import Cell, Plan
from mobiledeploy.device_tests.references import Device
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.runner.report import OpTime

# A frequency that fell by more than this between the beginning and the end was throttled.
THROTTLED = 0.95
BUSY = 0.10


def record(
    device: Device,
    facts: DeviceFacts,
    plan: Plan,
    cell: Cell,
    equipment: Equipment,
    launched: Sequence[Launched],
    ops: Sequence[OpTime],
    before: Conditions,
    after: Conditions | None,
    started: str,
) -> LatencyRun:
    """The record of one setting.

    Args:
        device: that was measured.
        facts: of the device.
        plan: that was followed.
        cell: the setting.
        equipment: that ran it.
        launched: at least one.
        ops: of a profile.
        before, after: conditions; ``after`` is None if the device was lost.
        started: UTC.
    """
    return LatencyRun(
        device=device.reference,
        facts=facts,
        model=model_file(cell.artifact),
        engine=_engine(equipment, launched[-1]),
        threads=cell.threads,
        affinity=choose_cores(plan.affinity, facts.cores, device.reference),
        timing=plan.timing,
        clock=EMULATED_CLOCK if device.clock == INSTRUCTIONS else launched[-1].report.clock or "",
        before=before,
        after=after,
        launches=tuple(item.launch for item in launched),
        ops=tuple(ops),
        controlled=tuple(_controlled(plan, launched)),
        uncontrolled=tuple(_uncontrolled(plan, equipment, launched, before, after)),
        harness=metadata.version("mobiledeploy"),
        started=started,
        planned=plan.launches,
    )


def model_file(artifact: Artifact) -> ModelFile:
    """A file as a record names it."""
    return ModelFile(
        artifact.path.name, artifact.target, artifact.sha256, artifact.size, artifact.census.arithmetic
    )


def _engine(equipment: Equipment, launched: Launched) -> EngineUsed:
    report = launched.report
    return EngineUsed(
        name=report.engine or equipment.engine,
        version=equipment.library_version or report.engine_version or "",
        library_sha256=equipment.library_sha256,
        runner=report.runner or "",
        runner_sha256=equipment.runner_sha256,
        delegate=report.delegate,
        nodes=report.nodes,
        delegated=report.delegated,
    )


def _controlled(plan: Plan, launched: Sequence[Launched]) -> Iterator[str]:
    if _governed(launched):
        yield f"governor {plan.governor}"
    if plan.coolness.celsius is not None:
        yield f"at most {plan.coolness.celsius:g} C before each launch"


def _governed(launched: Sequence[Launched]) -> bool:
    return all(item.governor is not None and item.governor[0] == item.governor[1] for item in launched)


def _uncontrolled(
    plan: Plan,
    equipment: Equipment,
    launched: Sequence[Launched],
    before: Conditions,
    after: Conditions | None,
) -> Iterator[Unread]:
    if equipment.dialect.aside:
        yield Unread("samples", equipment.dialect.aside)
    if plan.governor and not _governed(launched):
        tried = next((item.governor for item in launched if item.governor), None)
        reason = f"{tried[0]} of {tried[1]} cores took {plan.governor}" if tried else "the device shows none"
        yield Unread("governor", reason)
    if not before.zones and before.thermal_status is None:
        yield Unread("temperature", "the device tells none")
    if before.busy is None:
        yield Unread("other work", "the device does not tell its load")
    if after is None:
        yield Unread("conditions afterwards", "the device was lost")


def findings(run: LatencyRun) -> tuple[str, ...]:
    """What speaks against trusting a run's figures, one phrase each; empty: nothing that was seen."""
    return tuple(_findings(run))


def _findings(run: LatencyRun) -> Iterator[str]:
    if run.clock == EMULATED_CLOCK:
        yield f"{EMULATED_CLOCK}: no device's latency"
    elif run.facts.emulated:
        yield f"virtual device ({run.facts.emulated_sign})"
    if not run.complete:
        yield f"incomplete ({run.lab.cut})" if run.lab and run.lab.cut else "incomplete"
    digests = {launch.digest for launch in run.launches if launch.digest}
    if len(digests) > 1 or any(launch.steady is False for launch in run.launches):
        yield "outputs differ for the same input"
    if (run.before.busy or 0) >= BUSY:
        yield f"{run.before.busy:.0%} of all cores busy before"
    for moment, conditions in (("before", run.before), ("after", run.after)):
        if conditions and conditions.thermal_status not in (None, "none"):
            yield f"thermal status {conditions.thermal_status} {moment}"
        if conditions and conditions.power_save:
            yield f"power save {moment}"
    if _slower(run):
        yield "cores were slower afterwards"


def _slower(run: LatencyRun) -> bool:
    if run.after is None or "governor performance" not in run.controlled:
        # Without a fixed governor frequencies fall as soon as the work is done.
        return False
    later = {core.index: core.max_khz for core in run.after.cores}
    return any(
        core.max_khz and (later.get(core.index) or core.max_khz) < THROTTLED * core.max_khz
        for core in run.before.cores
    )
