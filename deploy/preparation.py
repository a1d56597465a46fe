"""From a source to what files of every target are written from, and compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import Contract, Precision, Suppression, Target
from mobiledeploy.deploy.budget import Budget, Drop, budget_images, keep_within
from mobiledeploy.deploy.samples import Reference, take_reference
from mobiledeploy.deploy.stages import Stages
from mobiledeploy.deploy.wanted import Wanted
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import FORMATS, needs
from mobiledeploy.source import SourceModel
from mobiledeploy.writing import writing

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.nn import Module

    from mobiledeploy.deploy.quantization import QuantizedProgram
    from mobiledeploy.deploy.tuning import Tuning
    from mobiledeploy.quantize import QuantizationWarning, Recipe


@dataclass(frozen=True)
class Prepared:
    """What files are written from.

    Attributes:
        source: what they are of, with how it was quantized in its provenance.
        program: float, or with Q/DQ.
        wanted: its arithmetic.
        reference: what they are compared with; None if that was not asked for.
        warnings: what quantization found unusual about layers and calibration inputs.
        budget: which layers were kept in float, if a largest drop was asked for.
        heads: of a detector that decodes its own boxes: the same with raw heads.
    """

    source: SourceModel
    program: ExportedProgram
    wanted: Wanted
    reference: Reference | None
    warnings: tuple[QuantizationWarning, ...] = ()
    budget: Budget | None = None
    heads: Prepared | None = None

    def with_objects(self, step: Module, suppression: Suppression) -> Prepared:
        """The same, decoding its own boxes.

        Args:
            step: from ``models.suppression.objects_of``.
            suppression: that the step does.
        """
        from mobiledeploy.converters.appended import append

        source = replace(self.source, anchors=None, suppression=suppression)
        return replace(self, source=source, program=append(self.program, step), heads=self)

    def contract(self, target: Target) -> Contract:
        """Of the file of one target."""
        from mobiledeploy.converters.describe import describe

        return self.wanted.promise(describe(self.source, self.program, target))


@dataclass(frozen=True, slots=True)
class Budgeted:
    """A largest drop, and the format of the files that it is measured on."""

    drop: Drop
    target: Target


def prepare(
    source: SourceModel,
    wanted: Wanted,
    *,
    calibration: str | Path | None = None,
    recipe: Recipe | None = None,
    tuning: Tuning | None = None,
    drop: Budgeted | None = None,
    images: Sequence[Path] = (),
    verify: bool = True,
    stages: Stages,
) -> Prepared:
    """Export and, if that is wanted, quantize.

    Args:
        source: what is converted.
        wanted: the arithmetic; checked.
        calibration, recipe, images, verify: as for ``convert``.
        tuning: labelled images that fine-tuning learns from.
        drop: largest loss of top-1.
        stages: stages to time and announce.

    Raises:
        InputError: the model, the calibration or the recipe is wrong.
        VerificationError: quantized, it has lost what it knew, or the largest drop cannot be kept.
    """
    with needs("torch"):
        from mobiledeploy.converters.export import export
        from mobiledeploy.converters.half_weights import round_to_half
        from mobiledeploy.converters.raw_pixels import raw_pixels
    if wanted.pixels_inside:
        source = raw_pixels(source)
    with stages.stage("export", source.provenance.model):
        program = export(source)
        if wanted.precision == "fp16":
            program = round_to_half(program, source.preprocessing)
    if wanted.is_quantized:
        float_one = Prepared(source, program, wanted, None)
        chosen = wanted.recipe(recipe, source, calibration is not None)
        if tuning is not None and not chosen.fine_tuning:
            raise InputError(
                "labelled images are for fine-tuning, and the recipe has none",
                where=str(tuning.images),
                hint="Add --recipe '{\"fine_tuning\": 3}', the number of epochs",
            )
        with needs("torch"):
            quantized, budget = _quantize(float_one, calibration, chosen, tuning, drop, stages)
        quantized.refuse_nonsense()
        return Prepared(
            replace(source, provenance=quantized.provenance),
            quantized.program,
            wanted,
            quantized.reference if verify else None,
            quantized.warnings,
            budget,
        )
    if not verify:
        return Prepared(source, program, wanted, None)
    with stages.stage("reference", source.provenance.model):
        return Prepared(source, program, wanted, take_reference(source, images))


def write_file(
    program: ExportedProgram, contract: Contract, target: Target, precision: Precision, path: Path
) -> None:
    """Write a program as a file; see ``converters.write``.

    Raises:
        RefusedError, UnsupportedError: the target cannot express it.
        EnvironmentProblem: a package of the target is not installed.
    """
    from mobiledeploy.converters import write

    with needs(target):
        write(target, program, contract, precision, path)


def _quantize(
    float_one: Prepared,
    calibration: str | Path | None,
    recipe: Recipe,
    tuning: Tuning | None,
    drop: Budgeted | None,
    stages: Stages,
) -> tuple[QuantizedProgram, Budget | None]:
    from mobiledeploy.deploy.calibration import calibration_for
    from mobiledeploy.deploy.evaluation import need_top1
    from mobiledeploy.deploy.quantization import Quantizer
    from mobiledeploy.deploy.tuning import lesson_for

    source, program = float_one.source, float_one.program
    if drop is not None and source.task != "geolocation":
        # A place is a class: the cell that scores best.
        need_top1(source.task, "--max-drop", source.provenance.model)
    shown = None if drop is None else budget_images(drop.drop, calibration, source.labels)
    with stages.stage("calibrate", source.provenance.model):
        inputs = calibration_for(source, program, calibration, stages.progress("calibration inputs"))
        lesson = None if tuning is None else lesson_for(source, tuning)
    learning = stages.progress("fine-tuning step")
    quantizer = Quantizer(source, program, inputs, float_one.wanted.precision, lesson, learning)
    with stages.stage("quantize", source.provenance.model):
        if drop is None or shown is None:
            return quantizer.quantize(recipe), None
        write = _ScratchWriter(float_one, drop.target)
        return keep_within(
            drop.drop.points, shown, recipe, quantizer=quantizer, write=write, announce=stages.announce
        )


@dataclass(frozen=True)
class _ScratchWriter:
    """Writes files that are measured and thrown away."""

    float_one: Prepared
    target: Target

    def __call__(self, quantized: QuantizedProgram | None, folder: Path) -> Path:
        """Write a quantized program, or the float one, into a folder."""
        if quantized:
            made = replace(self.float_one, program=quantized.program)
        else:
            made = replace(self.float_one, wanted=Wanted("fp32"))
        path = folder / f"model{FORMATS[self.target].suffix}"
        with writing(path):
            write_file(made.program, made.contract(self.target), self.target, made.wanted.precision, path)
        return path
