"""Keeping the layers float that int8 hurts most, until the measured drop is within a budget."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.deploy.quantization import QuantizedProgram, Quantizer
from mobiledeploy.deploy.side_by_side import Ratio, latency_ratio
from mobiledeploy.deploy.sources import path_of
from mobiledeploy.device_tests.accuracy import AccuracyRun, evaluate_sessions, paired
from mobiledeploy.errors import InputError, VerificationError
from mobiledeploy.images import LabelledImage
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import open_session, read_artifact

if TYPE_CHECKING:
    from mobiledeploy.quantize import Diagnosis, Recipe

# Writes a file from a float program (None) or a quantized one, into a folder.
Writer = Callable[[QuantizedProgram | None, Path], Path]


@dataclass(frozen=True, slots=True)
class Trial:
    """One file on the budget's images.

    Attributes:
        exempt: module paths of the layers that stayed float.
        drop: top-1 lost against the float file, percentage points; below 0 where int8 is better.
        low, high: its 95% interval.
        agreement: share of images with the float file's prediction, 0..1.
        size: of the file, bytes.
    """

    exempt: tuple[str, ...]
    drop: float
    low: float
    high: float
    agreement: float
    size: int


@dataclass(frozen=True, slots=True)
class Budget:
    """How a file came to keep its drop within a budget.

    Attributes:
        max_drop: the budget, percentage points.
        images: on which it was measured.
        labelled: whether against labels; else against the float file's predictions, of which the drop
            in accuracy is at most as large.
        trials: in the order they were made.
        chosen: the one that was kept.
        latency: of the chosen file over the one with every layer in int8, on this host; None if they
            are the same.
    """

    max_drop: float
    images: int
    labelled: bool
    trials: tuple[Trial, ...]
    chosen: Trial
    latency: Ratio | None

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BudgetImages:
    """Labelled images that a drop is measured on, or images without labels."""

    images: tuple[LabelledImage[int], ...]
    labelled: bool


def keep_within(
    max_drop: float,
    shown: BudgetImages,
    recipe: Recipe,
    *,
    quantizer: Quantizer,
    write: Writer,
    announce: Callable[[str], None],
) -> tuple[QuantizedProgram, Budget]:
    """Exempt the worst layers by diagnosis: 0, 1, 2, 4 ... of them, then fewer again while the drop allows.

    Args:
        max_drop: percentage points of top-1.
        shown: images that the drop is measured on.
        recipe: to begin with; its exempt layers stay so.
        quantizer: makes a program by a recipe.
        write: a file from a program.
        announce: says what is being done.

    Raises:
        VerificationError: the budget does not hold even with every layer in float.
        InputError: the images do not fit the model.
    """
    with tempfile.TemporaryDirectory() as scratch:
        trials = _Trials(Path(scratch), shown, recipe, quantizer, write, announce)
        program, trial = trials.make(())
        if trial.drop > max_drop:
            announce("find the layers that cost most")
            program, trial = _search(max_drop, trials, _by_cost(quantizer.diagnose(program.recipe)))
        latency = trials.latency_of(trial)
        made = tuple(trials.files)
        return program, Budget(max_drop, len(shown.images), shown.labelled, made, trial, latency)


def _search(max_drop: float, trials: _Trials, worst: Sequence[str]) -> tuple[QuantizedProgram, Trial]:
    failed, count = 0, 1
    while True:
        count = min(count, len(worst))
        program, trial = trials.make(tuple(worst[:count]))
        if trial.drop <= max_drop:
            break
        if count == len(worst):
            raise VerificationError(
                f"the drop is {trial.drop:.2f} points with every layer in float, {max_drop:g} are allowed",
                where="--max-drop",
                hint="Allow more, or calibrate on images that are like those it is measured on",
            )
        failed, count = count, 2 * count
    while count - failed > 1:
        middle = (failed + count) // 2
        other, tried = trials.make(tuple(worst[:middle]))
        if tried.drop <= max_drop:
            count, program, trial = middle, other, tried
        else:
            failed = middle
    return program, trial


def _by_cost(diagnosis: Diagnosis) -> list[str]:
    """Paths of the layers, the costliest first.

    What a layer in float saves is the noise of its weights: its result is rounded again for int8 readers.
    """
    layers = [row for row in diagnosis.layers if row.module and math.isfinite(row.weights_only)]
    return list(dict.fromkeys(row.module for row in sorted(layers, key=lambda row: row.weights_only)))


class _Trials:
    """Files made so far, measured against the float one."""

    def __init__(
        self,
        folder: Path,
        shown: BudgetImages,
        recipe: Recipe,
        quantizer: Quantizer,
        write: Writer,
        announce: Callable[[str], None],
    ) -> None:
        self._folder, self._recipe, self._choices = folder, recipe, ""
        self._quantizer, self._write, self._announce = quantizer, write, announce
        announce("measure the float file")
        images = shown.images
        exact = _evaluate(read_artifact(write(None, self._place("float"))), images)
        if not shown.labelled:
            exact = _own_labels(exact)
            pairs = zip(images, exact.classified, strict=True)
            images = tuple(replace(image, label=prediction.label) for image, prediction in pairs)
        self._images, self._exact = images, exact
        # In the order they were made, the one with nothing exempt first.
        self.files: dict[Trial, Path] = {}

    def make(self, exempt: tuple[str, ...]) -> tuple[QuantizedProgram, Trial]:
        """Quantize without some layers, write and measure."""
        self._announce(f"quantize with {len(exempt)} layers in float")
        recipe = replace(self._recipe, exempt=(*self._recipe.exempt, *exempt))
        program = self._with_choices(self._quantizer.quantize(recipe))
        artifact = read_artifact(self._write(program, self._place(str(len(exempt)))))
        difference = paired(self._exact, _evaluate(artifact, self._images))
        trial = Trial(
            recipe.exempt,
            0.0 - difference.points,
            0.0 - difference.interval.high,
            0.0 - difference.interval.low,
            difference.agreement,
            artifact.size,
        )
        self.files[trial] = artifact.path
        self._announce(f"{len(exempt)} layers in float: drop {trial.drop:+.2f} points, {trial.size} bytes")
        return program, trial

    def _with_choices(self, program: QuantizedProgram) -> QuantizedProgram:
        """What the first file's recipe chose holds for all: they differ by their exempt layers alone."""
        if not self.files:
            self._recipe, self._choices = program.recipe, program.provenance.choices
        return replace(program, provenance=replace(program.provenance, choices=self._choices))

    def latency_of(self, trial: Trial) -> Ratio | None:
        """Of a trial's file over the one with nothing exempt."""
        first = next(iter(self.files))
        if trial == first:
            return None
        self._announce("compare latencies")
        return latency_ratio(self.files[trial], self.files[first])

    def _place(self, name: str) -> Path:
        place = self._folder / name
        place.mkdir()
        return place


def _evaluate(artifact: Artifact, images: tuple[LabelledImage[int], ...]) -> AccuracyRun:
    return evaluate_sessions(artifact, lambda: open_session(artifact.path, threads=1), images)


def _own_labels(run: AccuracyRun) -> AccuracyRun:
    """The run with its own predictions for labels."""
    return replace(run, predictions=tuple(replace(each, label=each.classes[0]) for each in run.classified))


@dataclass(frozen=True, slots=True)
class Drop:
    """The largest loss of top-1 that is allowed, and what it is measured on.

    Attributes:
        points: percentage points.
        images: labelled images, one folder per class or any folder with ``labels``; None: the
            calibration images.
        labels: CSV of file names and class indices.
    """

    points: float
    images: str | Path | None = None
    labels: str | Path | None = None


def budget_images(drop: Drop, calibration: str | Path | None, class_names: Sequence[str]) -> BudgetImages:
    """Labelled images of a folder; without one, the calibration images.

    Raises:
        InputError: no images to measure on, or labels that do not fit.
    """
    from mobiledeploy.deploy.calibration import NO_DATA, choose_images
    from mobiledeploy.truth.classes import list_images

    if drop.images is not None:
        csv = path_of(drop.labels)
        return BudgetImages(list_images(Path(drop.images), csv, class_names=class_names), labelled=True)
    if calibration is None or str(calibration) == NO_DATA:
        raise InputError(
            "there is nothing to measure the drop on",
            where="--max-drop",
            hint="Give --drop-images DIR with labelled images, or --calibration DIR",
        )
    chosen = choose_images(Path(calibration))
    return BudgetImages(tuple(LabelledImage(path, 0, path.name) for path in chosen), labelled=False)
