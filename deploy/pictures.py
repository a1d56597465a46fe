"""What all pictures have in common: kinds of file, style, and how they are written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.deploy.outputs import move_into_place, temporary_beside, writing
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import needs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png")
GRID, TEXT = "#dddddd", "#333333"
_PER_INCH = 150
# Text stays text, ids do not depend on the time or the process.
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mobiledeploy",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
}


def check_picture(path: Path) -> None:
    """Refuse what could not be drawn, before long work.

    Raises:
        InputError: not the name of an SVG or PNG file.
        EnvironmentProblem: matplotlib is not on this machine.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            "pictures are SVG or PNG files", where=str(path), hint="End the name in .svg or .png"
        )
    with needs("plot"):
        import matplotlib.figure  # noqa: F401


def save(figure: Figure, path: Path) -> None:
    """Write a figure; with the same matplotlib the same figure gives the same bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    with temporary_beside(path) as partial:
        metadata = {"Date": None, "Creator": None} if path.suffix.lower() == ".svg" else {"Software": None}
        with writing(path):
            figure.savefig(partial, dpi=_PER_INCH, metadata=metadata)
        move_into_place(partial, path)
