"""The history as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.deploy.history_series import Chart, Series
from mobiledeploy.deploy.pictures import GRID, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which the colour-blind tell apart; as many as a chart has series.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#222222", "#8a8a00")
_LEGENDS = {
    "latency": "Points: median with its 95% interval. Triangles: p90.",
    "accuracy": "Points: the figure of the model's task.",
}
_WIDTH, _HEIGHT, _ROW = 9.0, 3.6, 0.17  # inches


def plot(drawn: Chart, path: Path) -> None:
    """Draw medians with their 95% intervals and p90, a colour per series; hollow: incomplete.

    Args:
        drawn: what.
        path: SVG or PNG file.

    Raises:
        InputError, EnvironmentProblem: see ``pictures.check_picture``.
        OutputError: the file cannot be written.
    """
    legend = _ROW * len(drawn.series) + 0.15
    height = _HEIGHT + legend
    with picture(path, _WIDTH, height) as figure:
        bottom = (legend + 0.35) / height
        axes = figure.add_axes((0.07, bottom, 0.9, 1 - bottom - 0.6 / height))
        for series, colour in zip(drawn.series, _COLOURS, strict=False):
            _draw(axes, series, colour)
        _frame(axes, drawn)
        figure.text(0.02, 1 - 0.22 / height, drawn.title, fontsize=11, fontweight="bold", va="center")
        subtitle = _LEGENDS[drawn.kind]
        if any(not point.complete for series in drawn.series for point in series.points):
            subtitle += " Hollow: incomplete."
        figure.text(0.02, 1 - 0.44 / height, subtitle, va="center")
        entries = axes.get_legend_handles_labels()
        box = figure.legend(
            *entries, loc="lower left", bbox_to_anchor=(0.06, 0), frameon=False, borderaxespad=0.3
        )
        for text in box.get_texts():
            # A name may hold dollars, which would be set as a formula.
            text.set_parse_math(False)


def _draw(axes: Axes, series: Series, colour: str) -> None:
    points = series.points
    places = [point.x for point in points]
    medians = [point.median for point in points]
    # An interval of a skewed sample's resamples may leave its median out by a rounding.
    below = [max(0.0, point.median - point.low) for point in points]
    above = [max(0.0, point.high - point.median) for point in points]
    axes.errorbar(
        places,
        medians,
        yerr=(below, above),
        color=colour,
        linewidth=1.1,
        elinewidth=1.1,
        capsize=2.5,
        label=f"{series.mark}  {series.label}",
    )
    tails = [point.p90 for point in points if point.p90 is not None]
    axes.plot(
        places[: len(tails)],
        tails,
        color=colour,
        linewidth=0.6,
        linestyle=":",
        alpha=0.8,
        zorder=1,
    )
    for marker, size, figures in (("o", 14, medians), *([("^", 9, tails)] if tails else [])):
        for complete in (True, False):
            chosen = [index for index, point in enumerate(points) if point.complete is complete]
            axes.scatter(
                [places[index] for index in chosen],
                [figures[index] for index in chosen],
                s=size,
                marker=marker,
                facecolors=colour if complete else "white",
                edgecolors=colour,
                linewidths=0.9,
                zorder=3,
            )


def _frame(axes: Axes, drawn: Chart) -> None:
    axes.set_xticks([place for place, _ in drawn.ticks], [word for _, word in drawn.ticks])
    axes.set_xlabel("UTC" if drawn.by == "time" else "commit, in order of its first run")
    axes.margins(x=0.03, y=0.08)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
