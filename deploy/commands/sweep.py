"""``mobiledeploy sweep``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from mobiledeploy.contract import TARGETS, Precision, Target
from mobiledeploy.deploy.commands.gate import FAILED
from mobiledeploy.deploy.commands.options import (
    HistoryOption,
    LabelOption,
    SchedulerOption,
    StoreOption,
    WaitOption,
)
from mobiledeploy.deploy.commands.outcome import INTERRUPTED, JsonOption, Outcome
from mobiledeploy.deploy.commands.storing import store
from mobiledeploy.deploy.commands.tables import columns, millions, milliseconds, pairs, size
from mobiledeploy.deploy.progress import announcer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.deploy.sweep.choice import Row
    from mobiledeploy.deploy.sweep.sweeping import Sweep
    from mobiledeploy.device_tests.gate.limits import Gate

EXAMPLE = "mobiledeploy sweep --preset mobilenets --device local --max-p90 15ms --max-size 2MB"
PRESETS = ("mobilenets",)


def _list(text: str | None, kind: type, allowed: Sequence[str] = ()) -> tuple[Any, ...]:
    values = []
    for part in (text or "").replace(" ", "").split(",") if text else ():
        try:
            value = kind(part)
        except ValueError:
            value = None
        if value is None or (allowed and value not in allowed) or (kind is not str and not value > 0):
            wanted = ", ".join(allowed) or "numbers like 0.25,0.5"
            raise typer.BadParameter(f"{part!r} in {text!r} is none of {wanted}.")
        values.append(value)
    return tuple(dict.fromkeys(values))


def sweep(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="As for convert; by default mobilenet_v1.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option("--preset", metavar="NAME", help="mobilenets: the paper's 16, in fp32 and int8."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", "-d", metavar="REF", help="As for benchmark; local by default."),
    ] = None,
    width: Annotated[str | None, typer.Option("--width", metavar="X,...", help="Width multipliers.")] = None,
    resolution: Annotated[
        str | None, typer.Option("--resolution", metavar="N,...", help="Of the input, pixels.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="NAME,...", help="As for convert; fp32 by default.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", "-t", metavar="NAME,...", help="Formats; tflite by default.")
    ] = None,
    threads: Annotated[str, typer.Option("--threads", metavar="N,...", help="Each file on each.")] = "1",
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            metavar="PATTERN",
            help="Files like v1_{width}_{resolution}.pth; random, the default, for latency alone.",
        ),
    ] = "random",
    calibration: Annotated[
        str | None, typer.Option("--calibration", metavar="DIR", help="For int8, as for convert.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Evaluate each file, as evaluate does.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="CSV", help="File names and class indices.")
    ] = None,
    launches: Annotated[int, typer.Option("--launches", min=1, help="Of each file in each setting.")] = 3,
    seconds: Annotated[float, typer.Option("--seconds", min=0.0, help="Of a launch, at least.")] = 0.5,
    max_median: Annotated[str | None, typer.Option("--max-median", metavar="TIME", help="Like 15ms.")] = None,
    max_p90: Annotated[str | None, typer.Option("--max-p90", metavar="TIME", help="Like 15ms.")] = None,
    max_size: Annotated[str | None, typer.Option("--max-size", metavar="SIZE", help="Like 2MB.")] = None,
    max_memory: Annotated[
        str | None, typer.Option("--max-memory", metavar="SIZE", help="Peak of the runner, like 50MB.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="For the files.")] = Path(
        "sweep"
    ),
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw it; an SVG or PNG file.")
    ] = None,
    store_runs: StoreOption = True,
    label: LabelOption = None,
    history: HistoryOption = None,
    scheduler: SchedulerOption = None,
    wait: WaitOption = 600.0,
    as_json: JsonOption = False,
) -> Outcome:
    """Convert and measure a grid of variants: the Pareto front, and the best one within limits."""
    import threading
    from functools import partial

    from mobiledeploy.deploy.pictures import check_picture
    from mobiledeploy.deploy.sweep.choice import LIMITS, front, pick
    from mobiledeploy.deploy.sweep.grid import Grid, mobilenets
    from mobiledeploy.deploy.sweep.sweeping import Data
    from mobiledeploy.deploy.sweep.sweeping import sweep as run
    from mobiledeploy.device_tests.gate.limits import parse_gate
    from mobiledeploy.device_tests.lab.runs import measure
    from mobiledeploy.device_tests.plan import Plan
    from mobiledeploy.runtimes.runner.request import Timing

    if plot:
        check_picture(plot)
    if labels and not images:
        raise typer.BadParameter("--labels goes with --images.")
    devices = device or ["local"]
    counts = _list(threads, int)
    given = (max_median, max_p90, max_size, max_memory)
    limits = [parse_gate(kind.name, text) for kind, text in zip(LIMITS, given, strict=True) if text]
    targets = cast("tuple[Target, ...]", _list(target, str, TARGETS)) or ("tflite",)
    precisions = cast("tuple[Precision, ...]", _list(precision, str, get_args(Precision)))
    if preset is None:
        grid = Grid(
            model or "mobilenet_v1",
            _list(width, float),
            _list(resolution, int),
            precisions or ("fp32",),
            targets,
            weights,
        )
    elif preset not in PRESETS:
        raise typer.BadParameter(f"There is no preset {preset!r}; there is {', '.join(PRESETS)}.")
    elif model or width or resolution or precisions:
        raise typer.BadParameter("A preset has its own model, widths, resolutions and precisions.")
    else:
        grid = mobilenets(weights, targets)
    plan = Plan((), threads=counts, launches=launches, timing=Timing(warmup_seconds=0.1, min_seconds=seconds))
    stop = threading.Event()
    with announcer() as announce:
        in_place = partial(
            measure, devices, scheduler=scheduler, wait=wait, label=label, announce=announce, stop=stop
        )
        data = Data(images, labels) if images else None
        found = run(
            grid,
            output,
            plan,
            in_place,
            calibration=calibration,
            data=data,
            scheduler=scheduler,
            announce=announce,
        )
    errors = [item.error for item in found.errors if item.error]
    if errors and not found.rows:
        raise errors[0]
    ids, unstored = (
        store([*(row.latency for row in found.rows), *found.accuracies], history, label)
        if store_runs
        else ([], "")
    )
    best, chosen = front(found.rows), pick(found.rows, limits)
    if plot:
        from mobiledeploy.deploy.sweep.plot import plot as draw

        first = found.rows[0].latency
        draw(
            [
                row
                for row in found.rows
                if (row.latency.device, row.latency.threads) == (first.device, first.threads)
            ],
            plot,
        )
    result = {
        "rows": [_to_data(row, best) for row in found.rows],
        "limits": {limit.kind.name: limit.limit for limit in limits},
        "pick": _to_data(chosen, best) if chosen else None,
        "history": {"ids": ids, "problem": unstored},
        "errors": [{"device": item.device, "message": str(item.error)} for item in found.errors],
    }
    code = FAILED if limits and chosen is None else 0
    code = INTERRUPTED if stop.is_set() else errors[0].exit_code if errors else code
    return Outcome(result, lambda: _render(found, best, chosen, limits, unstored), as_json, code)


def _to_data(row: Row, best: Sequence[Row]) -> dict[str, Any]:
    summary, built = row.latency.summary, row.built
    return {
        **asdict(built.variant),
        "file": str(built.path),
        "sha256": row.latency.model.sha256,
        "mult_adds": built.mult_adds,
        "parameters": built.parameters,
        "size": row.latency.model.size,
        "device": row.latency.device,
        "threads": row.latency.threads,
        "median_ns": summary.median,
        "interval_ns": asdict(summary.interval),
        "p90_ns": summary.p90,
        "memory_peak": row.latency.memory_peak,
        "energy_per_inference": row.latency.energy_per_inference,
        "top1": row.accuracy.headline.value if row.accuracy and row.metric == "top-1" else None,
        "metric": row.metric,
        "value": row.accuracy.headline.value if row.accuracy else None,
        "front": row in best,
    }


def _render(
    found: Sweep, best: Sequence[Row], chosen: Row | None, limits: Sequence[Gate], unstored: str
) -> RenderableType:
    from rich.console import Group

    places = [(row.latency.device, str(row.latency.threads)) for row in found.rows]
    one_place = len(set(places)) < 2
    where = ("device", "thr") if not one_place else ()
    metric = next(filter(None, (row.metric for row in found.rows)), "top-1")
    heads = ("variant", *where, "mult-adds", "size", "median ms", "p90", metric, "front")
    table = columns(
        heads,
        (
            (
                row.built.variant.label,
                *(place if not one_place else ()),
                millions(row.built.mult_adds),
                size(row.latency.model.size),
                milliseconds(row.latency.summary.median),
                milliseconds(row.latency.summary.p90),
                f"{row.accuracy.headline.value:.1%}" if row.accuracy else "-",
                "*" if row in best else "",
            )
            for row, place in zip(found.rows, places, strict=True)
        ),
    )
    worth = metric if found.accuracies else "mult-adds, for lack of top-1"
    within = ", ".join(f"{limit.kind.name} {limit.shown}" for limit in limits)
    notes = [
        ("files", str(found.rows[0].built.path.parent)),
        ("front", f"none is as good in {worth}, median and size, and better in one"),
        ("pick", f"{chosen.built.path if chosen else 'none is'} within {within}" if limits else ""),
        *(("failed", str(item.error)) for item in found.errors),
        ("not stored", unstored),
    ]
    return Group(table, "", pairs(notes))
