"""``mobiledeploy init``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobiledeploy.deploy.commands.options import Resolution, Weights, Width
from mobiledeploy.deploy.commands.outcome import JsonOption, Lines, Outcome

if TYPE_CHECKING:
    from rich.console import RenderableType

EXAMPLE = "mobiledeploy init --model mobilenet_v1 --width 0.25 --weights v1.pth --calibration photos"


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of the project; made if it is not there.")
    ] = Path(),
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="As for convert; MobileNetV2 by default.")
    ] = None,
    weights: Weights = None,
    width: Width = None,
    resolution: Resolution = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", metavar="NAME", help="As for convert.")
    ] = None,
    calibration: Annotated[
        str | None, typer.Option("--calibration", metavar="DIR|none", help="As for convert.")
    ] = None,
    images: Annotated[
        str | None, typer.Option("--images", metavar="DIR", help="Labelled images, as for evaluate.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="CSV", help="File names and class indices.")
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option("--device", "-d", metavar="REF", help="As for benchmark.")
    ] = None,
    platform: Annotated[
        list[str] | None, typer.Option("--platform", metavar="NAME", help="As for package.")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of deploy.toml, and write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> Outcome:
    """Write a commented deploy.toml: a project, which `mobiledeploy run` deploys."""
    from mobiledeploy.deploy.project.creating import create
    from mobiledeploy.deploy.project.template import Beginning
    from mobiledeploy.models import DEFAULT_MODEL

    if schema:
        return _schema(as_json)
    beginning = Beginning(
        model=model or DEFAULT_MODEL,
        weights=weights,
        width=width,
        resolution=resolution,
        targets=target or ("tflite",),
        calibration=calibration,
        images=images,
        labels=labels,
        devices=device or (),
        platforms=platform or (),
    )
    file = create(folder, beginning)
    return Outcome({"file": str(file)}, lambda: _render(file), as_json)


def _schema(as_json: bool) -> Outcome:
    from mobiledeploy.deploy.project.schema import json_schema

    data: dict[str, Any] = json_schema()
    return Outcome(data, lambda: Lines([json.dumps(data, indent=2) + "\n"]), as_json)


def _render(file: Path) -> RenderableType:
    from mobiledeploy.deploy.commands.tables import pairs

    return pairs([("written", str(file)), ("next", "edit it, then: mobiledeploy run --dry-run")])
