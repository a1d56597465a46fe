"""A diagnosis as a picture: a bar per layer, and how noise gathers along the model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.deploy.pictures import GRID, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mobiledeploy.quantize import Diagnosis, LayerNoise

# Bars whose figure is written beside them.
_MARKED = 3
_ROW, _MARGIN, _WIDTH = 0.19, 1.5, 9.0  # inches
_WEIGHTS, _RESULTS, _LINE = "#3569b2", "#f2a33a", "#222222"


def plot(diagnosis: Diagnosis, title: str, path: Path) -> None:
    """Draw each layer's isolated SQNR as a bar and the cumulative SQNR as a line, dB.

    A bar's parts are the shares that weights and result have in the layer's noise.  The same diagnosis
    gives the same bytes with the same matplotlib.

    Args:
        diagnosis: what to draw.
        title: first line above it.
        path: SVG or PNG file.

    Raises:
        InputError, EnvironmentProblem: see ``pictures.check_picture``.
        OutputError: the file cannot be written.
    """
    rows = diagnosis.layers
    height = _ROW * max(len(rows), 4) + _MARGIN
    with picture(path, _WIDTH, height) as figure:
        axes = figure.add_axes((0.27, 0.55 / height, 0.69, 1 - _MARGIN / height))
        _bars(axes, rows)
        _frame(axes, rows)
        figure.text(0.02, 1 - 0.25 / height, title, fontsize=11, fontweight="bold", va="center")
        subtitle = (
            f"{diagnosis.total:.1f} dB in all. Bars: the outputs with one layer alone in int8; "
            "short ones cost most. Line: each layer's result, int8 up to there."
        )
        figure.text(0.02, 1 - 0.5 / height, subtitle, va="center")
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(
            handles[1:] + handles[:1],
            labels[1:] + labels[:1],
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=3,
            frameon=False,
            borderaxespad=0.2,
            fontsize=8,
        )


def _bars(axes: Axes, rows: tuple[LayerNoise, ...]) -> None:
    places = range(len(rows))
    lengths = [_finite(row.isolated, 0.0) for row in rows]
    shares = [_weights_share(row) for row in rows]
    parts = [length * share for length, share in zip(lengths, shares, strict=True)]
    rest = [length - part for length, part in zip(lengths, parts, strict=True)]
    axes.barh(places, parts, height=0.72, color=_WEIGHTS, label="noise of its weights")
    axes.barh(places, rest, left=parts, height=0.72, color=_RESULTS, label="noise of its result")
    cumulative = [_finite(row.cumulative, math.nan) for row in rows]
    axes.plot(
        cumulative, list(places), color=_LINE, linewidth=1.1, marker="o", markersize=2.5, label="cumulative"
    )
    for index in sorted(places, key=lambda place: rows[place].isolated)[:_MARKED]:
        if math.isfinite(rows[index].isolated):
            axes.annotate(
                f"{lengths[index]:.1f}",
                (max(lengths[index], 0), index),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontweight="bold",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            )


def _frame(axes: Axes, rows: tuple[LayerNoise, ...]) -> None:
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.04)
    axes.set_xlabel("signal to quantization noise, dB")
    axes.grid(axis="x", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)


def _label(row: LayerNoise) -> str:
    """Path and kind: `features.0.0  conv2d`."""
    kind = row.operation.removeprefix("aten.").partition(".")[0]
    return f"{row.module}  {kind}" if row.module else kind


def _weights_share(row: LayerNoise) -> float:
    weights, result = (10 ** (-decibel / 10) for decibel in (row.weights_only, row.activations_only))
    return weights / (weights + result) if weights + result else 0.0


def _finite(value: float, otherwise: float) -> float:
    return value if math.isfinite(value) else otherwise
