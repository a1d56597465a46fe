"""Gates that a file alone answers, or its outputs."""

from __future__ import annotations

from mobiledeploy.device_tests.accuracy_run import AccuracyRun, paired
from mobiledeploy.device_tests.gate.limits import SIZE, Gate, show
from mobiledeploy.device_tests.gate.report import GateResult, Outcome
from mobiledeploy.runtimes.census import Artifact

FULL_INTEGER = frozenset({"full-integer", "int16x8"})


def file_result(gate: Gate, artifact: Artifact) -> GateResult:
    """Of ``max-size`` and ``full-integer``, read from the file: exact."""
    outcome: Outcome
    if gate.kind is SIZE:
        value = float(artifact.size)
        outcome = "pass" if value <= gate.limit else "fail"
        reason = f"{artifact.path.name} has {show(value, 'bytes')}"
    else:
        arithmetic = artifact.census.arithmetic
        value = float(arithmetic in FULL_INTEGER)
        outcome = "pass" if value else "fail"
        reason = f"{artifact.path.name} computes in {arithmetic}"
    return GateResult(
        gate.kind.name, gate.kind.unit, outcome, gate.limit, gate.source, value, value, value, reason
    )


def drop_result(gate: Gate, runs: tuple[AccuracyRun, AccuracyRun] | None) -> GateResult:
    """Of ``max-top1-drop``: by the 95% interval of the difference on the same images.

    Args:
        gate: in percentage points.
        runs: of the baseline and the candidate on the same images; None: they are the same bytes.
    """
    if runs is None:
        return GateResult(
            *(gate.kind.name, gate.kind.unit, "pass", gate.limit, gate.source),
            *(0.0, 0.0, 0.0, "both files are the same bytes"),
        )
    baseline, candidate = runs
    difference = paired(baseline, candidate)
    # A drop is what was lost.
    drop, low, high = -difference.points, -difference.interval.high, -difference.interval.low
    outcome: Outcome = "fail" if low > gate.limit else "pass" if high <= gate.limit else "inconclusive"
    unsound = [run.file for run in runs if run.host and not run.host.sound]
    reason = (
        f"drop {drop:+.2f} points ({low:+.2f} to {high:+.2f}, {candidate.images} images, "
        f"{difference.gained} gained, {difference.lost} lost)"
    )
    if unsound:
        outcome, reason = (
            "fail",
            f"{', '.join(unsound)} computes something else on the device than here; {reason}",
        )
    elif outcome == "inconclusive":
        reason += "; more images would tell"
    return GateResult(
        *(gate.kind.name, gate.kind.unit, outcome, gate.limit, gate.source),
        *(drop + 0.0, low + 0.0, high + 0.0, reason, candidate.images),
    )
