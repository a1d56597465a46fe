"""``mobiledeploy evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mobiledeploy.deploy.commands.options import (
    EngineLibraryOption,
    HistoryOption,
    LabelOption,
    PreprocessingOption,
    RunnerOption,
    StoreOption,
)
from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome
from mobiledeploy.deploy.commands.storing import store
from mobiledeploy.deploy.progress import counter
from mobiledeploy.errors import VerificationError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.device_tests.accuracy import AccuracyRun, PairedDifference
    from mobiledeploy.device_tests.metric_difference import MetricDifference
    from mobiledeploy.device_tests.tasks.metric import Figure

EvaluatedTask = Literal[
    "image-classification", "multi-label-classification", "geolocation", "embedding", "object-detection"
]
# Figures in the table of files.
BESIDE = 2
EXAMPLE = "mobiledeploy evaluate mobilenet_v2.tflite --images photos --labels photos.csv"


def evaluate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A TFLite, ONNX or Core ML file.")],
    images: Annotated[
        Path,
        typer.Option(
            "--images", metavar="DIR", help="One folder per class or identity, or any with --labels."
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="CSV of classes, attributes, places or identities; COCO's instances file.",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="Second file: difference on the same images."),
    ] = None,
    task: Annotated[
        EvaluatedTask | None,
        typer.Option("--task", help="Whose metric; by default the task that the file says, else classes."),
    ] = None,
    far: Annotated[
        float,
        typer.Option(
            "--far", metavar="SHARE", help="Of embeddings: false-accept rate that pairs are judged at."
        ),
    ] = 0.001,
    preprocessing: PreprocessingOption = None,
    label_offset: Annotated[
        int | None,
        typer.Option(
            "--label-offset", metavar="N", help="Output index of label 0; 1 if class 0 is background."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Threads of this host; all cores by default.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            "-d",
            metavar="REF",
            help="Compute there: local, adb:SERIAL, ssh:[USER@]HOST[:PORT], a name of devices.toml.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Of the engine on a device; its cores, up to 4, by default."),
    ] = None,
    runner: RunnerOption = "auto",
    engine_library: EngineLibraryOption = None,
    compare: Annotated[
        bool, typer.Option("--compare/--no-compare", help="Compare a device's outputs with this host's.")
    ] = True,
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Put every image's predictions into the JSON.")
    ] = False,
    store_runs: StoreOption = True,
    label: LabelOption = None,
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Measure a file on images whose truth is known, by its task's metric, with 95% intervals."""
    from mobiledeploy.deploy.evaluation import evaluate as on_host
    from mobiledeploy.deploy.evaluation import evaluate_device
    from mobiledeploy.device_tests.device_accuracy import Options
    from mobiledeploy.device_tests.metric_difference import compare as compare_runs

    if device is None and (threads or engine_library or runner != "auto"):
        raise typer.BadParameter("--threads, --runner and --engine-library go with --device.")

    def run(path: Path, progress: Callable[[int, int], None]) -> AccuracyRun:
        if device is None:
            return on_host(
                path,
                images,
                labels=labels,
                task=task,
                far=far,
                preprocessing=preprocessing,
                label_offset=label_offset,
                workers=workers,
                progress=progress,
            )
        return evaluate_device(
            path,
            images,
            device,
            labels=labels,
            task=task,
            far=far,
            preprocessing=preprocessing,
            label_offset=label_offset,
            options=Options(threads, workers, runner, engine_library),
            compare=compare,
            progress=progress,
        )

    runs = []
    for path in (file, against):
        if path is not None:
            with counter(f"evaluate {path.name}") as progress:
                runs.append(run(path, progress))
    # Evaluations on this host are for development; those of devices, and what is asked for, are kept.
    kept = store_runs and (device is not None or label is not None or history is not None)
    ids, unstored = store(runs, history, label) if kept else ([], "")
    difference = compare_runs(runs[1], runs[0]) if against else None
    data = {
        **_to_data(runs[0], predictions),
        "against": _to_data(runs[1], predictions) if against else None,
        "difference": difference.to_dict() if difference else None,
        "history": {"ids": ids, "problem": unstored},
    }
    unsound = any(item.host and not item.host.sound for item in runs)
    code = VerificationError.exit_code if unsound else 0
    return Outcome(data, lambda: _render(runs, difference, unstored), as_json, code)


def _to_data(run: AccuracyRun, predictions: bool) -> dict[str, object]:
    data = run.to_dict()
    return data if predictions else {key: value for key, value in data.items() if key != "predictions"}


def _render(
    runs: list[AccuracyRun], difference: PairedDifference | MetricDifference | None, unstored: str
) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns, pairs

    figures = runs[0].figures
    # A terminal has room for two beside the rest; what is more stands below.
    beside = [figure.name for figure in figures[:BESIDE]]
    heads = ("file", "images", *beside, "images/s", "engine")
    rows = [
        (
            run.file,
            str(run.images),
            *(_percent(_named(run, name)) for name in beside),
            f"{run.images_per_second:.0f}",
            run.engine,
        )
        for run in runs
    ]
    below = [
        (figure.name, *(_percent(_named(run, figure.name)) for run in runs)) for figure in figures[BESIDE:]
    ]
    more = [columns(("figure", *(run.file for run in runs)), below)] if below else []
    notes = [("preprocessing", runs[0].preprocessing_id), *_on_difference(difference)]
    notes += [(f"{run.file}: left out", words) for run in runs if (words := _left_out(run))]
    notes.append(("not stored", unstored))
    notes += [(f"{run.file}: device", words) for run in runs if (words := _on_device(run))]
    return Group(columns(heads, rows), *more, pairs(notes))


def _on_difference(difference: PairedDifference | MetricDifference | None) -> Iterator[tuple[str, str]]:
    if difference is None:
        return
    from mobiledeploy.device_tests.metric_difference import MetricDifference

    ends = difference.interval
    within = f" (95%: {ends.low:+.2f} to {ends.high:+.2f})" if ends else ""
    yield "difference", f"{difference.points:+.2f} points{within}"
    test = "bootstrap p" if isinstance(difference, MetricDifference) else "McNemar's p"
    yield test, "" if difference.p_value is None else f"{difference.p_value:.3g}"
    yield "same prediction", f"{100 * difference.agreement:.1f}% of images"


def _left_out(run: AccuracyRun) -> str:
    """Attributes that hold for no image."""
    names = run.metric.details(run.predictions, run.asked).get("left_out", [])
    return f"{', '.join(names)}: hold for no image" if names else ""


def _named(run: AccuracyRun, name: str) -> Figure | None:
    return next((figure for figure in run.figures if figure.name == name), None)


def _on_device(run: AccuracyRun) -> str:
    if run.host is None:
        return ""
    host = run.host
    ratio = "the same bytes" if host.sqnr_db is None else f"{host.sqnr_db:.1f} dB"
    words = (
        f"{host.same} of {host.images} predictions as on this host ({host.engine}), "
        f"{host.identical} the same bytes, outputs {ratio}"
    )
    if host.sound or host.worst_db is None:
        return words
    return (
        f"{words}. MISMATCH: {host.worst_image} at {host.worst_db:.1f} dB is no rounding; "
        "an operator computes something else there"
    )


def _percent(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    ends = figure.interval
    within = f" ({100 * ends.low:.1f}-{100 * ends.high:.1f})" if ends else ""
    return f"{100 * figure.value:.1f}%{within}"
