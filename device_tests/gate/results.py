"""From verdicts to a gate's result, and the one line that says why."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mobiledeploy.device_tests.gate.decision import CONFIRMATION, FIRST, LOOKS, Verdict
from mobiledeploy.device_tests.gate.limits import REGRESSION, Gate, show
from mobiledeploy.device_tests.gate.report import GateResult, Outcome
from mobiledeploy.device_tests.gate.stored import LEAST_SESSIONS
from mobiledeploy.device_tests.latency_run import LatencyRun

# Of a core: from here on undecided launches are the neighbours' doing.
MUCH_OTHER_WORK = 0.25


def measured_result(
    gate: Gate,
    first: Verdict | None,
    second: Verdict | None,
    trouble: Sequence[str],
    other_work: Sequence[float | None],
) -> GateResult:
    """A gate that was decided by launches.

    Trouble comes first: neither a red nor a green stands on a device that was lost or throttled.

    Args:
        gate: in question.
        first: of the first session; None: it has no launch.
        second: of the session that should confirm a red; None: there was none.
        trouble: what kept the device from telling.
        other_work: of each session, in cores; None: not told.
    """
    shown = second if second and second.word == "regressed" else first
    outcome, reason = _outcome(gate, first, second, trouble, other_work)
    known = shown is not None and shown.estimate is not None
    return GateResult(
        name=gate.kind.name,
        unit=gate.kind.unit,
        outcome=outcome,
        limit=gate.limit,
        limit_source=gate.source,
        value=shown.estimate if shown and known else None,
        low=_end(shown.interval.low) if shown and known else None,
        high=_end(shown.interval.high) if shown and known else None,
        reason=reason,
        count=sum(item.count for item in (first, second) if item),
        verdict=first,
        confirmation=second,
    )


def delegated_result(gate: Gate, run: LatencyRun | None, trouble: Sequence[str]) -> GateResult:
    """Share of operators that the delegate took, by the engine's own words."""
    share = run.engine.delegated_share if run else None
    outcome: Outcome
    if share is None:
        outcome = "trouble" if trouble else "inconclusive"
        reason = trouble[0] if trouble else "the engine does not tell what its delegate took"
    else:
        outcome = "pass" if share >= gate.limit else "fail"
        engine = run.engine if run else None
        reason = f"{engine.delegate} took {engine.delegated} of {engine.nodes} operators" if engine else ""
    return GateResult(
        gate.kind.name, gate.kind.unit, outcome, gate.limit, gate.source, share, share, share, reason, count=1
    )


def _outcome(
    gate: Gate,
    first: Verdict | None,
    second: Verdict | None,
    trouble: Sequence[str],
    other_work: Sequence[float | None],
) -> tuple[Outcome, str]:
    if trouble:
        return "trouble", trouble[0]
    if first is None:
        return "trouble", "nothing was measured"
    if first.word == "pass":
        return "pass", f"{_words(gate, first)}: all of it is within {gate.shown}"
    if first.word == "regressed" and second and second.word == "regressed":
        return "fail", (
            f"{_words(gate, first)}, and {_words(gate, second)} in a fresh session: beyond {gate.shown} twice"
        )
    work = max((item for item in other_work if item is not None), default=0.0)
    if work >= MUCH_OTHER_WORK:
        return (
            "trouble",
            f"other processes took {work:.2f} cores during the launches: {_open(gate, first, second)}",
        )
    return "inconclusive", _open(gate, first, second)


def _open(gate: Gate, first: Verdict, second: Verdict | None) -> str:
    if first.word == "regressed":
        then = (
            f"a fresh session says {_words(gate, second)}"
            if second
            else "there was no time for a fresh session"
        )
        return f"{_words(gate, first)} is beyond {gate.shown}, but {then}: not confirmed"
    if first.estimate is None:
        return "the runner does not tell it"
    if not math.isfinite(first.interval.high):
        # Stored sessions are looked at once, at the error of all looks together.
        least = LEAST_SESSIONS if first.level == FIRST.error else LOOKS[0]
        return f"{_words(gate, first)} are too few for a verdict; at least {least} tell something"
    return f"{_words(gate, first)}: {gate.shown} lies between; more time would tell"


def _words(gate: Gate, verdict: Verdict) -> str:
    """``+2.1% (+1.4% to +2.9%, 27 pairs)``."""
    if verdict.estimate is None:
        return "no value"
    of = "pairs" if gate.kind is REGRESSION else "launches"
    if verdict.level in (FIRST.error, CONFIRMATION.error):
        of = "stored sessions"
    ends = (verdict.interval.low, verdict.interval.high)
    between = (
        f"{_signed(gate, ends[0])} to {_signed(gate, ends[1])}, " if all(map(math.isfinite, ends)) else ""
    )
    return f"{_signed(gate, verdict.estimate)} ({between}{verdict.count} {of})"


def _signed(gate: Gate, value: float) -> str:
    return f"{100 * value:+.2f}%" if gate.kind is REGRESSION else show(value, gate.kind.unit)


def _end(value: float) -> float | None:
    return value if math.isfinite(value) else None
