"""What a report takes from a stored run: enough to draw it, without its 100,000 samples."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mobiledeploy.deploy.report.given import DiagnosisFile, GateFile
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.history import Row
from mobiledeploy.device_tests.latency_run import EMULATED_CLOCK, EngineUsed
from mobiledeploy.runtimes.runner.report import OpTime


@dataclass(frozen=True, slots=True)
class Spread:
    """The samples of a run, thinned; times in milliseconds.

    Attributes:
        p1, p25, p75, p99: percentiles of all samples.
        samples: at most ``collect.SHOWN``, evenly by rank, the least and the largest among them.
    """

    p1: float
    p25: float
    p75: float
    p99: float
    samples: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """One run.

    Attributes:
        row: its columns in the history.
        facts: name and value of everything that it depended on, for people.
        spread: of latency; None: it has no samples, or is of accuracy.
        ops: time of each operator, if it was measured with a profile.
        engine: what ran it; None: a run of accuracy.
        accuracy: with all predictions; None: a run of latency.
        images: eight hexadecimal digits, equal for the same images and labels; empty: of latency.
        beware: what has to stand beside its figures.
        told: what a gate or a diagnosis found; None: a run.
    """

    row: Row
    facts: tuple[tuple[str, str], ...]
    spread: Spread | None = None
    ops: tuple[OpTime, ...] = ()
    engine: EngineUsed | None = None
    accuracy: AccuracyRun | None = None
    images: str = ""
    beware: tuple[str, ...] = ()
    told: GateFile | DiagnosisFile | None = None

    @property
    def setting(self) -> tuple[object, ...]:
        """Equal for runs of latency that may be compared: all but the file."""
        row = self.row
        return (row.device, row.threads, row.engine, row.affinity, row.mode, row.clock)

    @property
    def emulated(self) -> bool:
        """Its times are no device's."""
        return self.row.clock == EMULATED_CLOCK


@dataclass(frozen=True, slots=True)
class Collected:
    """The runs of a report.

    Attributes:
        where: the history, without passwords.
        total: runs in it.
        runs: in order of time, gates and diagnoses among them.
    """

    where: str
    total: int
    runs: tuple[Seen, ...]

    @property
    def latencies(self) -> tuple[Seen, ...]:
        """Those with a median."""
        return tuple(run for run in self.runs if run.row.median_ns is not None)

    @property
    def accuracies(self) -> tuple[Seen, ...]:
        """Those of accuracy."""
        return tuple(run for run in self.runs if run.accuracy is not None)

    @property
    def gates(self) -> tuple[tuple[GateFile, str], ...]:
        """Reports and their ids, each with those of its gates that no later one of this file decided anew."""
        reports = [(run.told, run.row.id) for run in self.runs if isinstance(run.told, GateFile)]
        latest = {
            (report.device, report.candidate.name, gate.name): identity
            for report, identity in reports
            for gate in report.gates
        }
        kept = []
        for report, identity in reports:
            place = (report.device, report.candidate.name)
            gates = tuple(gate for gate in report.gates if latest[*place, gate.name] == identity)
            kept += [(replace(report, gates=gates), identity)] if gates else []
        return tuple(kept)

    @property
    def diagnoses(self) -> tuple[DiagnosisFile, ...]:
        """The latest of each model."""
        latest = {run.told.model: run.told for run in self.runs if isinstance(run.told, DiagnosisFile)}
        return tuple(latest.values())
