"""A sweep from its grid to its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mobiledeploy.deploy.sweep.building import Built, build
from mobiledeploy.deploy.sweep.choice import Row
from mobiledeploy.deploy.sweep.grid import RANDOM, Grid
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.benchmark import Measured
from mobiledeploy.device_tests.plan import Plan
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import read_artifact
from mobiledeploy.writing import writing


@dataclass(frozen=True, slots=True)
class Data:
    """Images to evaluate on.

    Attributes:
        images, labels: as for ``evaluate``.
    """

    images: Path
    labels: Path | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """What came of it.

    Attributes:
        rows: one for each file and setting that was measured, in the order of the grid.
        accuracies: one for each file, if they were evaluated.
        errors: what went wrong with devices.
    """

    rows: tuple[Row, ...]
    accuracies: tuple[AccuracyRun, ...]
    errors: tuple[Measured, ...]


def sweep(
    grid: Grid,
    folder: Path,
    plan: Plan,
    measure: Callable[[Plan], Sequence[Measured]],
    *,
    calibration: Path | str | None = None,
    data: Data | None = None,
    scheduler: str | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> Sweep:
    """Convert the variants of a grid, evaluate them, measure them in one session a device.

    Args:
        grid: of variants.
        folder: for the files.
        plan: how to measure; its artifacts are filled in.
        measure: runs a plan, here or in a lab.
        calibration: images, or ``none``, for int8; not needed for untrained weights.
        data: to evaluate on; None: latency alone.
        scheduler: of a lab, whose cores convert; None: those of this host.
        announce: told what is done now.

    Raises:
        InputError: untrained weights and images to evaluate on, or int8 without calibration.
        MobileDeployError: a variant cannot be converted.
    """
    variants = grid.variants
    if data and grid.weights == RANDOM:
        raise InputError(
            "random weights have no accuracy to evaluate", hint="Give --weights, or leave --images out"
        )
    if grid.weights != RANDOM and calibration is None and {"int8", "int16x8"} & set(grid.precisions):
        raise InputError(
            "int8 of trained weights wants calibration images", hint="Pass --calibration DIR, or none"
        )
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    built: list[Built] = []
    announce(f"convert {len(variants)} files")
    for item in build(variants, folder, calibration, scheduler, announce):
        built.append(item)
        announce(f"converted {item.path.name}, {len(built)} of {len(variants)}")
    accuracies = tuple(_evaluate(built, data, announce)) if data else ()
    artifacts = tuple(read_artifact(item.path) for item in built)
    measured = measure(replace(plan, artifacts=artifacts))
    known = {artifact.sha256: item for artifact, item in zip(artifacts, built, strict=True)}
    scores = {run.sha256: run for run in accuracies}
    rows = tuple(
        Row(known[run.model.sha256], run, scores.get(run.model.sha256))
        for item in measured
        for run in item.runs
    )
    return Sweep(rows, accuracies, tuple(item for item in measured if item.error))


def _evaluate(built: Sequence[Built], data: Data, announce: Callable[[str], None]) -> list[AccuracyRun]:
    from mobiledeploy.deploy.evaluation import evaluate

    runs = []
    for item in built:
        announce(f"evaluate {item.path.name}")
        runs.append(evaluate(item.path, data.images, labels=data.labels))
    return runs
