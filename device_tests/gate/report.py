"""What a gate found: plain frozen data."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mobiledeploy.device_tests.conditions import Conditions
from mobiledeploy.device_tests.gate.decision import Verdict
from mobiledeploy.device_tests.latency_run import LatencyRun, ModelFile

SCHEMA_VERSION = 1
Outcome = Literal["pass", "fail", "inconclusive", "trouble"]


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate.

    Attributes:
        name: like ``max-regression``.
        unit: of limit, value, low and high: ``time`` (nanoseconds), ``bytes``, ``share``, ``points``,
            ``flag`` or ``text``.
        outcome: ``pass``, ``fail``, ``inconclusive``, or ``trouble``: the device could not tell.
        limit: that was asked for.
        limit_source: the option, the file's table, or the calibration it is from.
        value: the estimate; None: there is none.
        low, high: interval of the value; None: no such end, or the value is exact.
        reason: one line for people: why.
        count: pairs, launches or images behind it; 0: read from the file.
        verdict: of the first session, where one was needed.
        confirmation: of the second one; None: nothing was to be confirmed.
    """

    name: str
    unit: str
    outcome: Outcome
    limit: float
    limit_source: str
    value: float | None
    low: float | None
    high: float | None
    reason: str
    count: int = 0
    verdict: Verdict | None = None
    confirmation: Verdict | None = None


@dataclass(frozen=True, slots=True)
class SessionSeen:
    """One session on the device, as evidence.

    Attributes:
        pairs: of launches (launches, without a baseline).
        seconds: that they took.
        log_ratios: of candidate over baseline, by pair; empty without a baseline.
        before, after: how the device was; ``after`` is None if it was lost.
        other_work: median of what other processes took during launches, in cores; None: not told.
        trouble: what speaks against its figures.
    """

    pairs: int
    seconds: float
    log_ratios: tuple[float, ...]
    before: Conditions | None
    after: Conditions | None
    other_work: float | None
    trouble: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GateReport:
    """A candidate against its gates.

    Attributes:
        device: its reference.
        candidate, baseline: the files; the baseline is None without one.
        baseline_run: id of the stored run that stands for the baseline; None: its file was run.
        gates: in the order in which they were asked for.
        sessions: the first, and the one that confirmed a red.
        trouble: what kept the device from telling; empty: nothing.
        notes: what else has to stand beside the figures.
        threads, affinity: of both arms.
        clock: of the samples.
        time_limit: seconds.
        started: UTC.
        runs: raw samples; candidate, then baseline, session by session.  Not in ``to_dict``: they go
            into the history.
        schema_version: of ``to_dict``.
    """

    device: str
    candidate: ModelFile
    baseline: ModelFile | None
    baseline_run: str | None
    gates: tuple[GateResult, ...]
    sessions: tuple[SessionSeen, ...]
    trouble: tuple[str, ...]
    notes: tuple[str, ...]
    threads: int
    affinity: str
    clock: str
    time_limit: float
    started: str
    runs: tuple[LatencyRun, ...] = ()
    schema_version: int = SCHEMA_VERSION

    @property
    def outcome(self) -> Outcome:
        """``fail`` if a gate fails, else ``trouble``, else ``inconclusive`` if one is, else ``pass``."""
        found = {gate.outcome for gate in self.gates}
        order: tuple[Outcome, ...] = ("fail", "trouble", "inconclusive")
        return next((word for word in order if word in found), "pass")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: all but the raw samples; what is infinite or no number is None."""
        data = {name: getattr(self, name) for name in self.__slots__ if name != "runs"}
        for name in ("gates", "sessions"):
            data[name] = [asdict(item) for item in data[name]]
        for name in ("candidate", "baseline"):
            data[name] = asdict(data[name]) if data[name] else None
        plain: dict[str, Any] = _finite({**data, "outcome": self.outcome})
        return plain

    def to_json(self) -> str:
        """``to_dict`` as one line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
