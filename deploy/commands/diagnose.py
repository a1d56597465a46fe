"""``mobiledeploy diagnose``."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mobiledeploy.deploy.collector import collector_paused
from mobiledeploy.deploy.commands.options import (
    CalibrationOption,
    HistoryOption,
    LabelOption,
    RecipeOption,
    Resolution,
    RuleOption,
    StoreOption,
    TaskOption,
    Weights,
    Width,
    read_recipe,
)
from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome
from mobiledeploy.deploy.commands.storing import store
from mobiledeploy.deploy.progress import announcer
from mobiledeploy.deploy.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from mobiledeploy.quantize import Diagnosis, LayerNoise

EXAMPLE = "mobiledeploy diagnose mobilenet_v2 --calibration photos --worst 10 --plot layers.svg"


def diagnose(
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="As for convert; without it: MobileNetV2."),
    ] = None,
    calibration: CalibrationOption = None,
    weights: Weights = None,
    width: Width = None,
    resolution: Resolution = None,
    task: TaskOption = None,
    preprocessing: RuleOption = None,
    recipe: RecipeOption = None,
    sort: Annotated[
        Literal["graph", "cost"], typer.Option("--sort", help="In the model's order, or the costliest first.")
    ] = "graph",
    worst: Annotated[
        int | None, typer.Option("--worst", metavar="N", min=1, help="Show only the N costliest layers.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the table to an .svg or .png file.")
    ] = None,
    store_found: StoreOption = True,
    label: LabelOption = None,
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Show which layers int8 hurts: signal to quantization noise in dB, higher is better.

    isolated: of the model's outputs with this layer alone in int8; weights, activations: with one of the
    two. cumulative: of the layer's own result, with everything before it in int8.
    """
    from mobiledeploy.deploy.layer_diagnosis import diagnose_source
    from mobiledeploy.deploy.layer_plot import plot as draw
    from mobiledeploy.deploy.pictures import check_picture
    from mobiledeploy.deploy.sources import load_described
    from mobiledeploy.device_tests.history.findings import diagnosis_finding

    if plot is not None:
        check_picture(plot)
    with announcer() as announce, collector_paused():
        stages = Stages(announce)
        chosen = read_recipe(recipe)
        with stages.stage("load", model or "the default model"):
            source = load_described(
                model,
                weights=weights,
                width=width,
                resolution=resolution,
                task=task,
                preprocessing=preprocessing,
            )
        found = diagnose_source(source, calibration, chosen, stages)
        if plot is not None:
            with stages.stage("plot", str(plot)):
                draw(found, f"{source.provenance.model}, layer by layer", plot)
    data = {
        "model": source.provenance.model,
        "weights": source.provenance.weights,
        "total": _number(found.total),
        "verdict": found.verdict,
        "equalisation": asdict(found.equalisation) if found.equalisation else None,
        "layers": [_to_data(row) for row in found.layers],
    }
    kept = [diagnosis_finding(data, source.provenance.weights_sha256)]
    ids, unstored = store(kept, history, label) if store_found else ([], "")
    told = {
        **data,
        "plot": None if plot is None else str(plot),
        "seconds": dict(stages.seconds),
        "history": {"ids": ids, "problem": unstored},
    }
    shown = _choose(found.layers, sort, worst)
    return Outcome(told, lambda: _render(found, shown, plot, stages, unstored), as_json)


def _choose(rows: Sequence[LayerNoise], sort: str, worst: int | None) -> list[LayerNoise]:
    """The costliest ones, if so many were asked for, in the order that was asked for."""
    by_cost = sorted(rows, key=lambda row: row.isolated)[:worst]
    return by_cost if sort == "cost" else [row for row in rows if any(row is kept for kept in by_cost)]


def _number(decibel: float) -> float | None:
    return decibel if math.isfinite(decibel) else None


def _to_data(row: LayerNoise) -> dict[str, Any]:
    return {
        name: _number(value) if isinstance(value, float) else value for name, value in asdict(row).items()
    }


def _render(
    found: Diagnosis, shown: Sequence[LayerNoise], plot: Path | None, stages: Stages, unstored: str
) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from mobiledeploy.deploy.commands.tables import columns, pairs

    heads = ("layer", "operation", "isolated", "weights", "activations", "cumulative")
    rows = [
        (
            row.module or "-",
            row.operation.removeprefix("aten.").partition(".")[0],
            *(
                _text(value)
                for value in (row.isolated, row.weights_only, row.activations_only, row.cumulative)
            ),
        )
        for row in shown
    ]
    left = len(found.layers) - len(shown)
    timing = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stages.seconds)
    chosen = str(found.equalisation or "")
    facts = [("not shown", f"{left} layers that cost less" if left else ""), ("plot", str(plot or ""))]
    return Group(
        Text("signal to quantization noise, dB", style="bold"),
        columns(heads, rows),
        pairs(
            [
                *facts,
                ("time", timing),
                ("chosen", chosen),
                ("verdict", found.verdict),
                ("not stored", unstored),
            ]
        ),
    )


def _text(decibel: float) -> str:
    return f"{decibel:.1f}" if math.isfinite(decibel) else "-"
