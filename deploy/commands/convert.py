"""``mobiledeploy convert``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mobiledeploy.contract import TARGETS, InputDtype, Precision, Suppression, Target
from mobiledeploy.deploy.collector import collector_paused
from mobiledeploy.deploy.commands.inspect import to_data
from mobiledeploy.deploy.commands.options import (
    CalibrationOption,
    ClassNamesOption,
    Images,
    RecipeOption,
    Resolution,
    RuleOption,
    TaskOption,
    Weights,
    Width,
    comparison_images,
    read_recipe,
)
from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome
from mobiledeploy.deploy.progress import announcer
from mobiledeploy.deploy.stages import Stages
from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.deploy.budget import Budget
    from mobiledeploy.deploy.conversion import Conversion
    from mobiledeploy.quantize import QuantizationWarning

# Places that a summary of warnings names.
NAMED = 3
EXAMPLE = "mobiledeploy convert mobilenet_v2 --target tflite --target onnx -o build"


def _check_targets(given: list[str] | None) -> list[str] | None:
    for name in given or ():
        if name not in TARGETS:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(TARGETS)}.")
    return given


def convert(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="Zoo name, package.module:callable, timm:NAME, torchvision:NAME, a .pt2 or a checkpoint. "
            "Without it: MobileNetV2 with its ImageNet weights.",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            metavar="|".join(TARGETS),
            callback=_check_targets,
            help="Format of the file (default tflite); give it several times for several.",
        ),
    ] = None,
    precision: Annotated[
        Precision,
        typer.Option(
            "--precision",
            help="fp16 halves the weights; int8 and int16x8 (16-bit activations) want --calibration; "
            "int8-dynamic and int8-weights quantize weights alone.",
        ),
    ] = "fp32",
    weights: Weights = None,
    width: Width = None,
    resolution: Resolution = None,
    task: TaskOption = None,
    preprocessing: RuleOption = None,
    class_names: ClassNamesOption = None,
    input_dtype: Annotated[
        InputDtype | None,
        typer.Option(
            "--input-dtype",
            help="uint8: the file takes raw pixels and normalises inside; of a quantized TFLite file: codes.",
        ),
    ] = None,
    output_dtype: Annotated[
        InputDtype | None,
        typer.Option("--output-dtype", help="Of a quantized file; float32 keeps the last result in float."),
    ] = None,
    calibration: CalibrationOption = None,
    recipe: RecipeOption = None,
    tuning: Annotated[
        Path | None,
        typer.Option(
            "--tuning",
            metavar="DIR",
            help="Labelled images that the recipe's fine_tuning learns from, in place of what float says.",
        ),
    ] = None,
    tuning_labels: Annotated[
        Path | None, typer.Option("--tuning-labels", metavar="FILE", help="Theirs, as for train.")
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop",
            metavar="POINTS",
            help="Keep the layers that int8 hurts most in float until top-1 drops by no more than this.",
        ),
    ] = None,
    drop_images: Annotated[
        Path | None,
        typer.Option(
            "--drop-images",
            metavar="DIR",
            help="Labelled images for --max-drop; without: calibration images, and what float predicts.",
        ),
    ] = None,
    drop_labels: Annotated[
        Path | None,
        typer.Option("--drop-labels", metavar="CSV", help="File names and class indices."),
    ] = None,
    nms: Annotated[
        bool,
        typer.Option("--nms", help="Of a detector: the file decodes boxes and suppresses non-maxima itself."),
    ] = False,
    nms_threshold: Annotated[
        float | None, typer.Option("--nms-threshold", metavar="S", help="Least score (0.3).")
    ] = None,
    nms_overlap: Annotated[
        float | None,
        typer.Option("--nms-overlap", metavar="S", help="Largest overlap of two boxes of a class (0.6)."),
    ] = None,
    nms_largest: Annotated[
        int | None, typer.Option("--nms-largest", metavar="N", help="Objects that the file returns (100).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder, or the name of the one file."),
    ] = None,
    images: Images = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare the file with PyTorch.")
    ] = True,
    golden: Annotated[
        bool, typer.Option("--golden", help="Write golden inputs and outputs beside each file.")
    ] = False,
    as_json: JsonOption = False,
) -> Outcome:
    """Convert a trained model to files that are read back and compared with PyTorch.

    A file that differs beyond the tolerance is kept as NAME.rejected, and the command fails.
    """
    from mobiledeploy.deploy.budget import Drop
    from mobiledeploy.deploy.conversion import convert_all
    from mobiledeploy.deploy.sources import load_described
    from mobiledeploy.deploy.tuning import Tuning
    from mobiledeploy.deploy.wanted import file_stem
    from mobiledeploy.models import DEFAULT_MODEL

    suppression = _suppression(nms, threshold=nms_threshold, overlap=nms_overlap, largest=nms_largest)
    with announcer() as announce, collector_paused():
        stages = Stages(announce)
        chosen = comparison_images(images)
        with stages.stage("load", model or "the default model"):
            source = load_described(
                model,
                weights=weights,
                width=width,
                resolution=resolution,
                task=task,
                preprocessing=preprocessing,
                class_names=class_names,
            )
        conversions = convert_all(
            source,
            tuple(cast("list[Target]", target or ["tflite"])),
            name=file_stem(model or DEFAULT_MODEL, width=width, resolution=resolution),
            precision=precision,
            input_dtype=input_dtype,
            output_dtype=output_dtype,
            calibration=calibration,
            recipe=read_recipe(recipe),
            tuning=None if tuning is None else Tuning(tuning, tuning_labels),
            drop=None if max_drop is None else Drop(max_drop, drop_images, drop_labels),
            output=output,
            images=chosen,
            verify=verify,
            golden=golden,
            suppression=suppression,
            stages=stages,
        )
    data = {
        "model": source.provenance.model,
        "weights": source.provenance.weights,
        "budget": conversions[0].budget.to_json() if conversions[0].budget else None,
        "files": [_to_data(conversion) for conversion in conversions],
        "seconds": dict(stages.seconds),
    }
    return Outcome(data, lambda: _render(source.provenance.weights, conversions, stages), as_json)


def _suppression(asked: bool, **values: float | None) -> Suppression | None:
    given = {name: value for name, value in values.items() if value is not None}
    if not asked and given:
        raise InputError(
            f"--nms-{next(iter(given))} is for files that decode their own boxes", hint="Add --nms"
        )
    # The values have the types of the options.
    return Suppression(**given) if asked else None  # type: ignore[arg-type]


def _to_data(conversion: Conversion) -> dict[str, object]:
    report = conversion.verification
    return {
        **to_data(conversion.artifact),
        "verification": report.to_json() if report else None,
        "golden": str(conversion.golden) if conversion.golden else None,
        "warnings": [asdict(warning) for warning in conversion.warnings],
    }


def summarise(warnings: tuple[QuantizationWarning, ...]) -> list[tuple[str, str]]:
    """One row per kind of warning: the places, the first three by name, and what the first one says."""
    rows = []
    for name in dict.fromkeys(warning.name for warning in warnings):
        alike = [warning for warning in warnings if warning.name == name]
        places = ", ".join(warning.where for warning in alike[:NAMED])
        more = f" and {len(alike) - NAMED} more" if len(alike) > NAMED else ""
        rows.append((name, f"{places}{more}: {alike[0].message}"))
    return rows


def _budget_rows(budget: Budget | None) -> list[tuple[str, str]]:
    from mobiledeploy.deploy.commands.tables import size

    if budget is None:
        return []
    first, chosen = budget.trials[0], budget.chosen
    against = "labels" if budget.labelled else "float's predictions, of which the drop is at most as large"
    rows = [
        (
            "drop",
            f"{chosen.drop:+.2f} points ({chosen.low:+.2f} to {chosen.high:+.2f}) on {budget.images} images",
        ),
        ("measured", f"against {against}; {budget.max_drop:g} allowed"),
    ]
    if budget.latency is None:
        return rows
    slower = (
        f"{budget.latency.median:.2f} x the time ({budget.latency.low:.2f}-{budget.latency.high:.2f}) here"
    )
    return [
        *rows,
        ("in float", ", ".join(chosen.exempt)),
        ("all in int8", f"{first.drop:+.2f} points, {size(first.size)}"),
        ("cost", f"{size(chosen.size - first.size)} more, {slower}"),
    ]


def _render(weights: str, conversions: tuple[Conversion, ...], stages: Stages) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns, pairs, size

    rows = []
    for conversion in conversions:
        artifact, report = conversion.artifact, conversion.verification
        verdict = "not compared"
        if report:
            worst = max(report.outputs, key=lambda output: output.max_difference)
            verdict = f"{worst.max_difference:.1e} ({worst.tolerance:.1e})"
        rows.append((str(artifact.path), size(artifact.size), artifact.census.arithmetic, verdict))
    found = summarise(conversions[0].warnings)
    timing = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stages.seconds)
    contract = conversions[0].artifact.contract
    facts = [
        ("weights", weights),
        ("chosen", contract.provenance.choices if contract else ""),
        ("time", timing),
    ]
    return Group(
        columns(("file", "size", "arithmetic", "difference (allowed)"), rows),
        pairs([*facts, *found, *_budget_rows(conversions[0].budget)]),
    )
