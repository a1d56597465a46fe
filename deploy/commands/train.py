"""``mobiledeploy train``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mobiledeploy.deploy.commands.options import ClassNamesOption, Resolution, RuleOption, TaskOption, Width
from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome
from mobiledeploy.deploy.progress import counter, journal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.models.training.train import TrainingResult

EXAMPLE = "mobiledeploy train mobilenet_v1 --width 0.5 --data photos -o runs/photos"


def train(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Zoo name, package.module:callable, timm:NAME or torchvision:NAME."
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="DIR",
            help="One folder per class, or any folder with --labels; with --teacher any folder of images.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder of the run; the same command goes on there."
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="FILE", help="CSV, or COCO's JSON for detectors (see docs/evaluate.md)."
        ),
    ] = None,
    validation: Annotated[
        Path | None, typer.Option("--validation", metavar="DIR", help="Images that the model is judged by.")
    ] = None,
    validation_labels: Annotated[
        Path | None, typer.Option("--validation-labels", metavar="FILE", help="Theirs.")
    ] = None,
    validation_share: Annotated[
        float,
        typer.Option(
            "--validation-share",
            metavar="SHARE",
            min=0,
            max=0.9,
            help="Without --validation: of the images, kept apart for it.",
        ),
    ] = 0.1,
    class_names: ClassNamesOption = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            metavar="MODEL",
            help="Learn what this model says; labels are not read.",
        ),
    ] = None,
    teacher_weights: Annotated[
        str | None, typer.Option("--teacher-weights", metavar="FILE", help="State dict of the teacher.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", metavar="FILE", help="State dict to begin with; another head begins anew."),
    ] = None,
    width: Width = None,
    resolution: Resolution = None,
    task: TaskOption = None,
    preprocessing: RuleOption = None,
    recipe: Annotated[
        Literal["paper", "modern"],
        typer.Option("--recipe", help="Settings to start from: the paper's, or those of later MobileNets."),
    ] = "paper",
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Not as the recipe.")] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", metavar="N", help="Not as the recipe.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", metavar="RATE", help="Not as the recipe.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Of all that is drawn.")] = None,
    settings: Annotated[
        str | None,
        typer.Option("--settings", metavar="JSON", help='Any of the recipe\'s fields, like {"ema": 0.999}.'),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="cpu|cuda", help="CUDA where torch has it, by default.")
    ] = "auto",
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Threads that decode images; all cores by default.")
    ] = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Train a model, or distil it from a teacher; checkpoints go on through convert."""
    from mobiledeploy.deploy.training import train as run
    from mobiledeploy.models.training.settings import make_settings, read_changes

    given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    chosen = {name: value for name, value in given.items() if value is not None}
    with counter("look at images") as checked, journal("train") as (step, say):
        trained = run(
            model,
            data,
            output,
            labels=labels,
            validation=validation,
            validation_labels=validation_labels,
            validation_share=validation_share,
            class_names=class_names,
            teacher=teacher,
            teacher_weights=teacher_weights,
            weights=weights,
            width=width,
            resolution=resolution,
            task=task,
            preprocessing=preprocessing,
            settings=make_settings(recipe, read_changes(settings or "{}"), chosen),
            device=device,
            workers=workers,
            checked=checked,
            step=step,
            said=say,
        )
    return Outcome(_to_data(trained), lambda: _render(trained), as_json)


def _to_data(trained: TrainingResult) -> dict[str, Any]:
    return {
        "model": str(trained.model),
        "last": str(trained.last),
        "images": {"training": trained.images[0], "validation": trained.images[1]},
        "figure": trained.figure,
        "resumed": trained.resumed,
        "best": asdict(trained.best),
        "epochs": [asdict(epoch) for epoch in trained.epochs],
    }


def _render(trained: TrainingResult) -> RenderableType:
    from mobiledeploy.deploy.commands.tables import pairs

    best, (training, validation) = trained.best, trained.images
    judged = ["no images were kept apart"]
    if validation:
        right = "" if best.validation is None else f"{trained.figure} {100 * best.validation:.1f}%"
        judged = [right, f"loss {best.validation_loss:.4g}", f"{validation} images"]
    earlier = f"after {trained.resumed} epochs of an earlier session" if trained.resumed else ""
    return pairs(
        [
            ("model", str(trained.model)),
            ("from", f"epoch {best.epoch} of {len(trained.epochs)}"),
            ("validation", ", ".join(filter(None, judged))),
            ("trained on", f"{training} images"),
            ("went on", earlier),
            ("next", f"mobiledeploy convert {trained.model} --target tflite"),
        ]
    )
