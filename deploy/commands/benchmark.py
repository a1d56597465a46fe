"""``mobiledeploy benchmark``."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mobiledeploy.deploy.commands.options import (
    EngineLibraryOption,
    HistoryOption,
    LabelOption,
    RunnerOption,
    SchedulerOption,
    StoreOption,
    WaitOption,
)
from mobiledeploy.deploy.commands.outcome import INTERRUPTED, JsonOption, Outcome
from mobiledeploy.deploy.commands.storing import store
from mobiledeploy.deploy.commands.tables import columns, milliseconds, pairs, size
from mobiledeploy.deploy.progress import announcer
from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.device_tests.benchmark import Measured
    from mobiledeploy.device_tests.latency_run import LatencyRun

EXAMPLE = "mobiledeploy benchmark mobilenet_v2.tflite --device adb --threads 1,4"
# Operators that a profile shows.
SHOWN = 10


def _numbers(text: str) -> str:
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{text!r} is no list of counts like 1,2,4.")
    return text


def benchmark(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="TFLite, ONNX or Core ML files.")],
    device: Annotated[
        list[str],
        typer.Option(
            "--device",
            "-d",
            metavar="REF",
            help="local, adb:SERIAL, ssh:[USER@]HOST[:PORT], a name of devices.toml, kind:KIND; or several.",
        ),
    ],
    threads: Annotated[
        str, typer.Option("--threads", metavar="N,...", callback=_numbers, help="Each file on each of these.")
    ] = "1",
    launches: Annotated[
        int, typer.Option("--launches", min=1, help="Of the runner, for each setting; they are interleaved.")
    ] = 4,
    count: Annotated[int, typer.Option("--runs", min=1, help="Inferences of a launch, at least.")] = 50,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.0, help="Duration of a launch, at least.")
    ] = 1.0,
    warmup: Annotated[
        float, typer.Option("--warmup", min=0.0, help="Seconds of inferences before those that count.")
    ] = 0.2,
    period: Annotated[
        float | None,
        typer.Option(
            "--period",
            min=0.0,
            metavar="MS",
            help="Paced: begin an inference every MS milliseconds (a camera).",
        ),
    ] = None,
    affinity: Annotated[
        str,
        typer.Option("--affinity", metavar="CORES", help="Cores like 4-7; fastest, slowest or all."),
    ] = "all",
    governor: Annotated[
        str,
        typer.Option("--governor", metavar="NAME", help="Set where permitted and put back; '' leaves it."),
    ] = "performance",
    max_temperature: Annotated[
        float | None,
        typer.Option("--max-temperature", metavar="C", help="Wait before each launch until it is this cool."),
    ] = None,
    runner: RunnerOption = "auto",
    engine_library: EngineLibraryOption = None,
    profile: Annotated[bool, typer.Option("--profile", help="Time of each operator, too.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1.0, max=1500.0, help="Seconds that a launch may take.")
    ] = 300.0,
    store_runs: StoreOption = True,
    label: LabelOption = None,
    history: HistoryOption = None,
    scheduler: SchedulerOption = None,
    wait: WaitOption = 600.0,
    as_json: JsonOption = False,
) -> Outcome:
    """Measure latency on devices: median, percentiles, interval, stability, and all that they depend on."""
    from mobiledeploy.device_tests.affinity import check_affinity
    from mobiledeploy.device_tests.cooling import Coolness
    from mobiledeploy.device_tests.lab.runs import measure
    from mobiledeploy.device_tests.plan import Plan
    from mobiledeploy.runtimes.formats import read_artifact
    from mobiledeploy.runtimes.runner.request import Timing

    _refuse_twice(files)
    plan = Plan(
        artifacts=tuple(map(read_artifact, files)),
        threads=tuple(dict.fromkeys(map(int, threads.split(",")))),
        launches=launches,
        timing=Timing(
            warmup_seconds=warmup, min_runs=count, min_seconds=seconds, period_us=round(1000 * (period or 0))
        ),
        affinity=check_affinity(affinity),
        governor=governor,
        coolness=Coolness(max_temperature),
        runner=runner,
        library=engine_library,
        profile=profile,
        timeout=timeout,
    )
    stop = threading.Event()
    with announcer() as announce:
        measured = measure(
            device, plan, scheduler=scheduler, wait=wait, label=label, announce=announce, stop=stop
        )
    errors = [item.error for item in measured if item.error]
    runs = [run for item in measured for run in item.runs]
    ids, unstored = store(runs, history, label) if store_runs else ([], "")
    if errors and not runs:
        raise errors[0]
    data = {
        "runs": [run.to_dict() for run in runs],
        "history": {"ids": ids, "problem": unstored},
        "errors": [{"device": item.device, "message": str(item.error)} for item in measured if item.error],
    }
    code = INTERRUPTED if stop.is_set() else errors[0].exit_code if errors else 0
    return Outcome(data, lambda: _render(measured, unstored), as_json, code)


def _refuse_twice(files: Sequence[Path]) -> None:
    resolved = [file.resolve() for file in files]
    for file in files:
        if resolved.count(file.resolve()) > 1:
            raise InputError("the file is named twice", where=str(file), hint="Name each once")


def _render(measured: Sequence[Measured], unstored: str) -> RenderableType:
    from rich.console import Group

    runs = [run for item in measured for run in item.runs]
    setting = ("milliseconds", "device", "thr")
    latency = columns(
        (*setting, "median", "95%", "p90", "p99", "steady"),
        [(*_setting(run), *_latency(run)) for run in runs],
    )
    start = columns(
        (*setting, "init", "first", "memory", "delegated"),
        [(*_setting(run), *_start(run)) for run in runs],
    )
    notes = dict.fromkeys(note for run in runs for note in _notes(run))
    profiles = [_profile(run) for run in runs if run.ops]
    failures = [("failed", str(item.error)) for item in measured if item.error]
    notes_of_history = [("not stored", unstored)]
    return Group(latency, "", start, "", *profiles, pairs([*notes, *failures, *notes_of_history]))


def _setting(run: LatencyRun) -> tuple[str, str, str]:
    return run.model.name, run.device, str(run.threads)


def _latency(run: LatencyRun) -> tuple[str, ...]:
    figures = run.summary
    wide = max(figures.interval.high - figures.median, figures.median - figures.interval.low)
    return (
        milliseconds(figures.median),
        f"±{milliseconds(wide)}",
        milliseconds(figures.p90),
        milliseconds(figures.p99),
        f"{figures.stability.score:.0%}",
    )


def _start(run: LatencyRun) -> tuple[str, ...]:
    from statistics import median

    init = [launch.init_ns for launch in run.launches if launch.init_ns is not None]
    first = [launch.first_ns for launch in run.launches if launch.first_ns is not None]
    share = run.engine.delegated_share
    return (
        milliseconds(median(init)) if init else "-",
        milliseconds(median(first)) if first else "-",
        size(run.memory_peak) if run.memory_peak else "-",
        f"{share:.0%}" if share is not None else "-",
    )


def _notes(run: LatencyRun) -> list[tuple[str, str]]:
    from mobiledeploy.device_tests.record import findings

    engine = run.engine
    held = "; ".join(f"{item.name}: {item.reason}" for item in run.uncontrolled)
    words = (
        run.model.arithmetic,
        f"{engine.name} {engine.version}",
        engine.delegate,
        f"runner {engine.runner}",
    )
    return [
        (run.model.name, ", ".join(filter(None, words))),
        (f"{run.model.name}: energy", _energy(run)),
        (f"{run.device}: lab", _lab(run)),
        (f"{run.device}: held", ", ".join(run.controlled)),
        (f"{run.device}: not held", held),
        (f"{run.device}: beware", ", ".join(findings(run))),
    ]


def _lab(run: LatencyRun) -> str:
    if run.lab is None:
        return ""
    after = f" after {'; '.join(run.lab.earlier)}" if run.lab.earlier else ""
    return f"host {run.lab.host}, attempt {run.lab.attempt}{after}"


def _energy(run: LatencyRun) -> str:
    joules = run.energy_per_inference
    return (
        ""
        if joules is None
        else f"{1000 * joules:.3g} mJ of the battery for each inference, threads {run.threads}"
    )


def _profile(run: LatencyRun) -> RenderableType:
    total = sum(op.ns for op in run.ops) or 1
    slowest = sorted(run.ops, key=lambda op: -op.ns)[:SHOWN]
    rows = [
        (op.kind, op.name, milliseconds(op.ns / max(1, op.calls)), f"{op.ns / total:.1%}") for op in slowest
    ]
    return columns((f"{run.model.name}: op", "name", "ms", "share"), rows)
