"""A candidate against its gates: sessions on the device, a red confirmed by a fresh one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.conditions import utc_now
from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.gate.beside import other_work
from mobiledeploy.device_tests.gate.decision import CONFIRMATION, FIRST, LOOKS, Kind, Rates, Verdict, follow
from mobiledeploy.device_tests.gate.file_gates import drop_result, file_result
from mobiledeploy.device_tests.gate.limits import DELEGATED, REGRESSION, TOP1_DROP, Gate
from mobiledeploy.device_tests.gate.measuring import Announce, Arms, Setting, measure
from mobiledeploy.device_tests.gate.report import GateReport, GateResult, SessionSeen
from mobiledeploy.device_tests.gate.results import delegated_result, measured_result
from mobiledeploy.device_tests.gate.series import Series, log_ratios, values_of
from mobiledeploy.device_tests.gate.stored import compare_sessions, session_value, unlike_runs
from mobiledeploy.device_tests.latency_run import LatencyRun, ModelFile
from mobiledeploy.device_tests.record import findings, model_file
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.census import Artifact

Evaluate = Callable[[Artifact], AccuracyRun]


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored run in place of a baseline's file.

    Attributes:
        identity: in the history.
        run: as it was measured.
        others: further stored runs of the same file; those under other conditions are left out later.
    """

    identity: str
    run: LatencyRun
    others: tuple[LatencyRun, ...] = ()


def check_comparable(candidate: Artifact, baseline: Artifact) -> None:
    """Refuse files of another task or input size.

    Raises:
        InputError: says in what they differ.
    """
    ours, theirs = candidate.contract, baseline.contract
    where = f"{candidate.path.name} and {baseline.path.name}"
    if ours and theirs and ours.task != theirs.task:
        raise InputError(
            f"one is for the task {ours.task}, the other for {theirs.task}",
            where=where,
            hint="Take a baseline of the same task",
        )
    for name, one, other in (
        ("inputs", candidate.contents.inputs, baseline.contents.inputs),
        ("outputs", candidate.contents.outputs, baseline.contents.outputs),
    ):
        # Formats order dimensions in their own ways.
        shapes = [sorted(tuple(sorted(spec.shape)) for spec in specs) for specs in (one, other)]
        if shapes[0] != shapes[1]:
            words = ["; ".join("x".join(map(str, spec.shape)) for spec in specs) for specs in (one, other)]
            raise InputError(
                f"their {name} differ, {words[0]} against {words[1]}",
                where=where,
                hint="Take a baseline of the same size",
            )


def gate(
    device: str,
    candidate: Artifact,
    gates: Sequence[Gate],
    *,
    baseline: Artifact | Stored | None = None,
    setting: Setting | None = None,
    evaluate: Evaluate | None = None,
    announce: Announce = lambda _: None,
) -> GateReport:
    """Decide every gate, with no more launches than that takes.

    Args:
        device: its reference.
        candidate: the file in question.
        gates: at least one, none twice.
        baseline: what ``max-regression`` and ``max-top1-drop`` compare with.
        setting: how to measure; None: the usual way.
        evaluate: accuracy of a file, for ``max-top1-drop``.
        announce: told what is done now.

    Raises:
        InputError: the files are not comparable, a gate lacks what it needs, or none is given.
        EnvironmentProblem: what the runner is built with is not on this host.
    """
    setting = setting or Setting()
    _check(candidate, gates, baseline, evaluate)
    started = utc_now()
    timed = [item for item in gates if item.kind.runs]
    trial = _Trial(device, candidate, baseline, setting, timed, announce)
    if timed:
        trial.run()
    results = []
    trouble = list(trial.trouble)
    for item in gates:
        if item.kind.runs:
            results.append(trial.result(item))
        elif item.kind is TOP1_DROP:
            result, problem = _accuracy(item, candidate, baseline, evaluate)
            results.append(result)
            trouble += [problem] if problem else []
        else:
            results.append(file_result(item, candidate))
    runs = tuple(run for series in trial.series for run in series.runs)
    return GateReport(
        device=device,
        candidate=model_file(candidate),
        baseline=_baseline_file(baseline),
        baseline_run=baseline.identity if isinstance(baseline, Stored) else None,
        gates=tuple(results),
        sessions=tuple(_seen(series) for series in trial.series),
        trouble=tuple(dict.fromkeys(trouble)),
        notes=tuple(dict.fromkeys([*trial.notes, *(note for run in runs for note in findings(run))])),
        threads=setting.threads,
        affinity=setting.affinity,
        clock=runs[0].clock if runs else "",
        time_limit=setting.time_limit,
        started=started,
        runs=runs,
    )


class _Trial:
    """The sessions of a gate, as far as they have come."""

    def __init__(
        self,
        device: str,
        candidate: Artifact,
        baseline: Artifact | Stored | None,
        setting: Setting,
        gates: Sequence[Gate],
        announce: Announce,
    ) -> None:
        self._device, self._setting, self._announce = device, setting, announce
        self._gates, self._stored = gates, baseline if isinstance(baseline, Stored) else None
        against = isinstance(baseline, Artifact) and any(item.kind is REGRESSION for item in gates)
        self._artifacts = (
            (candidate, baseline) if against and isinstance(baseline, Artifact) else (candidate,)
        )
        self.series: list[Series] = []
        self.notes: list[str] = []
        self._first: dict[str, Verdict] = {}
        self._second: dict[str, Verdict] = {}

    def run(self) -> None:
        """The first session; if it has a red that nothing else explains, a second one."""
        first = self._measure(self._gates, FIRST, self._setting.time_limit)
        if not first.runs:
            return
        arms = [run.launches for run in first.runs]
        if self._stored:
            self._note_stored(first.runs[0])
        decided = [item for item in self._gates if item.kind is not DELEGATED]
        self._first = {item.kind.name: self._verdict(item, arms, FIRST, True) for item in decided}
        reds = [item for item in decided if self._first[item.kind.name].word == "regressed"]
        if not reds or self.trouble:
            return
        left = self._setting.time_limit - first.seconds
        if left < first.seconds / len(first.runs[0].launches) * self._least(reds):
            return
        self._announce(f"{self._device}: {', '.join(item.kind.name for item in reds)}: confirm")
        second = self._measure(reds, CONFIRMATION, left)
        if second.runs:
            arms = [run.launches for run in second.runs]
            self._second = {item.kind.name: self._verdict(item, arms, CONFIRMATION, True) for item in reds}

    @property
    def trouble(self) -> list[str]:
        """What kept the device from telling."""
        errors = [str(series.error) for series in self.series if series.error]
        return [*errors, *(what for series in self.series for what in series.trouble)]

    def result(self, item: Gate) -> GateResult:
        """Of a gate that needs launches."""
        name = item.kind.name
        if item.kind is DELEGATED:
            runs = [series.runs[0] for series in self.series if series.runs]
            return delegated_result(item, runs[0] if runs else None, self.trouble)
        work = [other_work([seen for arm in series.beside for seen in arm]) for series in self.series]
        return measured_result(item, self._first.get(name), self._second.get(name), self.trouble, work)

    def _least(self, gates: Sequence[Gate]) -> int:
        """Launches of an arm without which nothing can be told."""
        stored = len(self._stored.run.launches) if self._stored else 0
        return max(stored, 0 if stored and all(item.kind is REGRESSION for item in gates) else LOOKS[0])

    def _measure(self, gates: Sequence[Gate], rates: Rates, seconds: float) -> Series:
        least = len(self._stored.run.launches) if self._stored else 1

        def done(arms: Arms, spent: float) -> bool:
            if len(arms[0]) < least:
                return False
            open_gates = [item for item in gates if not self._settled(item, arms, rates)]
            # A red ends the first session in time for a second one, whatever else is open.
            late = rates is FIRST and spent >= self._setting.time_limit / 2
            return not open_gates or (late and any(self._red(item, arms) for item in gates))

        series = measure(
            self._device, self._artifacts, self._setting, done, seconds=seconds, announce=self._announce
        )
        self.series.append(series)
        return series

    def _settled(self, item: Gate, arms: Arms, rates: Rates) -> bool:
        """Whether more launches would change nothing."""
        # One launch tells what was delegated; stored sessions have a fixed number of launches.
        if item.kind is DELEGATED or (item.kind is REGRESSION and self._stored):
            return True
        # What the runner does not tell once it never does.
        if not values_of(item.kind, arms):
            return True
        return self._verdict(item, arms, rates, False).word != "inconclusive"

    def _red(self, item: Gate, arms: Arms) -> bool:
        return item.kind is not DELEGATED and self._verdict(item, arms, FIRST, False).word == "regressed"

    def _verdict(self, item: Gate, arms: Arms, rates: Rates, ended: bool) -> Verdict:
        if item.kind is REGRESSION and self._stored:
            return self._against_stored(item, arms, rates)
        kind: Kind = "ratio" if item.kind is REGRESSION else "typical"
        return follow(values_of(item.kind, arms), item.limit, kind, rates, ended=ended)

    def _against_stored(self, item: Gate, arms: Arms, rates: Rates) -> Verdict:
        count = len(self._stored.run.launches) if self._stored else 0
        # As many launches as the stored sessions have; more would make another figure.
        value = session_value(arms[0][:count])
        return compare_sessions(self._sessions(), value, item.limit, rates.error)

    def _sessions(self) -> list[float]:
        stored = self._stored
        if stored is None:
            return []
        alike = [
            run
            for run in stored.others
            if run.complete
            and not unlike_runs(stored.run, run)
            and len(run.launches) == len(stored.run.launches)
        ]
        return [session_value(run.launches) for run in (stored.run, *alike)]

    def _note_stored(self, run: LatencyRun) -> None:
        stored = self._stored
        if stored is None:
            return
        if different := unlike_runs(run, stored.run):
            raise InputError(
                f"it was measured under other conditions ({'; '.join(different)})",
                where=f"history:{stored.identity}",
                hint="Give the baseline's file, or a run of the same device and setting",
            )
        self.notes.append(
            f"the arms were not interleaved: the baseline is {len(self._sessions())} stored sessions, and "
            "what has changed on the device since is in the difference"
        )


def _check(
    candidate: Artifact,
    gates: Sequence[Gate],
    baseline: Artifact | Stored | None,
    evaluate: Evaluate | None,
) -> None:
    names = [item.kind.name for item in gates]
    if not gates:
        raise InputError("there is nothing to gate", hint="Give limits, like --max-regression 3%")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError("the gate is given twice", where=twice, hint="Give it once")
    for item in gates:
        if item.kind.against and baseline is None:
            raise InputError(
                "there is nothing to compare with",
                where=item.source or item.kind.name,
                hint="Give --baseline",
            )
        if item.kind is TOP1_DROP and (evaluate is None or not isinstance(baseline, Artifact)):
            raise InputError(
                "accuracy needs images and the baseline's file",
                where=item.source or item.kind.name,
                hint="Give --images DIR, and --baseline FILE",
            )
    if isinstance(baseline, Artifact):
        check_comparable(candidate, baseline)
    if isinstance(baseline, Stored) and not any(launch.samples_ns for launch in baseline.run.launches):
        raise InputError("the run has no samples", where=f"history:{baseline.identity}", hint="Take another")


def _accuracy(
    item: Gate, candidate: Artifact, baseline: Artifact | Stored | None, evaluate: Evaluate | None
) -> tuple[GateResult, str]:
    if evaluate is None or not isinstance(baseline, Artifact):
        raise ValueError(item.kind.name)
    if candidate.sha256 == baseline.sha256:
        return drop_result(item, None), ""
    try:
        return drop_result(item, (evaluate(baseline), evaluate(candidate))), ""
    except DeviceError as error:
        result = GateResult(
            TOP1_DROP.name, TOP1_DROP.unit, "trouble", item.limit, item.source, None, None, None, str(error)
        )
        return result, str(error)


def _baseline_file(baseline: Artifact | Stored | None) -> ModelFile | None:
    if isinstance(baseline, Stored):
        return baseline.run.model
    return model_file(baseline) if baseline else None


def _seen(series: Series) -> SessionSeen:
    runs = series.runs
    return SessionSeen(
        pairs=min((len(run.launches) for run in runs), default=0),
        seconds=round(series.seconds, 3),
        log_ratios=log_ratios(runs[0].launches, runs[1].launches) if len(runs) > 1 else (),
        before=runs[0].before if runs else None,
        after=runs[0].after if runs else None,
        other_work=other_work([seen for arm in series.beside for seen in arm]),
        trouble=(*([str(series.error)] if series.error else []), *series.trouble),
    )
