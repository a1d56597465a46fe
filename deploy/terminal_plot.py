"""The history in the terminal."""

from __future__ import annotations

from typing import Any

from mobiledeploy.deploy.history_series import Chart, Series
from mobiledeploy.runtimes.formats import needs

# plotext's names.
_COLOURS = ("blue", "orange", "green", "magenta", "cyan", "red", "white", "gray")
_NARROWEST, _WIDEST, _HEIGHT = 40, 140, 22


def terminal_plot(drawn: Chart, width: int) -> str:
    """Medians as the series' letter with their 95% interval as a bar, p90 as the small letter.

    Letters, not colours alone: much of what is read here was piped through something.

    Args:
        drawn: what.
        width: of the terminal, characters.

    Returns:
        Lines with colours as a terminal knows them.

    Raises:
        EnvironmentProblem: plotext is not installed.
    """
    with needs("history"):
        import plotext
    # plotext has one figure in all.
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plotsize(max(_NARROWEST, min(width, _WIDEST)), _HEIGHT)
    for series, colour in zip(drawn.series, _COLOURS, strict=False):
        _draw(plotext, series, colour)
    _frame(plotext, drawn)
    text: str = plotext.build()
    plotext.clear_figure()
    return text.rstrip("\n")


def _draw(canvas: Any, series: Series, colour: str) -> None:
    places = [point.x for point in series.points]
    medians = [point.median for point in series.points]
    canvas.plot(places, medians, marker="braille", color=colour)
    for point in series.points:
        canvas.plot([point.x, point.x], [point.low, point.high], marker="│", color=colour)
    tails = [(point.x, point.p90) for point in series.points if point.p90 is not None]
    if tails:
        canvas.scatter(*map(list, zip(*tails, strict=True)), marker=series.mark.lower(), color=colour)
    canvas.scatter(places, medians, marker=series.mark, color=colour)


def _frame(canvas: Any, drawn: Chart) -> None:
    points = [point for series in drawn.series for point in series.points]
    lowest = min(min(point.low, point.median) for point in points)
    highest = max(max(point.high, point.p90 or 0) for point in points)
    margin = 0.05 * (highest - lowest) or 0.05 * highest or 1.0
    canvas.ylim(lowest - margin, highest + margin)
    places = [point.x for point in points]
    # Room for one point, and for letters at the edges.
    margin = 0.02 * (max(places) - min(places)) or 1.0
    canvas.xlim(min(places) - margin, max(places) + margin)
    canvas.xticks([place for place, _ in drawn.ticks], [word for _, word in drawn.ticks])
    canvas.title(drawn.title)
