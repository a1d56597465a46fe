"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="State dict (.pth, .safetensors), or 'random' for untrained weights.",
    ),
]
Width = Annotated[float | None, typer.Option("--width", metavar="A", help="Width multiplier, e.g. 0.5.")]
Resolution = Annotated[
    int | None, typer.Option("--resolution", metavar="R", help="Input height and width, pixels.")
]
Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR", help="Compare on images from this folder too."),
]
MAX_IMAGES = 16


def comparison_images(folder: Path | None) -> tuple[Path, ...]:
    """Up to ``MAX_IMAGES`` images, evenly spread over a folder; none for no folder."""
    if folder is None:
        return ()
    from mobiledeploy.images import find_images

    found = find_images(folder)
    step = max(1, len(found) // MAX_IMAGES)
    return found[::step][:MAX_IMAGES]
