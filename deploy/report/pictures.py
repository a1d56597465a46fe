"""The plots of a report as SVG or PNG files, drawn by vl-convert without a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from mobiledeploy.deploy.outputs import move_into_place, temporary_beside
from mobiledeploy.deploy.report.layout import Plot, Report
from mobiledeploy.deploy.report.vega import theme
from mobiledeploy.runtimes.formats import needs
from mobiledeploy.writing import writing

PictureKind = Literal["svg", "png"]
_WIDTH = 720  # points
_SCALE = 2


def write_pictures(report: Report, folder: Path, kind: PictureKind) -> dict[str, Path]:
    """One file for each plot, on a light background; files of other names stay.

    Args:
        report: whose plots.
        folder: is made if it is not there.
        kind: of file.

    Returns:
        Name of the plot -> its file.

    Raises:
        OutputError: one cannot be written.
        EnvironmentProblem: vl-convert is not on this machine.
    """
    written = {}
    for section in report.sections:
        for plot in section.plots:
            path = folder / f"{plot.name}.{kind}"
            _write(draw(plot, kind), path)
            written[plot.name] = path
    return written


def draw(plot: Plot, kind: PictureKind) -> bytes:
    """The bytes of a picture.

    Raises:
        EnvironmentProblem: vl-convert is not on this machine.
    """
    with needs("report"):
        import vl_convert
    title = {"text": plot.title, "anchor": "start", "fontSize": 14, "limit": _WIDTH}
    spec = json.dumps({**plot.spec, "width": _WIDTH, "title": title})
    config = theme(dark=False)
    # Nothing is to be loaded from anywhere.
    if kind == "svg":
        text: str = vl_convert.vegalite_to_svg(spec, config=config, allowed_base_urls=[])
        return text.encode()
    picture: bytes = vl_convert.vegalite_to_png(spec, config=config, scale=_SCALE, allowed_base_urls=[])
    return picture


def _write(content: bytes, path: Path) -> None:
    with temporary_beside(path) as partial:
        with writing(path):
            partial.write_bytes(content)
        move_into_place(partial, path)
