"""A model becomes verified files: load, export once, then write, read back and compare each."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mobiledeploy.contract import (
    TARGETS,
    Contract,
    InputDtype,
    Precision,
    Preprocessing,
    Suppression,
    Target,
    Task,
)
from mobiledeploy.deploy.budget import Budget, Drop
from mobiledeploy.deploy.comparison import VerificationReport
from mobiledeploy.deploy.decoded import compare_decoded
from mobiledeploy.deploy.outputs import move_into_place, temporary_beside
from mobiledeploy.deploy.preparation import Budgeted, Prepared, prepare, write_file
from mobiledeploy.deploy.samples import Reference
from mobiledeploy.deploy.sources import as_source, path_of
from mobiledeploy.deploy.stages import Stages
from mobiledeploy.deploy.tuning import Tuning
from mobiledeploy.deploy.verification import compare
from mobiledeploy.deploy.wanted import Wanted, file_stem
from mobiledeploy.errors import InputError, OutputError, VerificationError
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import FORMATS, needs, open_session, read_artifact
from mobiledeploy.runtimes.session import Session
from mobiledeploy.source import SourceModel
from mobiledeploy.writing import writing

if TYPE_CHECKING:
    import torch

    from mobiledeploy.quantize import QuantizationWarning, Recipe


@dataclass(frozen=True, slots=True)
class Conversion:
    """One file and the proof that came with it.

    Attributes:
        artifact: the file, read back.
        verification: how it compares with its source; None if that was not asked for.
        golden: file with golden inputs and outputs, if asked for.
        warnings: what quantization found unusual about layers and calibration inputs.
        budget: which layers were kept in float, if a largest drop was asked for.
    """

    artifact: Artifact
    verification: VerificationReport | None
    golden: Path | None
    warnings: tuple[QuantizationWarning, ...] = ()
    budget: Budget | None = None


def convert(
    model: torch.nn.Module | str | SourceModel | None = None,
    *,
    target: Target = "tflite",
    precision: Precision = "fp32",
    input_dtype: InputDtype | None = None,
    output_dtype: InputDtype | None = None,
    calibration: str | Path | None = None,
    recipe: Recipe | None = None,
    tuning_images: str | Path | None = None,
    tuning_labels: str | Path | None = None,
    max_drop: float | None = None,
    drop_images: str | Path | None = None,
    drop_labels: str | Path | None = None,
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
    suppression: Suppression | None = None,
) -> Artifact:
    """Convert a model to one file that is read back and compared with PyTorch before it gets its name.

    Args:
        model: a reference (``mobilenet_v2``, ``package.module:callable``, ``timm:NAME``,
            ``torchvision:NAME``, a ``.pt2`` file), a module, a ``SourceModel``; None: MobileNetV2
            with its ImageNet weights.
        target: format of the file.
        precision: ``fp16`` halves the weights; ``int8`` quantizes them and all activations, ``int16x8``
            has activations of 16 bits; ``int8-dynamic`` and ``int8-weights`` quantize weights alone, with
            kernels that quantize their inputs as they run, and with reals.
        input_dtype: ``uint8`` makes a float file that takes raw pixels and normalises them inside.  An
            int8 TFLite file takes its int8 codes, or uint8 codes, or reals (``float32``).
        output_dtype: of a quantized TFLite file; ``float32`` keeps the last layer's result in float.
        calibration: folder of images that show the quantizer the model's activations, or ``none`` to
            take batch norm statistics instead; ``int8`` and ``int16x8`` want one of the two.
        recipe: how to quantize; None: the default recipe.
        tuning_images: labelled images that the recipe's ``fine_tuning`` learns from; None: the calibration
            images, with the float model's outputs.
        tuning_labels: theirs, as for ``train``; None: one folder per class.
        max_drop: largest loss of top-1 in percentage points: the layers that cost most stay float until
            the file's loss on ``drop_images`` is within it.
        drop_images: labelled images for ``max_drop``, one folder per class or any folder with
            ``drop_labels``; None: the calibration images, with the float file's predictions for labels.
        drop_labels: CSV of file names and class indices.
        weights: state dict for a reference, or ``random``.
        width: width multiplier of a reference that has one.
        resolution: input height and width of a reference, pixels.
        example_input: for a module: one tensor per input, batch 1, images as NCHW.
        task, preprocessing, labels: what the file shall say, in place of what the model says.
        output: file or folder; the current folder by default, under the model's name.
        images: real images to compare on, beside the seeded inputs.
        verify: compare with PyTorch.
        suppression: of a detector: the file decodes its boxes itself and returns ``largest`` of them.

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
        tuning=None if tuning_images is None else Tuning(Path(tuning_images), path_of(tuning_labels)),
        drop=None if max_drop is None else Drop(max_drop, drop_images, drop_labels),
        output=output,
        images=images,
        verify=verify,
        suppression=suppression,
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
    tuning: Tuning | None = None,
    drop: Drop | None = None,
    output: str | Path | None = None,
    images: Sequence[str | Path] = (),
    verify: bool = True,
    golden: bool = False,
    suppression: Suppression | None = None,
    stages: Stages | None = None,
) -> tuple[Conversion, ...]:
    """Export once, then write, read back and compare one file per target.

    Args:
        source: what to convert.
        targets: one file each.
        name: stem of the files where ``output`` is a folder.
        precision, input_dtype, output_dtype, calibration, recipe, output, images, verify, suppression: as for
            ``convert``.
        tuning: labelled images that fine-tuning learns from.
        drop: largest loss of top-1, measured on the first target's file.
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
    wanted.check(targets, calibration is not None, recipe is not None)
    if drop is not None:
        wanted.check_drop(drop, source)
    if suppression is not None and output_dtype not in (None, "float32"):
        raise InputError("decoded boxes are reals", hint="Leave --output-dtype out")
    suffix = wanted.suffix + ("_nms" if suppression else "")
    finals = plan_outputs(tuple(dict.fromkeys(targets)), name + suffix, output)
    step = None
    if suppression is not None:
        with needs("torch"):
            from mobiledeploy.models.suppression import objects_of
        step = objects_of(source, suppression)
    prepared = prepare(
        source,
        wanted,
        calibration=calibration,
        recipe=recipe,
        tuning=tuning,
        drop=None if drop is None else Budgeted(drop, targets[0]),
        images=[Path(image) for image in images],
        verify=verify,
        stages=stages,
    )
    if step and suppression:
        prepared = prepared.with_objects(step, suppression)
    return tuple(
        _convert_one(prepared, target, final, golden=golden, stages=stages)
        for target, final in finals.items()
    )


def _convert_one(
    prepared: Prepared, target: Target, final: Path, *, golden: bool, stages: Stages
) -> Conversion:
    with temporary_beside(final) as partial:
        with stages.stage("write", final.name), writing(final):
            contract = prepared.contract(target)
            write_file(prepared.program, contract, target, prepared.wanted.precision, partial)
        with stages.stage("read back", final.name):
            artifact = read_artifact(partial)
        report, golden_path = None, final.with_name(f"{final.name}.golden.npz") if golden else None
        if prepared.reference:
            with stages.stage("verify", final.name):
                session = open_session(partial)
                report = _compare(prepared, prepared.reference, artifact, session, contract, golden_path)
            del session
            if not report.passed:
                reject(partial, final, report)
            report = replace(report, path=final)
        move_into_place(partial, final)
    return Conversion(replace(artifact, path=final), report, golden_path, prepared.warnings, prepared.budget)


def _compare(
    prepared: Prepared,
    reference: Reference,
    artifact: Artifact,
    session: Session,
    contract: Contract,
    golden: Path | None,
) -> VerificationReport:
    if prepared.heads is None:
        return compare(artifact, session, reference, expected=contract, golden=golden)
    heads, target, precision = prepared.heads, artifact.target, prepared.wanted.precision
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / f"heads{FORMATS[target].suffix}"
        write_file(heads.program, heads.contract(target), target, precision, raw)
        return compare_decoded(
            artifact,
            session,
            read_artifact(raw),
            reference,
            expected=contract,
            precision=precision,
            golden=golden,
        )


def reject(partial: Path, final: Path, report: VerificationReport) -> NoReturn:
    """Keep a file that did not pass as ``NAME.rejected``.

    Raises:
        VerificationError: always; says how it differs.
    """
    rejected = final.with_name(f"{final.name}.rejected")
    move_into_place(partial, rejected)
    raise VerificationError(
        report.summary,
        where=str(final),
        hint=f"The file is kept as {rejected.name}, so that it can be looked into; do not ship it",
    )


def default_name(source: SourceModel, *, width: float | None = None, resolution: int | None = None) -> str:
    """Stem of the file for a model, see ``file_stem``."""
    return file_stem(source.provenance.model or "model", width=width, resolution=resolution)


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
