"""A model becomes verified files: load, export once, then write, read back and compare each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import (
    TARGETS,
    UNSIGNED_SHIFT,
    Contract,
    InputDtype,
    Precision,
    Preprocessing,
    Target,
    Task,
    TensorSpec,
)
from mobiledeploy.deploy.comparison import VerificationReport
from mobiledeploy.deploy.outputs import move_into_place, temporary_beside, writing
from mobiledeploy.deploy.samples import Reference, take_reference
from mobiledeploy.deploy.sources import as_source
from mobiledeploy.deploy.stages import Stages
from mobiledeploy.deploy.verification import compare
from mobiledeploy.errors import InputError, OutputError, VerificationError
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import FORMATS, needs, open_session, read_artifact
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

    from mobiledeploy.quantize import Recipe


@dataclass(frozen=True, slots=True)
class Conversion:
    """One file and the proof that came with it.

    Attributes:
        artifact: the file, read back.
        verification: how it compares with its source; None if that was not asked for.
        golden: file with golden inputs and outputs, if asked for.
    """

    artifact: Artifact
    verification: VerificationReport | None
    golden: Path | None


def convert(
    model: torch.nn.Module | str | SourceModel | None = None,
    *,
    target: Target = "tflite",
    precision: Precision = "fp32",
    input_dtype: InputDtype | None = None,
    output_dtype: InputDtype | None = None,
    calibration: str | Path | None = None,
    recipe: Recipe | None = None,
    weights: str | Path | None = None,
    width: float | None = None,
    resolution: int | None = None,
    example_input: torch.Tensor | tuple[torch.Tensor, ...] | None = None,
    task: Task | None = None,
    preprocessing: Preprocessing | None = None,
    labels: Sequence[str] | None = None,
    output: str | Path | None = None,
    images: Sequence[str | Path] = (),
    verify: bool = True,
) -> Artifact:
    """Convert a model to one file that is read back and compared with PyTorch before it gets its name.

    Args:
        model: a reference (``mobilenet_v2``, ``package.module:callable``, ``timm:NAME``,
            ``torchvision:NAME``, a ``.pt2`` file), a module, a ``SourceModel``; None: MobileNetV2
            with its ImageNet weights.
        target: format of the file.
        precision: ``fp16`` halves the weights; ``int8`` quantizes, and wants ``calibration``.
        input_dtype: ``uint8`` makes a float file that takes raw pixels and normalises them inside.  An
            int8 TFLite file takes its int8 codes, or uint8 codes, or reals (``float32``).
        output_dtype: of an int8 TFLite file; ``float32`` keeps the last layer's result in float.
        calibration: folder of images that show an int8 conversion the ranges of activations.
        recipe: how to quantize; None: the default recipe.
        weights: state dict for a reference, or ``random``.
        width: width multiplier of a reference that has one.
        resolution: input height and width of a reference, pixels.
        example_input: for a module: one tensor per input, batch 1, images as NCHW.
        task, preprocessing, labels: what the file shall say, in place of what the model says.
        output: file or folder; the current folder by default, under the model's name.
        images: real images to compare on, beside the seeded inputs.
        verify: compare with PyTorch.

    Returns:
        The file as it was read back.

    Raises:
        InputError: the model, its weights or an option is wrong.
        UnsupportedError: the target cannot express the model.
        VerificationError: the file differs from PyTorch; it is kept as ``NAME.rejected``.
        EnvironmentProblem: a package or weight file is not on this machine.
        OutputError: the file cannot be written.
    """
    source = as_source(
        model,
        weights=weights,
        width=width,
        resolution=resolution,
        example_input=example_input,
        task=task,
        preprocessing=preprocessing,
        labels=None if labels is None else tuple(labels),
    )
    name = default_name(source, width=width, resolution=resolution)
    conversions = convert_all(
        source,
        (target,),
        name=name,
        precision=precision,
        input_dtype=input_dtype,
        output_dtype=output_dtype,
        calibration=calibration,
        recipe=recipe,
        output=output,
        images=images,
        verify=verify,
    )
    return conversions[0].artifact


def convert_all(
    source: SourceModel,
    targets: Sequence[Target],
    *,
    name: str,
    precision: Precision = "fp32",
    input_dtype: InputDtype | None = None,
    output_dtype: InputDtype | None = None,
    calibration: str | Path | None = None,
    recipe: Recipe | None = None,
    output: str | Path | None = None,
    images: Sequence[str | Path] = (),
    verify: bool = True,
    golden: bool = False,
    stages: Stages | None = None,
) -> tuple[Conversion, ...]:
    """Export once, then write, read back and compare one file per target.

    Args:
        source: what to convert.
        targets: one file each.
        name: stem of the files where ``output`` is a folder.
        precision, input_dtype, output_dtype, calibration, recipe, output, images, verify: as for ``convert``.
        golden: write golden inputs and outputs beside each file.
        stages: stages to time and announce.

    Raises:
        As for ``convert``; files of earlier targets stay.
    """
    unknown = sorted(set(targets) - set(TARGETS))
    if unknown:
        raise InputError(f"no such target: {', '.join(unknown)}", hint=f"Targets are {', '.join(TARGETS)}")
    if golden and not verify:
        raise InputError("golden outputs come from the comparison", hint="Leave --no-verify out")
    stages = stages or Stages()
    wanted = Wanted(precision, input_dtype, output_dtype)
    wanted.check(targets, calibration)
    finals = plan_outputs(tuple(dict.fromkeys(targets)), name + wanted.suffix, output)
    with needs("torch"):
        from mobiledeploy.converters.export import export
        from mobiledeploy.converters.half_weights import round_to_half
        from mobiledeploy.converters.raw_pixels import raw_pixels
    if wanted.pixels_inside:
        source = raw_pixels(source)
    with stages.stage("export", source.provenance.model):
        program = export(source)
        if precision == "fp16":
            program = round_to_half(program, source.preprocessing)
    reference = None
    if calibration is not None:
        from mobiledeploy.deploy.quantization import to_int8

        with stages.stage("quantize", source.provenance.model), needs("torch"):
            int8 = to_int8(source, program, Path(calibration), wanted.recipe(recipe))
        program, reference = int8.program, int8.reference
        source = replace(source, provenance=int8.provenance)
    elif verify:
        with stages.stage("reference", source.provenance.model):
            reference = take_reference(source, [Path(image) for image in images])
    return tuple(
        _convert_one(
            source,
            program,
            target,
            final,
            wanted=wanted,
            reference=reference if verify else None,
            golden=golden,
            stages=stages,
        )
        for target, final in finals.items()
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """The arithmetic of the files, as the caller asked for it; None: as the precision has it."""

    precision: Precision
    input_dtype: InputDtype | None
    output_dtype: InputDtype | None

    @property
    def pixels_inside(self) -> bool:
        """Whether the file takes pixels and normalises them itself."""
        return self.precision != "int8" and self.input_dtype == "uint8"

    @property
    def suffix(self) -> str:
        """What the file's name says of it."""
        arithmetic = "" if self.precision == "fp32" else f"_{self.precision}"
        return arithmetic + ("_uint8" if self.input_dtype == "uint8" else "")

    def recipe(self, recipe: Recipe | None) -> Recipe:
        """The caller's recipe, or the default one for this output."""
        from mobiledeploy.quantize import Recipe as Default

        return recipe or Default(float_output=self.output_dtype == "float32")

    def check(self, targets: Sequence[Target], calibration: str | Path | None) -> None:
        """Refuse what does not go together.

        Raises:
            InputError: says which, and what to ask for.
        """
        if self.precision == "int8":
            if calibration is None:
                raise InputError(
                    "int8 needs images that show the range of each activation", hint="Give --calibration DIR"
                )
            codes = {self.input_dtype, self.output_dtype} & {"int8", "uint8"}
            if codes and set(targets) != {"tflite"}:
                raise InputError(
                    f"only TFLite files take or give {min(map(str, codes))} codes",
                    hint="ONNX and Core ML int8 files take and give float32: leave the dtypes out",
                )
        elif calibration is not None or self.output_dtype is not None or self.input_dtype == "int8":
            raise InputError(
                "calibration, an output dtype and an int8 input are for int8 files",
                hint="Add --precision int8, or leave them out",
            )

    def promise(self, contract: Contract) -> Contract:
        """The contract with the dtypes that were asked for where the file has codes."""
        return replace(
            contract,
            inputs=tuple(_in_dtype(spec, self.input_dtype) for spec in contract.inputs),
            outputs=tuple(_in_dtype(spec, self.output_dtype) for spec in contract.outputs),
        )


def _in_dtype(spec: TensorSpec, dtype: InputDtype | None) -> TensorSpec:
    if dtype is None or dtype == spec.dtype or spec.scale is None or spec.zero_point is None:
        return spec
    if dtype == "float32":
        return replace(spec, dtype=dtype, scale=None, zero_point=None)
    return replace(spec, dtype=dtype, zero_point=spec.zero_point + UNSIGNED_SHIFT)


def _convert_one(
    source: SourceModel,
    program: ExportedProgram,
    target: Target,
    final: Path,
    *,
    wanted: Wanted,
    reference: Reference | None,
    golden: bool,
    stages: Stages,
) -> Conversion:
    from mobiledeploy.converters import write
    from mobiledeploy.converters.describe import describe

    contract = wanted.promise(describe(source, program, target))
    with temporary_beside(final) as partial:
        with stages.stage("write", final.name), needs(target), writing(final):
            write(target, program, contract, wanted.precision, partial)
        with stages.stage("read back", final.name):
            artifact = read_artifact(partial)
        report, golden_path = None, final.with_name(f"{final.name}.golden.npz") if golden else None
        if reference:
            with stages.stage("verify", final.name):
                session = open_session(partial)
                report = compare(artifact, session, reference, expected=contract, golden=golden_path)
            del session
            if not report.passed:
                _reject(partial, final, report)
            report = replace(report, path=final)
        move_into_place(partial, final)
    return Conversion(replace(artifact, path=final), report, golden_path)


def _reject(partial: Path, final: Path, report: VerificationReport) -> None:
    rejected = final.with_name(f"{final.name}.rejected")
    move_into_place(partial, rejected)
    raise VerificationError(
        report.summary,
        where=str(final),
        hint=f"The file is kept as {rejected.name}, so that it can be looked into; do not ship it",
    )


def default_name(source: SourceModel, *, width: float | None = None, resolution: int | None = None) -> str:
    """Stem of the file for a model: its reference's last part, then what was chosen."""
    # A zoo name may be followed by its width in brackets.
    reference = source.provenance.model.partition(" (")[0] or "model"
    if reference.endswith(".pt2"):
        reference = Path(reference).stem
    stem = reference.rpartition(":")[2].rpartition("/")[2]
    chosen = [f"{value:g}" for value in (width, resolution) if value is not None]
    return "_".join([stem or "model", *chosen])


def plan_outputs(targets: Sequence[Target], name: str, output: str | Path | None) -> dict[Target, Path]:
    """Where each target's file goes.

    Raises:
        InputError: one file name for several targets, or a name that says another format.
        OutputError: the output is a file where a folder is needed.
    """
    place = Path() if output is None else Path(output)
    suffixes = {suffix: item.target for item in FORMATS.values() for suffix in item.suffixes}
    named = suffixes.get(place.suffix.lower())
    if named is None:
        if place.exists() and not place.is_dir():
            raise OutputError(
                "this is a file, not a folder", where=str(place), hint="Choose a folder with -o"
            )
        return {target: place / f"{name}{FORMATS[target].suffix}" for target in targets}
    if list(targets) != [named]:
        raise InputError(
            f"a {place.suffix} file cannot hold {' and '.join(targets)}",
            where=str(place),
            hint="Give a folder, or the name of one file in the target's format",
        )
    return {named: place}
