"""``mobiledeploy verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mobiledeploy.deploy.commands.options import Images, Resolution, Weights, Width, comparison_images
from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome
from mobiledeploy.deploy.progress import announcer
from mobiledeploy.deploy.stages import Stages
from mobiledeploy.errors import VerificationError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.deploy.comparison import VerificationReport

EXAMPLE = "mobiledeploy verify mobilenet_v2.tflite --against mobilenet_v2"


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A TFLite, ONNX or Core ML file.")],
    against: Annotated[
        str, typer.Option("--against", metavar="MODEL", help="What it was made from, as for convert.")
    ],
    weights: Weights = None,
    width: Width = None,
    resolution: Resolution = None,
    images: Images = None,
    golden: Annotated[
        Path | None,
        typer.Option("--golden", metavar="NPZ", help="Write the inputs and the file's outputs here."),
    ] = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Run a file on this host and compare it with its source in PyTorch."""
    from mobiledeploy.deploy.verification import verify as run

    with announcer() as announce:
        report = run(
            file,
            against,
            images=comparison_images(images),
            weights=weights,
            width=width,
            resolution=resolution,
            golden=golden,
            stages=Stages(announce),
        )
    exit_code = 0 if report.passed else VerificationError.exit_code
    return Outcome(report.to_json(), lambda: _render(report), as_json, exit_code)


def _render(report: VerificationReport) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns, pairs

    samples = report.seeded + report.images
    heads = ("output", "largest difference", "tolerance", "SQNR", "same largest value")
    rows = [
        (
            output.name,
            f"{output.max_difference:.3g}",
            f"{output.tolerance:.3g}",
            f"{output.sqnr_db:.1f} dB",
            f"{output.same_top} of {samples}",
        )
        for output in report.outputs
    ]
    return Group(
        pairs(
            [
                ("file", str(report.path)),
                ("engine", report.engine),
                ("arithmetic", report.precision),
                ("samples", f"{report.seeded} seeded, {report.images} images"),
                *(("problem", problem) for problem in report.problems),
                ("verdict", "passed" if report.passed else f"failed: {report.summary}"),
            ]
        ),
        columns(heads, rows),
    )
