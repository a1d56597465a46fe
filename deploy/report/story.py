"""Stored runs and given files, put together: what each section tells its part of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from mobiledeploy.deploy.history_series import grouped
from mobiledeploy.deploy.report.given import DiagnosisFile, FileCost, GateFile, Given
from mobiledeploy.deploy.report.seen import Collected, Seen
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.device_tests.latency_run import EMULATED_CLOCK
from mobiledeploy.errors import InputError


@dataclass(frozen=True, slots=True)
class Series:
    """Runs of latency that may be compared, in order of time, and what they are in one line."""

    label: str
    runs: tuple[Seen, ...]

    @property
    def latest(self) -> Seen:
        """The latest that came to its end, else the latest."""
        return next((run for run in reversed(self.runs) if run.row.complete), self.runs[-1])


@dataclass(frozen=True, slots=True)
class Subject:
    """One file in one setting as it is now.

    Attributes:
        mark: a letter or two that stand for it.
        label: what it is, one line.
        run: its latest in this setting: of latency, or of accuracy if it was only evaluated.
        evaluation: latest of the same file; None: there is none.
        cost: of the same file, if it is at hand.
        arithmetic: as read from the file; empty: not known.
    """

    mark: str
    label: str
    run: Seen
    evaluation: Seen | None
    cost: FileCost | None
    arithmetic: str

    @property
    def words(self) -> str:
        """What stands above its row in a plot of its device."""
        short = self.label.removesuffix(f" ({EMULATED_CLOCK})").replace(f", {self.run.row.device}", "", 1)
        return f"{self.mark}  {short}"

    @property
    def timed(self) -> bool:
        """Whether its latency was measured."""
        return self.run.accuracy is None

    @property
    def accuracy(self) -> AccuracyRun | None:
        """Of its latest evaluation."""
        return self.evaluation.accuracy if self.evaluation else None

    @property
    def milliseconds(self) -> tuple[float, float, float]:
        """Median latency and its 95% interval; zeros: it was not measured."""
        row = self.run.row
        median = row.median_ns or 0.0
        low, high = (median if end is None else end for end in (row.low_ns, row.high_ns))
        return median / 1e6, low / 1e6, high / 1e6


# Without slots, so that subjects are put together once.
@dataclass(frozen=True)
class Story:
    """What a report is made of."""

    collected: Collected
    given: Given

    def __post_init__(self) -> None:
        """A file of which no run is shown would be left out in silence.

        Raises:
            InputError: there is one.
        """
        known = {run.row.model_sha256 for run in self.collected.runs}
        for file in self.given.files:
            if file.sha256 not in known:
                raise InputError(
                    "none of the report's runs is of this file",
                    where=file.name,
                    hint="Run mobiledeploy benchmark or evaluate on it first, or leave it out",
                )

    @cached_property
    def gates(self) -> tuple[tuple[GateFile, str], ...]:
        """Stored ones with their ids; those that were given, unless they are stored."""
        stored = self.collected.gates
        told = {(report.device, report.started, report.candidate) for report, _ in stored}
        given = (
            (report, "")
            for report in self.given.gates
            if (report.device, report.started, report.candidate) not in told
        )
        return (*stored, *given)

    @cached_property
    def diagnoses(self) -> tuple[DiagnosisFile, ...]:
        """Those that were given, and stored ones of other models."""
        given = {found.model for found in self.given.diagnoses}
        stored = (found for found in self.collected.diagnoses if found.model not in given)
        return (*self.given.diagnoses, *stored)

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """All latencies."""
        by_id = {run.row.id: run for run in self.collected.latencies}
        return tuple(
            Series(label, tuple(by_id[row.id] for row in rows))
            for label, rows in grouped(run.row for run in by_id.values())
        )

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """Every file in every setting, then the files that were only evaluated."""
        latest = {run.row.model_sha256: run for run in self.collected.accuracies}
        costs = {file.sha256: file for file in self.given.files}
        measured = [(series.label, series.latest) for series in self.series]
        timed = {run.row.model_sha256 for _, run in measured}
        alone = ((run.row.model_name, run) for sha256, run in latest.items() if sha256 not in timed)
        pairs = [*measured, *sorted(alone, key=lambda pair: pair[0])]
        subjects = []
        for index, (label, run) in enumerate(pairs):
            file = run.row.model_sha256
            known = (latest.get(file), costs.get(file), self._arithmetic.get(file, ""))
            subjects.append(Subject(mark(index), label, run, *known))
        return tuple(subjects)

    @cached_property
    def _arithmetic(self) -> dict[str, str]:
        told = ((run.row.model_sha256, run.row.arithmetic or "") for run in self.collected.runs)
        at_hand = ((file.sha256, one_line(file.arithmetic)) for file in self.given.files)
        return {sha256: words for sha256, words in (*told, *at_hand) if words}


def mark(index: int) -> str:
    """A to Z, then AA, AB and so on."""
    first, last = divmod(index, 26)
    return (mark(first - 1) if first else "") + chr(ord("A") + last)


def by_device(subjects: Iterable[Subject]) -> dict[str, list[Subject]]:
    """Measured subjects by device, and by clock: times of different ones stand in no plot together."""
    found: dict[str, list[Subject]] = {}
    for subject in subjects:
        if subject.timed:
            row = subject.run.row
            emulated = f" ({EMULATED_CLOCK})" if subject.run.emulated else ""
            found.setdefault(f"{row.device or 'this host'}{emulated}", []).append(subject)
    return found
