"""``mobiledeploy inspect``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.contract import Contract, TensorSpec
    from mobiledeploy.runtimes.census import Artifact

EXAMPLE = "mobiledeploy inspect mobilenet_v2.tflite"


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A TFLite, ONNX or Core ML file.")],
    as_json: JsonOption = False,
) -> Outcome:
    """Say what a model file holds, read from its own bytes; any file, not only ours."""
    from mobiledeploy.runtimes.formats import read_artifact

    artifact = read_artifact(file)
    return Outcome(to_data(artifact), lambda: _render(artifact), as_json)


def to_data(artifact: Artifact) -> dict[str, Any]:
    """An artifact as plain data for JSON."""
    contents, contract = artifact.contents, artifact.contract
    return {
        "path": str(artifact.path),
        "target": artifact.target,
        "sha256": artifact.sha256,
        "size": artifact.size,
        "producer": contents.producer,
        "inputs": [asdict(spec) for spec in contents.inputs],
        "outputs": [asdict(spec) for spec in contents.outputs],
        **asdict(artifact.census),
        "labels": list(contents.labels),
        "contract": asdict(contract) if contract else None,
    }


def _render(artifact: Artifact) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns, millions, pairs, size

    contents, census = artifact.contents, artifact.census
    tensors = [("input", spec) for spec in contents.inputs] + [("output", spec) for spec in contents.outputs]
    return Group(
        pairs(
            [
                ("file", str(artifact.path)),
                ("format", artifact.target),
                ("made by", contents.producer),
                ("size", f"{size(artifact.size)}, of it weights {size(census.weight_bytes)}"),
                ("sha256", artifact.sha256),
                ("arithmetic", census.arithmetic),
                ("mult-adds", millions(census.mult_adds)),
                ("parameters", millions(census.parameters)),
            ]
        ),
        columns(
            ("tensor", "name", "shape", "dtype", "layout", "scale", "zero point"),
            [(kind, *_cells(spec)) for kind, spec in tensors],
        ),
        columns(("op", "count"), [(kind, str(count)) for kind, count in census.ops]),
        columns(("dtypes of ops", "count"), [(kind or "none", str(count)) for kind, count in census.dtypes]),
        pairs(_contract_rows(artifact.contract), "contract"),
    )


def _cells(spec: TensorSpec) -> tuple[str, ...]:
    from mobiledeploy.deploy.commands.tables import shape

    scale = "" if spec.scale is None else f"{spec.scale:.6g}"
    zero = "" if spec.zero_point is None else str(spec.zero_point)
    return spec.name, shape(spec.shape), spec.dtype, spec.layout, scale, zero


def _recipe(text: str) -> str:
    """The steps that were taken, in one line."""
    import json

    try:
        values = dict(json.loads(text))
    except ValueError:
        return text
    return ", ".join(
        name if value is True else f"{name} {' '.join(value) if isinstance(value, list) else value}"
        for name, value in values.items()
        if value is not False and value != [] and (name != "percentile" or values.get("ranges") == name)
    )


def _contract_rows(contract: Contract | None) -> list[tuple[str, str]]:
    if contract is None:
        return [("none", "the file carries no contract of mobiledeploy")]
    made, rule = contract.provenance, contract.preprocessing
    rows = [("task", contract.task), ("model", made.model), ("weights", made.weights)]
    rows += [("licence", made.licence), ("tools", ", ".join(f"{name} {text}" for name, text in made.tools))]
    if made.recipe:
        rows += [("calibration", made.calibration or "none"), ("recipe", _recipe(made.recipe))]
        rows += [("chosen", made.choices)] if made.choices else []
    if rule:
        resize = f"short side to {rule.resize_to}, " if rule.resize == "short-side" else "stretch, "
        rows += [
            ("image", f"{resize}{rule.interpolation}, {rule.height}x{rule.width}, {rule.channels}"),
            ("mean", ", ".join(f"{value:g}" for value in rule.mean)),
            ("std", ", ".join(f"{value:g}" for value in rule.std)),
        ]
    if contract.labels:
        rows.append(("labels", f"{len(contract.labels)} ({', '.join(contract.labels[:3])}, ...)"))
    return rows
