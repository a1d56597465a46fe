"""What a sweep found, as a picture: the form of the paper's Figure 4, and what it costs on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.deploy.front import pareto_front
from mobiledeploy.deploy.pictures import GRID, TEXT, picture
from mobiledeploy.deploy.sweep.choice import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, one per resolution, and a form for each precision.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKS = "os^Dv<>"
_WIDTH, _HEIGHT = 9.0, 3.9  # inches


def plot(rows: Sequence[Row], path: Path) -> None:
    """Latency against mult-adds, and, where files were evaluated, accuracy against both, with the front.

    Args:
        rows: of one device and thread count.
        path: SVG or PNG file.

    Raises:
        InputError, EnvironmentProblem: see ``pictures.check_picture``.
        OutputError: the file cannot be written.
    """
    scored = [row for row in rows if row.accuracy]
    metric = f"{scored[0].metric}, %" if scored else ""
    panels = 1 if not scored else 3
    with picture(path, _WIDTH if scored else _WIDTH / 2, _HEIGHT) as figure:
        axes = figure.subplots(1, panels, squeeze=False)[0]
        _draw(axes[0], rows, rows, _mult_adds, _latency)
        axes[0].set_yscale("log")
        _label(axes[0], "million mult-adds, counted", "median, ms")
        if scored:
            _draw(axes[1], rows, scored, _mult_adds, _worth)
            _label(axes[1], "million mult-adds, counted", metric)
            _draw(axes[2], rows, scored, _latency, _worth)
            _label(axes[2], "median, ms", metric)
        for chosen, x in zip(axes[1:], (_mult_adds, _latency), strict=False):
            points = [(x(row), _worth(row)) for row in scored]
            steps = [points[place] for place in pareto_front(points)]
            chosen.plot(*zip(*steps, strict=True), color=TEXT, linewidth=0.7, zorder=1)
        axes[0].legend(frameon=False, fontsize=7)
        figure.tight_layout()


def _mult_adds(row: Row) -> float:
    return row.built.mult_adds / 1e6


def _latency(row: Row) -> float:
    return row.latency.summary.median / 1e6


def _worth(row: Row) -> float:
    return 100 * row.worth


def _draw(
    axes: Axes,
    everything: Sequence[Row],
    rows: Sequence[Row],
    x: Callable[[Row], float],
    y: Callable[[Row], float],
) -> None:
    resolutions = list(dict.fromkeys(row.built.variant.resolution for row in everything))
    precisions = list(dict.fromkeys(row.built.variant.precision for row in everything))
    for index, resolution in enumerate(resolutions):
        for form, precision in zip(_MARKS, precisions, strict=False):
            chosen = [
                row
                for row in rows
                if (row.built.variant.resolution, row.built.variant.precision) == (resolution, precision)
            ]
            size = f"{resolution} x {resolution}, " if resolution else ""
            axes.plot(
                [x(row) for row in chosen],
                [y(row) for row in chosen],
                form,
                markersize=4.5,
                color=_COLOURS[index % len(_COLOURS)],
                label=f"{size}{precision}",
            )


def _label(axes: Axes, x: str, y: str) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
