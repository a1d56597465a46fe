"""How small a regression a device can gate: the same file against itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.gate.decision import FIRST, LOOKS
from mobiledeploy.device_tests.gate.intervals import symmetric_interval
from mobiledeploy.device_tests.gate.limits import REGRESSION, Gate
from mobiledeploy.device_tests.gate.measuring import Announce, Setting, measure
from mobiledeploy.device_tests.gate.order import candidate_first
from mobiledeploy.device_tests.gate.series import Series, log_ratios
from mobiledeploy.device_tests.latency_run import LatencyRun, Launch
from mobiledeploy.runtimes.census import Artifact

if TYPE_CHECKING:
    import numpy as np

    from mobiledeploy.device_tests.history import History

# Finds the stored ones again.
LABEL = "gate-calibration"
# Share of gates that end with a verdict at the tolerance.
DECIDED = 0.95
RESAMPLES = 400
# Neighbouring pairs are drawn together.
CHUNK = 4
SEED = 1945
# Of the tolerance: nobody asks for finer.
STEP = 0.001
LATEST = 20


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a device can tell apart.

    Attributes:
        tolerance: a share: the smallest at which a file against itself passes in ``decided`` of all
            gates within half of the time; the other half confirms a red.
        detectable: the slowdown, a share, that is as surely beyond that tolerance.
        pairs: that were measured.
        pairs_in_time: that half of the time limit has room for.
        seconds_per_pair: device time.
        time_limit: of a gate, seconds.
        decided: share of gates.
        error: of a session on each side, where the truth is just at the tolerance.
        device, threads, affinity, engine, model: that it was measured with.
        run: id of the stored samples; empty: not stored.
    """

    tolerance: float
    detectable: float
    pairs: int
    pairs_in_time: int
    seconds_per_pair: float
    time_limit: float
    decided: float
    error: float
    device: str
    threads: int
    affinity: tuple[int, ...]
    engine: str
    model: str
    run: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def calibrated_gate(tolerance: float, run: str) -> Gate:
    """``max-regression`` with the tolerance that a stored calibration gave.

    Args:
        tolerance: a share.
        run: id of its samples.
    """
    return Gate(REGRESSION, tolerance, f"calibration {run[:8]}")


def measure_itself(
    reference: str, artifact: Artifact, setting: Setting, *, announce: Announce = lambda _: None
) -> tuple[Series, LatencyRun]:
    """A/A launches for as long as a gate may take, and all of them as one record for the history.

    Raises:
        DeviceError: the device cannot do it, throttles, or has too few launches in that time.
    """
    series = measure(
        reference,
        (artifact, artifact),
        setting,
        lambda arms, _: len(arms[0]) >= LOOKS[-1],
        seconds=setting.time_limit,
        announce=announce,
    )
    if series.error:
        raise series.error
    if series.trouble:
        raise DeviceError(
            f"nothing can be told from these runs ({'; '.join(series.trouble)})",
            where=reference,
            hint="Let it cool and rest, then calibrate again",
        )
    launches = sorted((launch for run in series.runs for launch in run.launches), key=lambda item: item.order)
    return series, replace(series.runs[0], launches=tuple(launches))


def calibration_from(run: LatencyRun, seconds_per_pair: float, time_limit: float) -> Calibration:
    """The calibration that a record of ``measure_itself`` holds; a pure function of its samples.

    Args:
        run: with launches of both arms by turns.
        seconds_per_pair: device time.
        time_limit: of the gates that it is for, seconds.

    Raises:
        DeviceError: the time has no room for a verdict.
    """
    ratios = _ratios(run.launches)
    room = min(int(time_limit / 2 / seconds_per_pair), LOOKS[-1])
    if room < LOOKS[0] or len(ratios) < LOOKS[0]:
        needed = 2 * LOOKS[0] * seconds_per_pair
        raise DeviceError(
            f"{len(ratios)} pairs of launches of {seconds_per_pair:.1f} s each are too few for a verdict",
            where=run.device,
            hint=f"Allow at least --time-limit {math.ceil(1.2 * needed)}s",
        )
    tolerance = math.ceil(smallest_tolerance(ratios, room) / STEP) * STEP
    return Calibration(
        tolerance=round(tolerance, 6),
        detectable=round((1 + tolerance) ** 2 - 1, 6),
        pairs=len(ratios),
        pairs_in_time=room,
        seconds_per_pair=seconds_per_pair,
        time_limit=time_limit,
        decided=DECIDED,
        error=FIRST.error,
        device=run.device,
        threads=run.threads,
        affinity=run.affinity,
        engine=run.engine.name,
        model=run.model.name,
    )


def smallest_tolerance(ratios: Sequence[float], room: int) -> float:
    """Share within which the interval of ``room`` pairs lies in ``DECIDED`` of all cases.

    Runs of neighbouring pairs are drawn with replacement (moving blocks, Kuensch 1989, Ann. Stat.
    17:1217), and the interval of a gate's look is taken of each draw.

    Args:
        ratios: logarithms by pair, of a file against itself.
        room: pairs of a gate.
    """
    import numpy as np

    random = np.random.default_rng(SEED)
    values = np.asarray(ratios, dtype=np.float64)
    reach = []
    for _ in range(RESAMPLES):
        interval = symmetric_interval(_draw(values, room, random).tolist(), FIRST.level)
        reach.append(max(-interval.low, interval.high))
    return math.expm1(float(np.quantile(reach, DECIDED)))


def seconds_per_pair(run: LatencyRun) -> float:
    """Device time of a pair as a stored record shows it: from the first launch's begin to the last's."""
    from datetime import datetime

    times = [datetime.fromisoformat(launch.started) for launch in run.launches]
    gaps = max(1, len(times) - 1)
    return max(1e-3, 2 * (max(times) - min(times)).total_seconds() / gaps)


def stored_calibration(
    history: History, device: str, setting: Setting, affinity: tuple[int, ...] | None = None
) -> Calibration | None:
    """The latest calibration of a device for these threads, cores and timing; None: there is none.

    Args:
        history: open.
        device: its reference.
        setting: of the gate.
        affinity: cores that ``setting`` means; None: taken from its text, ``all`` or a list.
    """
    from mobiledeploy.device_tests.affinity import ALL, choose_cores
    from mobiledeploy.device_tests.history import Filter

    rows = history.find(Filter(device=device, kind="latency", label=LABEL, last=LATEST))
    for row in reversed(rows):
        if row.device != device or row.threads != setting.threads:
            continue
        run = history.load(row.id)
        if not isinstance(run, LatencyRun) or run.timing != setting.timing:
            continue
        cores = affinity if affinity is not None else choose_cores(setting.affinity, run.facts.cores, device)
        if run.affinity != (cores if setting.affinity != ALL else ()):
            continue
        try:
            found = calibration_from(run, seconds_per_pair(run), setting.time_limit)
        except DeviceError:
            # Of no use for a limit this short.
            continue
        return replace(found, run=row.id)
    return None


def _ratios(launches: Sequence[Launch]) -> tuple[float, ...]:
    """The first arm over the second, whichever came first, of pairs that are whole."""
    by_order = {launch.order: launch for launch in launches}
    candidate, baseline = [], []
    for pair in range(max(by_order, default=-1) // 2 + 1):
        first, second = by_order.get(2 * pair), by_order.get(2 * pair + 1)
        if first and second:
            candidate.append(first if candidate_first(pair) else second)
            baseline.append(second if candidate_first(pair) else first)
    return log_ratios(candidate, baseline)


def _draw(values: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    import numpy as np

    length = min(CHUNK, len(values))
    starts = random.integers(len(values) - length + 1, size=math.ceil(count / length))
    drawn: np.ndarray = values[(starts[:, None] + np.arange(length)).ravel()[:count]]
    return drawn
