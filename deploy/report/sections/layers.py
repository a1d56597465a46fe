"""What int8 costs in each layer, from diagnoses."""

from __future__ import annotations

from mobiledeploy.deploy.report.cells import figure, words
from mobiledeploy.deploy.report.given import DiagnosisFile, LayerError
from mobiledeploy.deploy.report.layout import Cell, Column, Plot, Section, Table
from mobiledeploy.deploy.report.story import Story
from mobiledeploy.deploy.report.vega import Spec, layer, rounded, spec, tooltip
from mobiledeploy.device_tests.errors import one_line

_LEAD = "Signal to quantization noise, dB: higher is better."
_MISSING = "No diagnosis among what is shown: mobiledeploy diagnose MODEL --calibration DIR stores one."
_NOTE = (
    "Bars: the outputs with this layer alone in int8; short ones cost most. Line: each layer's own result, "
    "int8 up to there."
)
_HEADS = (
    Column("layer"),
    Column("operation"),
    Column("isolated, dB", number=True),
    Column("weights, dB", number=True),
    Column("activations, dB", number=True),
    Column("cumulative, dB", number=True),
)


def tell(story: Story) -> Section:
    """A plot and a table for each diagnosis."""
    diagnoses = story.diagnoses
    if not diagnoses:
        return Section("layers", "Error by layer", _LEAD, notes=(_MISSING,))
    plots, tables, notes = [], [], []
    for count, found in enumerate(diagnoses, start=1):
        model = one_line(found.model)
        total = "" if found.total is None else f", {found.total:.1f} dB in all"
        plots.append(Plot(f"layers-{count}", f"{model}{total}", _NOTE, _draw(found)))
        rows = tuple(map(_row, found.layers))
        tables.append(Table(f"layers-{count}", f"Layers of {model}", _HEADS, rows))
        notes.append(f"{model}: {one_line(found.verdict)}")
    return Section("layers", "Error by layer", _LEAD, tuple(plots), tuple(tables), tuple(notes))


def _draw(found: DiagnosisFile) -> Spec:
    values = [
        {
            "row": f"{index:04}",
            "label": _label(item),
            "x": None if item.isolated is None else rounded(item.isolated),
            "cumulative": None if item.cumulative is None else rounded(item.cumulative),
            "weights": item.weights_only,
            "activations": item.activations_only,
        }
        for index, item in enumerate(found.layers)
    ]
    y = {
        "field": "row",
        "type": "ordinal",
        "axis": {
            "title": None,
            # The row's place stands for it: two layers may have one name.
            "labelExpr": "data('layers')[toNumber(datum.value)].label",
            "labelLimit": 150,
            "ticks": False,
            "domain": False,
        },
    }
    x = {"field": "x", "type": "quantitative", "title": "dB", "axis": {"tickCount": 5}}
    about = tooltip(
        label="layer",
        x="isolated, dB",
        weights="weights, dB",
        activations="activations, dB",
        cumulative="cumulative, dB",
    )
    line = {"x": {**x, "field": "cumulative"}, "y": y, "order": {"field": "row"}, "tooltip": about}
    whole = spec(
        values,
        [
            layer("bar", {"x": x, "y": y, "tooltip": about}, opacity=0.75, height={"band": 0.7}),
            layer(
                "line",
                line,
                style="strong",
                strokeWidth=1.2,
                point={"size": 18, "filled": True, "style": "strong"},
            ),
        ],
        height=17 * len(values),
    )
    whole["data"]["name"] = "layers"
    return whole


def _label(item: LayerError) -> str:
    kind = one_line(item.operation).removeprefix("aten.").partition(".")[0]
    return f"{one_line(item.module)} {kind}".strip()


def _row(item: LayerError) -> tuple[Cell, ...]:
    decibels = (item.isolated, item.weights_only, item.activations_only, item.cumulative)
    return (
        words(item.module or "-"),
        words(item.operation.removeprefix("aten.").partition(".")[0]),
        *(figure(value, "{:.1f}") for value in decibels),
    )
