"""Work that travels to a device, and what comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from mobiledeploy.device_tests.benchmark import benchmark
from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.gate import Gate, GateReport, Setting, Stored, gate
from mobiledeploy.device_tests.lab.parcel import Parcel, pack
from mobiledeploy.device_tests.latency_run import LatencyRun
from mobiledeploy.device_tests.plan import Plan
from mobiledeploy.errors import EnvironmentProblem, MobileDeployError
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import read_artifact

Announce = Callable[[str], None]
Keep = Callable[[Sequence[LatencyRun]], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt.

    Attributes:
        runs: that it measured.
        report: of a gate, without its runs; None: of no gate, or it did not come to that.
        error: why the attempt did not come to its end.
        unstored: why the host's own history does not hold the runs; empty: it does, or there is none.
    """

    runs: tuple[LatencyRun, ...] = ()
    report: GateReport | None = None
    error: MobileDeployError | None = None
    unstored: str = ""

    @property
    def trouble(self) -> str:
        """Why another device could do better, one line; empty: it could not."""
        if isinstance(self.error, (DeviceError, EnvironmentProblem)):
            return str(self.error)
        # No verdict: neither a red nor a green is lost by asking another device.
        if self.report and self.report.outcome == "trouble":
            return "; ".join(self.report.trouble) or "the device could not tell"
        return ""


@dataclass(frozen=True, slots=True)
class Workplace:
    """What a job finds on the host that holds the device.

    Attributes:
        reference: of the device.
        folder: for files; empty, and gone afterwards.
        announce: told what is done now.
        stop: once it is set, a job ends as soon as there is something whole.
        keep: told the runs as far as they have come.
    """

    reference: str
    folder: Path
    announce: Announce
    stop: threading.Event
    keep: Keep


class Job(Protocol):
    """What is done with a device: plain data that can be pickled."""

    @property
    def purpose(self) -> str:
        """In one word, for those who wait."""

    def do(self, at: Workplace) -> Answer:
        """Do it, where the device is."""


@dataclass(frozen=True, slots=True)
class BenchmarkJob:
    """Latency by a plan.

    Attributes:
        plan: without its files.
        files: model files of the plan.
        library: engine for the device.
    """

    plan: Plan
    files: tuple[Parcel, ...]
    library: Parcel | None
    purpose: str = "benchmark"

    def do(self, at: Workplace) -> Answer:
        """See ``Job.do``."""
        plan = replace(
            self.plan,
            artifacts=tuple(_arrived(at.folder / str(index), file) for index, file in enumerate(self.files)),
            library=_library(at.folder, self.library),
        )
        (measured,) = benchmark([at.reference], plan, announce=at.announce, stop=at.stop, keep=at.keep)
        return Answer(measured.runs, error=measured.error)


@dataclass(frozen=True, slots=True)
class GateJob:
    """A candidate against its gates.

    Attributes:
        candidate: the file.
        baseline: a file, stored runs, or None.
        gates: to be decided.
        setting: how, without the engine's library.
        library: engine for the device.
    """

    candidate: Parcel
    baseline: Parcel | Stored | None
    gates: tuple[Gate, ...]
    setting: Setting
    library: Parcel | None
    purpose: str = "gate"

    def do(self, at: Workplace) -> Answer:
        """See ``Job.do``; a gate has an end of its own and keeps nothing on the way."""
        baseline = self.baseline
        report = gate(
            at.reference,
            _arrived(at.folder / "candidate", self.candidate),
            self.gates,
            baseline=_arrived(at.folder / "baseline", baseline) if isinstance(baseline, Parcel) else baseline,
            setting=replace(self.setting, library=_library(at.folder, self.library)),
            announce=at.announce,
        )
        return Answer(report.runs, replace(report, runs=()))


def benchmark_job(plan: Plan) -> BenchmarkJob:
    """A plan with its files.

    Raises:
        InputError: one cannot be read.
    """
    files = tuple(pack(artifact.path) for artifact in plan.artifacts)
    return BenchmarkJob(replace(plan, artifacts=(), library=None), files, _packed(plan.library))


def gate_job(
    candidate: Artifact, gates: Sequence[Gate], baseline: Artifact | Stored | None, setting: Setting
) -> GateJob:
    """A gate with its files.

    Raises:
        InputError: one cannot be read.
    """
    other = pack(baseline.path) if isinstance(baseline, Artifact) else baseline
    bare = replace(setting, library=None)
    return GateJob(pack(candidate.path), other, tuple(gates), bare, _packed(setting.library))


def _packed(path: Path | None) -> Parcel | None:
    return pack(path) if path else None


def _library(folder: Path, parcel: Parcel | None) -> Path | None:
    return parcel.unpack(folder / "library") if parcel else None


def _arrived(folder: Path, parcel: Parcel) -> Artifact:
    return read_artifact(parcel.unpack(folder))
