"""Gates as comparisons: what a test asserts of a file on a device.

    report = device.benchmark(candidate).p90 < ms(15)

Nothing runs until a figure is compared with a limit: the limit is what tells how many launches are
needed.  Each comparison is a gate (``gate.gate``) with sessions of its own; ``gate`` decides several
limits in the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    from mobiledeploy.device_tests.gate import Gate, GateReport, Setting
    from mobiledeploy.device_tests.gate.limits import Unit
    from mobiledeploy.runtimes.census import Artifact

Tell = Callable[["GateReport"], None]


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure is compared with.

    Attributes:
        value: nanoseconds, bytes or a share.
        unit: ``time``, ``bytes`` or ``share``.
    """

    value: float
    unit: Unit

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value >= 0):
            raise InputError(f"{self.value} is no limit", hint="Give a number from 0 up")


def ms(value: float) -> Limit:
    """Milliseconds."""
    return Limit(1e6 * value, "time")


def us(value: float) -> Limit:
    """Microseconds."""
    return Limit(1e3 * value, "time")


def megabytes(value: float) -> Limit:
    """Megabytes of 10^6 bytes."""
    return Limit(1e6 * value, "bytes")


def percent(value: float) -> Limit:
    """Hundredths: ``percent(3)`` is a share of 0.03."""
    return Limit(value / 100, "share")


class InconclusiveError(AssertionError):
    """Neither yes nor no: the interval still held the limit when the time was over."""


def refuse(report: GateReport) -> NoReturn:
    """What is inconclusive is no answer.

    Raises:
        InconclusiveError: always.
    """
    raise InconclusiveError(describe(report))


@dataclass(frozen=True)
class MeasuredDevice:
    """A device by its reference; it is connected to for each gate and free for others in between.

    Attributes:
        reference: ``local``, ``adb:SERIAL``, ``ssh:HOST``, a name of ``devices.toml``.
        setting: how to measure; None: the usual way.
        tell: is given each report.
        inconclusive: is given a report that is neither yes nor no; does not return.
    """

    reference: str
    setting: Setting | None = None
    tell: Tell = field(default=lambda _: None, repr=False)
    inconclusive: Callable[[GateReport], NoReturn] = field(default=refuse, repr=False)

    def benchmark(
        self, candidate: Artifact | Path | str, baseline: Artifact | Path | str | None = None
    ) -> Latency:
        """Figures of a file on this device, to be compared with limits.

        Args:
            candidate: the file in question.
            baseline: that ``regression`` compares with.
        """
        return Latency(self, _read(candidate), None if baseline is None else _read(baseline))

    def gate(
        self,
        candidate: Artifact | Path | str,
        baseline: Artifact | Path | str | None = None,
        **limits: str,
    ) -> Answer:
        """Several limits in the same sessions.

        Args:
            candidate: the file in question.
            baseline: that ``max_regression`` compares with.
            **limits: as on the command line: ``max_p90="20ms"``, ``max_size="5MB"``.

        Raises:
            InputError: no such limit, no unit, nothing to compare with.
            EnvironmentProblem: what the runner is built with is not on this host.
        """
        from mobiledeploy.device_tests.gate import parse_gate

        gates = [parse_gate(name.replace("_", "-"), text, name) for name, text in limits.items()]
        latency = self.benchmark(candidate, baseline)
        return self.decide(latency.candidate, latency.baseline, gates)

    def decide(self, candidate: Artifact, baseline: Artifact | None, gates: list[Gate]) -> Answer:
        """Run the gates and tell what came of them.

        Raises:
            InputError: the files are not comparable, or a gate lacks what it needs.
            EnvironmentProblem: what the runner is built with is not on this host.
        """
        from mobiledeploy.device_tests.gate import gate

        report = gate(self.reference, candidate, gates, baseline=baseline, setting=self.setting)
        self.tell(report)
        return Answer(report, self.inconclusive)


@dataclass(frozen=True)
class Latency:
    """Figures of a file on a device, not yet measured.

    Attributes:
        device: where.
        candidate: the file in question.
        baseline: that ``regression`` compares with.
    """

    device: MeasuredDevice
    candidate: Artifact
    baseline: Artifact | None = None

    @property
    def median(self) -> Figure:
        """Median latency of a launch."""
        return Figure(self, "max-median")

    @property
    def p90(self) -> Figure:
        """90th percentile of a launch."""
        return Figure(self, "max-p90")

    @property
    def init(self) -> Figure:
        """From the file to a model that is ready."""
        return Figure(self, "max-init")

    @property
    def memory(self) -> Figure:
        """Most resident memory."""
        return Figure(self, "max-memory")

    @property
    def regression(self) -> Figure:
        """How much slower than the baseline, a share."""
        return Figure(self, "max-regression")

    @property
    def delegated(self) -> Figure:
        """Share of operators that the delegate took; compare with ``>=``."""
        return Figure(self, "min-delegated")


@dataclass(frozen=True, eq=False)
class Figure:
    """One figure, measured once it is compared.

    Attributes:
        latency: of what.
        gate: name of the gate that decides about it.
        answers: so far, by limit.
    """

    latency: Latency
    gate: str
    answers: dict[Limit, Answer] = field(default_factory=dict, repr=False)

    def __lt__(self, limit: Limit) -> Answer:
        return self._within(limit, "max-", "<")

    # Times are no whole numbers: below is the same as at most.
    __le__ = __lt__

    def __gt__(self, limit: Limit) -> Answer:
        return self._within(limit, "min-", ">")

    __ge__ = __gt__

    def __bool__(self) -> NoReturn:
        raise InputError(f"{self.gate} has no value by itself", hint="Compare it: figure < ms(15)")

    def _within(self, limit: Limit, kind: str, sign: str) -> Answer:
        from mobiledeploy.device_tests.gate import KINDS, Gate

        if not isinstance(limit, Limit):
            raise InputError(f"{limit!r} has no unit", where=self.gate, hint="Write it like ms(15)")
        found = next(item for item in KINDS if item.name == self.gate)
        if not self.gate.startswith(kind):
            other = "<" if sign == ">" else ">"
            raise InputError(f"{sign} cannot be decided", where=self.gate, hint=f"Write {other}")
        if limit.unit != found.unit:
            raise InputError(f"a limit in {limit.unit} cannot be compared with {found.unit}", where=self.gate)
        if limit not in self.answers:
            gates = [Gate(found, limit.value, "assert")]
            latency = self.latency
            self.answers[limit] = latency.device.decide(latency.candidate, latency.baseline, gates)
        return self.answers[limit]


@dataclass(frozen=True)
class Answer:
    """What gates said, as a truth value.

    True only if every gate passes, False if one fails.  Neither is taken for the other, nor for what is
    inconclusive, which ``inconclusive`` ends, also below a ``not``.

    Attributes:
        report: all of it.
        inconclusive: is given a report that is neither yes nor no.
    """

    report: GateReport
    inconclusive: Callable[[GateReport], NoReturn] = refuse

    def __bool__(self) -> bool:
        __tracebackhide__ = True
        if self.report.outcome == "trouble":
            from mobiledeploy.device_tests.errors import DeviceError

            reasons = [
                *self.report.trouble,
                *(item.reason for item in self.report.gates if item.outcome == "trouble"),
            ]
            raise DeviceError(
                f"it could not tell ({reasons[0]})",
                where=self.report.device,
                hint="This says nothing about the file: see to the device and test again",
            )
        if self.report.outcome == "inconclusive":
            self.inconclusive(self.report)
        return self.report.outcome == "pass"

    def __repr__(self) -> str:
        return describe(self.report)


def describe(report: GateReport) -> str:
    """``FAIL: new.tflite on pixel: max-p90: reason``, gates that pass left out unless all do."""
    told = [item for item in report.gates if item.outcome != "pass"] or report.gates
    from mobiledeploy.device_tests.gate.formats.words import title

    reasons = "; ".join(f"{item.name}: {item.reason}" for item in told)
    return f"{report.outcome.upper()}: {title(report)}: {reasons}"


def properties(report: GateReport) -> Mapping[str, str | float]:
    """Names and values for a test's record; units are those of ``GateReport``."""
    found: dict[str, str | float] = {"device": report.device, "candidate.sha256": report.candidate.sha256}
    for item in report.gates:
        found[f"{item.name}.outcome"] = item.outcome
        figures = {"value": item.value, "low": item.low, "high": item.high, "limit": item.limit}
        found.update({f"{item.name}.{name}": value for name, value in figures.items() if value is not None})
    return found


def _read(file: Artifact | Path | str) -> Artifact:
    from mobiledeploy.runtimes.formats import read_artifact

    return read_artifact(Path(file)) if isinstance(file, (str, Path)) else file
