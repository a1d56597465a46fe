"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mobiledeploy.contract import Task
from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    from mobiledeploy.quantize import Recipe

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
TaskOption = Annotated[
    Task | None, typer.Option("--task", help="Of a model of your own: what its outputs are for.")
]
RuleOption = Annotated[
    str | None,
    typer.Option(
        "--preprocessing",
        metavar="PRESET|JSON",
        help="In place of the model's own: imagenet, inception, unit, lite, raw, or an object.",
    ),
]
ClassNamesOption = Annotated[
    Path | None,
    typer.Option("--class-names", metavar="FILE", help="The name of one class a line, in output order."),
]
Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR", help="Compare on images from this folder too."),
]
PreprocessingOption = Annotated[
    str | None,
    typer.Option(
        "--preprocessing",
        metavar="PRESET",
        help="For files without a contract: imagenet, inception, unit, lite or raw.",
    ),
]
CalibrationOption = Annotated[
    str | None,
    typer.Option(
        "--calibration",
        metavar="DIR|none",
        help="Images that show the quantizer the activations; none: batch norm statistics do.",
    ),
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="FILE|JSON",
        help="How to quantize: a file, or the object itself; fields left out have their defaults.",
    ),
]
RunnerName = Literal["auto", "native", "python", "benchmark_model"]
RunnerOption = Annotated[
    RunnerName,
    typer.Option(
        "--runner", help="The native program, the device's own Python, or TFLite's benchmark_model."
    ),
]
EngineLibraryOption = Annotated[
    Path | None,
    typer.Option(
        "--engine-library",
        metavar="FILE",
        help="Engine for the device: .so, or Android's .aar; or the program benchmark_model.",
    ),
]
# Of commands that run in a lab.
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Run in the lab of this scheduler, like tcp://10.0.0.5:8786, on --device NAME or kind:KIND.",
    ),
]
WaitOption = Annotated[
    float, typer.Option("--wait", min=0.0, metavar="S", help="Seconds to wait for a free device of a lab.")
]
HistoryOption = Annotated[
    str | None,
    typer.Option(
        "--history",
        metavar="URL|FILE",
        help="A file or postgresql://USER@HOST/DATABASE; else MOBILEDEPLOY_HISTORY, else the user's own.",
    ),
]
# Of commands that store runs.
LabelOption = Annotated[
    str | None, typer.Option("--label", metavar="TEXT", help="A word to find the stored runs by.")
]
StoreOption = Annotated[
    bool, typer.Option("--store/--no-store", help="Keep the runs in the history (see history).")
]
MAX_IMAGES = 16


def read_recipe(given: str | None) -> Recipe | None:
    """The recipe in a file, or in the text of an object itself; None for none.

    Raises:
        InputError: the file is not there, or holds no recipe.
    """
    if given is None:
        return None
    from mobiledeploy.quantize import Recipe

    if given.lstrip().startswith("{"):
        return Recipe.from_json(given)
    try:
        return Recipe.from_json(Path(given).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(
            f"the recipe cannot be read ({reason})", where=given, hint="Check the path"
        ) from error


def comparison_images(folder: Path | None) -> tuple[Path, ...]:
    """Up to ``MAX_IMAGES`` images, evenly spread over a folder; none for no folder."""
    if folder is None:
        return ()
    from mobiledeploy.images import find_images, spread

    return spread(find_images(folder), MAX_IMAGES)
