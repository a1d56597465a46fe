"""One measurement of latency, with everything that makes it credible."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from mobiledeploy.device_tests.conditions import Conditions
from mobiledeploy.device_tests.facts import DeviceFacts, Unread
from mobiledeploy.device_tests.latency_statistics import Summary, summarise
from mobiledeploy.runtimes.runner.report import OpTime
from mobiledeploy.runtimes.runner.request import Timing

# 2: lab.
SCHEMA_VERSION = 2
# Emulated time is never shown without this.
EMULATED_CLOCK = "emulated instruction clock"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What ran.

    Attributes:
        name: of the file.
        target: ``tflite``, ``onnx`` or ``coreml``.
        sha256: of its bytes.
        size: bytes.
        arithmetic: as read from the file, like ``int8`` or ``fp32``.
    """

    name: str
    target: str
    sha256: str
    size: int
    arithmetic: str


@dataclass(frozen=True, slots=True)
class EngineUsed:
    """What ran it.

    Attributes:
        name, version: of the engine, by its own words.
        library_sha256: of its shared library; None: the runner's own engine.
        runner: name and version of the program, by its own words.
        runner_sha256: of the program.
        delegate: what took operators over, by the engine's words; None: nothing, or it does not say.
        nodes, delegated: operators of the graph, and how many the delegate took; None: not said.
    """

    name: str
    version: str
    library_sha256: str | None
    runner: str
    runner_sha256: str
    delegate: str | None = None
    nodes: int | None = None
    delegated: int | None = None

    @property
    def delegated_share(self) -> float | None:
        """Share of operators that the delegate took, 0..1."""
        return self.delegated / self.nodes if self.nodes and self.delegated is not None else None


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch of the runner; times in nanoseconds, memory in bytes.

    Attributes:
        order: its place among all launches of the session, from 0.
        started: UTC.
        load_ns, init_ns, first_ns, warmup_ns, samples_ns, starts_ns, memory_before, memory_peak,
            digest, steady: as in ``runtimes.runner.report.Report``.
        complete: the runner said that it was done; else the samples are those that had arrived.
        energy_uj: microjoules that the whole device took meanwhile; None: it does not tell.
    """

    order: int
    started: str
    load_ns: int | None
    init_ns: int | None
    first_ns: int | None
    warmup_ns: tuple[int, ...]
    samples_ns: tuple[int, ...]
    starts_ns: tuple[int, ...]
    memory_before: int | None
    memory_peak: int | None
    digest: str | None
    steady: bool | None
    complete: bool
    energy_uj: int | None = None


@dataclass(frozen=True, slots=True)
class LabUse:
    """How a run came to its device in a lab.

    Attributes:
        identity: 32 hexadecimal digits, its id in every history.
        host: that holds the device.
        kind: of the device; None: equal to no other.
        attempt: 1 for the first.
        earlier: why each of those before did not come to its end, one line each.
        cut: why this one did not; empty: it did.
    """

    identity: str
    host: str
    kind: str | None
    attempt: int
    earlier: tuple[str, ...] = ()
    cut: str = ""


# Without slots, so that the summary is drawn once.
@dataclass(frozen=True)
class LatencyRun:
    """One file on one device in one setting.

    Attributes:
        device: its reference, as the user wrote it.
        facts: what the device is.
        model: the file.
        engine: what ran it.
        threads: of the engine.
        affinity: cores that it was bound to; empty: all.
        timing: how long it was asked to measure.
        clock: of the samples; ``EMULATED_CLOCK`` where the device said that its clock counts instructions.
        before, after: how the device was; ``after`` is None if it was lost.
        launches: in order.
        ops: time of each operator, from a launch of its own that gives no samples.
        controlled: what was set for the measurement and put back, like ``governor performance``.
        uncontrolled: what could not be set or seen, and why.
        harness: version of mobiledeploy.
        started: UTC, ISO 8601.
        planned: launches that there should have been.
        schema_version: of this record.
        lab: how it came to the device; None: it was not a lab that chose it.
    """

    device: str
    facts: DeviceFacts
    model: ModelFile
    engine: EngineUsed
    threads: int
    affinity: tuple[int, ...]
    timing: Timing
    clock: str
    before: Conditions
    after: Conditions | None
    launches: tuple[Launch, ...]
    ops: tuple[OpTime, ...]
    controlled: tuple[str, ...]
    uncontrolled: tuple[Unread, ...]
    harness: str
    started: str
    planned: int = 1
    schema_version: int = SCHEMA_VERSION
    lab: LabUse | None = None

    @property
    def complete(self) -> bool:
        """Every launch was made and came to its end, and a lab's attempt to its last one."""
        cut = self.lab is not None and bool(self.lab.cut)
        made = len(self.launches) >= self.planned
        return made and not cut and all(launch.complete for launch in self.launches)

    @cached_property
    def summary(self) -> Summary:
        """Figures of all samples.

        Raises:
            ValueError: there is none.
        """
        return summarise([launch.samples_ns for launch in self.launches])

    @property
    def memory_peak(self) -> int | None:
        """Most resident bytes of any launch."""
        return max((launch.memory_peak for launch in self.launches if launch.memory_peak), default=None)

    @property
    def energy_per_inference(self) -> float | None:
        """Joules that the whole device took, loading and waiting included; None: it does not tell."""
        spent = [launch.energy_uj for launch in self.launches]
        inferences = sum(1 + len(launch.warmup_ns) + len(launch.samples_ns) for launch in self.launches)
        known = [energy for energy in spent if energy is not None]
        return sum(known) / 1e6 / inferences if known and len(known) == len(spent) else None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: the fields, and the figures drawn from them."""
        has_samples = any(launch.samples_ns for launch in self.launches)
        return {
            **asdict(self),
            "complete": self.complete,
            "energy_per_inference": self.energy_per_inference,
            "summary": _summary(self.summary) if has_samples else None,
        }

    def to_json(self) -> str:
        """``to_dict`` as one line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _summary(summary: Summary) -> dict[str, Any]:
    return {**asdict(summary), "stability_score": summary.stability.score}
