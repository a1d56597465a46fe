"""``mobiledeploy models``, ``models cost`` and ``models paper``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobiledeploy.deploy.commands import paper
from mobiledeploy.deploy.commands.options import Resolution, Weights, Width
from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.layer_cost import Cost
    from mobiledeploy.models import Listing

HELP = "The models that are known by name, and whether their weights are on this machine; what models cost."
EXAMPLE = "mobiledeploy models"
COST_EXAMPLE = "mobiledeploy models cost mobilenet_v1 --width 0.5 --resolution 160 --table"


def models(context: typer.Context, as_json: JsonOption = False) -> Outcome:  # noqa: ARG001 (see cli)
    """List the models that are known by name, and whether their weights are on this machine."""
    from mobiledeploy.models import DEFAULT_MODEL, catalogue

    listings = catalogue()
    data = {"default": DEFAULT_MODEL, "models": [asdict(item) for item in listings]}
    return Outcome(data, lambda: _render(listings, DEFAULT_MODEL), as_json)


def cost(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL|FILE",
            help="A model as for convert, or a TFLite, ONNX or Core ML file. Without it: MobileNetV2.",
        ),
    ] = None,
    weights: Weights = None,
    width: Width = None,
    resolution: Resolution = None,
    table: Annotated[bool, typer.Option("--table", help="Every layer, too.")] = False,
    as_json: JsonOption = False,
) -> Outcome:
    """Count mult-adds and parameters by type of layer, from the exported graph or a file's operations."""
    from mobiledeploy.deploy.costing import cost_of

    found = cost_of(model, weights=weights, width=width, resolution=resolution)
    return Outcome(_cost_data(found), lambda: _render_cost(found, table), as_json)


COMMANDS = (("cost", cost, COST_EXAMPLE), ("paper", paper.paper, paper.EXAMPLE))


def _render(listings: tuple[Listing, ...], default: str) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns

    rows = [
        (
            f"{item.name} (default)" if item.name == default else item.name,
            item.description,
            "" if item.top1 is None else f"{item.top1:.1f}",
            _availability(item),
        )
        for item in listings
    ]
    return Group(columns(("model", "what it is", "top-1 %", "weights"), rows))


def _availability(item: Listing) -> str:
    if item.local:
        return "on this machine"
    return "downloaded when used" if item.weights else "give --weights"


def _cost_data(found: Cost) -> dict[str, Any]:
    return {
        "mult_adds": found.mult_adds,
        "parameters": found.parameters,
        "types": [{**asdict(kind), "parameters": kind.parameters} for kind in found.kinds],
        "layers": [{**asdict(layer), "parameters": layer.parameters} for layer in found.layers],
    }


def _render_cost(found: Cost, table: bool) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns, millions, pairs, percent

    kinds = [
        (
            kind.kind,
            str(kind.layers),
            millions(kind.mult_adds),
            percent(kind.mult_adds, found.mult_adds),
            millions(kind.parameters),
            percent(kind.parameters, found.parameters),
        )
        for kind in found.kinds
    ]
    layers = [
        (layer.name, layer.kind, f"{layer.mult_adds:,}", f"{layer.weights:,}", f"{layer.biases:,}")
        for layer in found.layers
    ]
    totals = [("mult-adds", millions(found.mult_adds)), ("parameters", millions(found.parameters))]
    parts = [pairs(totals), columns(("type", "layers", "mult-adds", "", "parameters", ""), kinds)]
    if table:
        parts.append(columns(("layer", "type", "mult-adds", "weights", "biases"), layers))
    return Group(*parts)
