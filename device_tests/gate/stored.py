"""A candidate against stored runs: whole sessions are compared, as nothing was interleaved."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean, median, stdev

from mobiledeploy.device_tests.gate.decision import Verdict, judge
from mobiledeploy.device_tests.gate.series import quick
from mobiledeploy.device_tests.latency_run import LatencyRun, Launch
from mobiledeploy.device_tests.statistics import Interval

# Sessions that tell how much two of them differ by themselves.
LEAST_SESSIONS = 3
_STEPS = 100_001


def session_value(launches: Sequence[Launch]) -> float:
    """One session in one figure: median over its launches of their lower deciles, nanoseconds.

    Raises:
        ValueError: there is no launch with samples.
    """
    return median(quick(launch) for launch in launches)


def unlike_runs(one: LatencyRun, other: LatencyRun) -> tuple[str, ...]:
    """In what two sessions differ that changes latencies, other than their files; empty: in nothing seen."""
    return tuple(_unlike(one, other))


def _unlike(one: LatencyRun, other: LatencyRun) -> Iterator[str]:
    pairs = {
        "device": (one.device, other.device),
        "device's build": (one.facts.build, other.facts.build),
        "device's model": (one.facts.model, other.facts.model),
        "engine": (one.engine.name, other.engine.name),
        "engine's library": (one.engine.library_sha256, other.engine.library_sha256),
        "runner": (one.engine.runner_sha256, other.engine.runner_sha256),
        "delegate": (one.engine.delegate, other.engine.delegate),
        "threads": (one.threads, other.threads),
        "affinity": (one.affinity, other.affinity),
        "timing": (one.timing, other.timing),
        "clock": (one.clock, other.clock),
        "governor": (_governors(one), _governors(other)),
        "what was held": (sorted(one.controlled), sorted(other.controlled)),
        "power save": (one.before.power_save, other.before.power_save),
    }
    for name, (ours, theirs) in pairs.items():
        if ours != theirs:
            yield f"{name}: {_words(ours)} against {_words(theirs)}"


def compare_sessions(stored: Sequence[float], value: float, tolerance: float, error: float) -> Verdict:
    """Whether one more session is slower than stored ones by more than they differ among themselves.

    Prediction interval of one new observation (Hahn and Meeker 1991, *Statistical Intervals*, 4.4) on
    logarithms, which takes sessions to be independent and normally distributed: the new one's own
    spread is in it, but what has changed on the device since is not.

    Args:
        stored: of the baseline's sessions, nanoseconds; ``inconclusive`` with fewer than
            ``LEAST_SESSIONS``.
        value: of the candidate's, nanoseconds.
        tolerance: a share.
        error: on each side.
    """
    logs = [math.log(item) for item in stored]
    difference = math.log(value) - fmean(logs) if logs else math.nan
    if len(logs) < LEAST_SESSIONS:
        interval = Interval(-math.inf, math.inf)
    else:
        half = t_quantile(1 - error, len(logs) - 1) * stdev(logs) * math.sqrt(1 + 1 / len(logs))
        interval = Interval(math.expm1(difference - half), math.expm1(difference + half))
    word = judge(interval, tolerance)
    estimate = math.expm1(difference) if logs else None
    return Verdict(word, estimate, interval, tolerance, len(logs), 1, error)


def t_quantile(share: float, freedom: int) -> float:
    """Quantile of Student's distribution, to five digits for shares of 0.9 to 0.999.

    With x = sqrt(freedom) tan(a) the density is proportional to cos(a) ** (freedom - 1).

    Args:
        share: 0.5 to 1.
        freedom: degrees of it, at least 1.
    """
    import numpy as np

    angles = np.linspace(0.0, math.pi / 2, _STEPS)
    density = np.cos(angles) ** (freedom - 1)
    areas = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    angle = np.interp(2 * share - 1, areas / areas[-1], angles)
    return math.sqrt(freedom) * math.tan(float(angle))


def _governors(run: LatencyRun) -> tuple[str | None, ...]:
    return tuple(core.governor for core in run.before.cores if core.online)


def _words(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return str(value)
