"""Figures 4 and 5 of the MobileNets paper: accuracy against mult-adds, and against parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.deploy.paper import Point
from mobiledeploy.deploy.pictures import GRID, TEXT, picture
from mobiledeploy.device_tests.statistics import wilson
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.file_cost import file_cost
from mobiledeploy.runtimes.formats import read_artifact

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, one per resolution.
_COLOURS = {224: "#0072b2", 192: "#d55e00", 160: "#009e73", 128: "#cc79a7"}
_MEASURED = "#222222"
_WIDTH, _HEIGHT, _ROW = 9.0, 3.9, 0.18  # inches


@dataclass(frozen=True, slots=True)
class Measured:
    """A file whose accuracy is in the history.

    Attributes:
        name: of the file.
        mult_adds, parameters: counted from the file.
        top1, low, high: of its latest evaluation and its 95% interval, percent.
        images: that it was evaluated on.
    """

    name: str
    mult_adds: int
    parameters: int
    top1: float
    low: float
    high: float
    images: int


def find_measured(files: Sequence[Path], history: str | None) -> tuple[Measured, ...]:
    """The latest accuracy of each file in the history, by the file's digest.

    Raises:
        InputError: a file is damaged, or was never evaluated with this history.
        UnsupportedError: a file leaves its shapes open.
        EnvironmentProblem: the history's packages are not on this machine.
    """
    from mobiledeploy.device_tests.history import Filter, open_history

    if not files:
        return ()
    artifacts = [read_artifact(file) for file in files]
    found = []
    with open_history(history, must_exist=True) as opened:
        for artifact in artifacts:
            rows = opened.find(Filter(model=artifact.sha256, kind="accuracy", last=1))
            if not rows or rows[0].top1 is None or not rows[0].images:
                raise InputError(
                    "the history has no accuracy of this file",
                    where=str(artifact.path),
                    hint="Run mobiledeploy evaluate FILE --images DIR --label TEXT first",
                )
            top1, images = rows[0].top1, rows[0].images
            interval = wilson(round(top1 * images), images)
            cost = file_cost(artifact)
            found.append(
                Measured(
                    artifact.path.name,
                    cost.mult_adds,
                    cost.parameters,
                    100 * top1,
                    100 * interval.low,
                    100 * interval.high,
                    images,
                )
            )
    return tuple(found)


def plot_figures(points: Sequence[Point], measured: Sequence[Measured], path: Path) -> None:
    """Draw both figures side by side; hollow: published, filled: measured here.

    Args:
        points: the 16 models.
        measured: of files at hand.
        path: SVG or PNG file.

    Raises:
        InputError, EnvironmentProblem: see ``pictures.check_picture``.
        OutputError: the file cannot be written.
    """
    notes = _ROW * len(measured)
    height = _HEIGHT + notes
    with picture(path, _WIDTH, height) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        _draw(left, points, measured, "mult_adds")
        _draw(right, points, measured, "parameters")
        left.set_title("Figure 4", loc="left", fontsize=9, fontweight="bold", color=TEXT)
        right.set_title("Figure 5", loc="left", fontsize=9, fontweight="bold", color=TEXT)
        left.set_xlabel("million mult-adds, counted")
        right.set_xlabel("million parameters, counted")
        left.set_ylabel("top-1, %")
        left.legend(frameon=False, loc="lower right", title="ImageNet, published by TF-slim")
        for row, (item, mark) in enumerate(zip(measured, _marks(measured), strict=True)):
            text = f"{mark}  {item.name}: {item.top1:.1f}% of {item.images} images"
            # A name may hold dollars, which would be set as a formula.
            figure.text(0.07, (notes - _ROW * (row + 0.5)) / height, text, va="center", parse_math=False)
        figure.subplots_adjust(
            left=0.07, right=0.98, bottom=(notes + 0.5) / height, top=1 - 0.3 / height, wspace=0.06
        )


def _marks(measured: Sequence[Measured]) -> list[str]:
    """A, B and so on; by number beyond Z."""
    return [chr(ord("A") + index) if index < 26 else str(index + 1) for index in range(len(measured))]


def _draw(axes: Axes, points: Sequence[Point], measured: Sequence[Measured], what: str) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    for resolution, colour in _COLOURS.items():
        chosen = [point for point in points if point.resolution == resolution]
        axes.plot(
            [getattr(point, what) / 1e6 for point in chosen],
            [point.top1 for point in chosen],
            "o",
            markersize=4.5,
            markerfacecolor="white",
            markeredgecolor=colour,
            label=f"{resolution} x {resolution}",
        )
    if measured:
        places = [getattr(item, what) / 1e6 for item in measured]
        axes.errorbar(
            places,
            [item.top1 for item in measured],
            yerr=([item.top1 - item.low for item in measured], [item.high - item.top1 for item in measured]),
            fmt="s",
            markersize=4.5,
            color=_MEASURED,
            capsize=2.5,
            elinewidth=1,
            label="measured here, 95% interval",
        )
        for item, place, mark in zip(measured, places, _marks(measured), strict=True):
            axes.annotate(mark, (place, item.top1), (6, 0), textcoords="offset points", va="center")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(length=0)
