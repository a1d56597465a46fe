"""What all pictures have in common: kinds of file, style, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.deploy.outputs import move_into_place, temporary_beside
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import needs
from mobiledeploy.writing import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png")
GRID, TEXT = "#dddddd", "#333333"
_PER_INCH = 150
# Text stays text, ids do not depend on the time or the process.
_STYLE: dict[Any, Any] = {
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


@contextmanager
def picture(path: Path, width: float, height: float) -> Iterator[Figure]:
    """An empty figure in our style; what the block has drawn on it is written.

    With the same matplotlib the same figure gives the same bytes.

    Args:
        path: SVG or PNG file.
        width, height: inches.

    Raises:
        InputError, EnvironmentProblem: see ``check_picture``.
        OutputError: the file cannot be written.
    """
    check_picture(path)
    with needs("plot"):
        import matplotlib as mpl
        from matplotlib.figure import Figure
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), facecolor="white")
        yield figure
        _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with temporary_beside(path) as partial:
        metadata = {"Date": None, "Creator": None} if path.suffix.lower() == ".svg" else {"Software": None}
        with writing(path):
            figure.savefig(partial, dpi=_PER_INCH, metadata=metadata)
        move_into_place(partial, path)
