"""``mobiledeploy evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome
from mobiledeploy.deploy.progress import counter

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.device_tests.accuracy import AccuracyRun, PairedDifference
    from mobiledeploy.device_tests.accuracy_run import Share

EXAMPLE = "mobiledeploy evaluate mobilenet_v2.tflite --images photos --labels photos.csv"


def evaluate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A TFLite, ONNX or Core ML classifier.")],
    images: Annotated[
        Path,
        typer.Option("--images", metavar="DIR", help="One folder per class, or any folder with --labels."),
    ],
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="CSV", help="File names and class indices."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="Second file: difference on the same images."),
    ] = None,
    preprocessing: Annotated[
        str | None,
        typer.Option(
            "--preprocessing",
            metavar="PRESET",
            help="For files without a contract: imagenet, inception, unit, lite or raw.",
        ),
    ] = None,
    label_offset: Annotated[
        int | None,
        typer.Option(
            "--label-offset", metavar="N", help="Output index of label 0; 1 if class 0 is background."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Threads; all cores by default.")
    ] = None,
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Put every image's predictions into the JSON.")
    ] = False,
    as_json: JsonOption = False,
) -> Outcome:
    """Measure top-1 and top-5 of a file on labelled images, with 95% intervals."""
    from mobiledeploy.deploy.evaluation import evaluate as run
    from mobiledeploy.device_tests.accuracy import paired

    runs = []
    for path in (file, against):
        if path is not None:
            with counter(f"evaluate {path.name}") as progress:
                runs.append(
                    run(
                        path,
                        images,
                        labels=labels,
                        preprocessing=preprocessing,
                        label_offset=label_offset,
                        workers=workers,
                        progress=progress,
                    )
                )
    difference = paired(runs[1], runs[0]) if against else None
    data = {
        **_to_data(runs[0], predictions),
        "against": _to_data(runs[1], predictions) if against else None,
        "difference": difference.to_dict() if difference else None,
    }
    return Outcome(data, lambda: _render(runs, difference), as_json)


def _to_data(run: AccuracyRun, predictions: bool) -> dict[str, object]:
    data = run.to_dict()
    return data if predictions else {key: value for key, value in data.items() if key != "predictions"}


def _render(runs: list[AccuracyRun], difference: PairedDifference | None) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns, pairs

    heads = ("file", "images", "top-1", "top-5", "images/s", "engine")
    rows = [
        (
            run.file,
            str(run.images),
            _percent(run.top1),
            _percent(run.top5),
            f"{run.images_per_second:.0f}",
            run.engine,
        )
        for run in runs
    ]
    notes = [("preprocessing", runs[0].preprocessing_id)]
    if difference:
        low, high = difference.interval.low, difference.interval.high
        notes += [
            ("difference", f"{difference.points:+.2f} points (95%: {low:+.2f} to {high:+.2f})"),
            ("McNemar's p", f"{difference.p_value:.3g}"),
            ("same prediction", f"{100 * difference.agreement:.1f}% of images"),
        ]
    return Group(columns(heads, rows), pairs(notes))


def _percent(share: Share) -> str:
    low, high = share.interval.low, share.interval.high
    return f"{100 * share.share:.1f}% ({100 * low:.1f}-{100 * high:.1f})"
