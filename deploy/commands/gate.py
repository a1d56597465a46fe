"""``mobiledeploy gate`` and ``mobiledeploy gate calibrate``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobiledeploy.deploy.commands.gate_reports import parse_wanted, tell_github, write_reports
from mobiledeploy.deploy.commands.options import (
    EngineLibraryOption,
    HistoryOption,
    LabelOption,
    RunnerOption,
    SchedulerOption,
    StoreOption,
    WaitOption,
)
from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome
from mobiledeploy.deploy.commands.storing import store
from mobiledeploy.deploy.progress import announcer
from mobiledeploy.errors import EnvironmentProblem

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.deploy.project.loading import Project
    from mobiledeploy.device_tests.gate import Gate, GateReport, Setting, Stored
    from mobiledeploy.device_tests.gate.calibrate import Calibration
    from mobiledeploy.device_tests.history import History
    from mobiledeploy.device_tests.history.documents import Run
    from mobiledeploy.runtimes.census import Artifact

HELP = "Whether a model became slower, larger or worse: pass, fail or inconclusive, at known error rates."
EXAMPLE = "mobiledeploy gate --candidate new.tflite --baseline old.tflite --device adb --max-regression 3%"
CALIBRATE_EXAMPLE = "mobiledeploy gate calibrate --device adb"
FAILED, INCONCLUSIVE, TROUBLE = 9, 10, 8
CODES = {"pass": 0, "fail": FAILED, "inconclusive": INCONCLUSIVE, "trouble": TROUBLE}

DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        "-d",
        metavar="REF",
        help="local, adb:SERIAL, ssh:[USER@]HOST[:PORT], a name of devices.toml, kind:KIND.",
    ),
]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, help="Of the engine, for both files.")]
AffinityOption = Annotated[
    str, typer.Option("--affinity", metavar="CORES", help="Cores like 4-7; fastest, slowest or all.")
]
GovernorOption = Annotated[
    str, typer.Option("--governor", metavar="NAME", help="Set where permitted and put back; '' leaves it.")
]
TemperatureOption = Annotated[
    float | None,
    typer.Option("--max-temperature", metavar="C", help="Wait before each session until it is this cool."),
]
RunsOption = Annotated[int, typer.Option("--runs", min=5, help="Inferences of a launch, at least.")]
TimeLimitOption = Annotated[
    str, typer.Option("--time-limit", metavar="TIME", help="Device time for all launches, like 120s.")
]


def _limit(name: str, metavar: str, about: str) -> Any:
    return typer.Option(f"--{name}", metavar=metavar, help=about)


def gate(
    context: typer.Context,
    candidate: Annotated[
        Path | None, typer.Option("--candidate", metavar="FILE", help="The TFLite, ONNX or Core ML file.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="FILE|history:REF", help="A file, or a stored run's id."),
    ] = None,
    device: DeviceOption = None,
    max_regression: Annotated[
        str | None, _limit("max-regression", "3%", "Slower than the baseline by at most this.")
    ] = None,
    max_median: Annotated[str | None, _limit("max-median", "15ms", "Median latency at most.")] = None,
    max_p90: Annotated[str | None, _limit("max-p90", "20ms", "90th percentile at most.")] = None,
    max_init: Annotated[str | None, _limit("max-init", "200ms", "From file to ready model at most.")] = None,
    max_memory: Annotated[str | None, _limit("max-memory", "50MB", "Most resident memory at most.")] = None,
    max_size: Annotated[str | None, _limit("max-size", "5MB", "Size of the file at most.")] = None,
    min_delegated: Annotated[
        str | None, _limit("min-delegated", "95%", "Share of operators that the delegate takes at least.")
    ] = None,
    full_integer: Annotated[
        bool, typer.Option("--full-integer", help="Every operation in integers.")
    ] = False,
    max_top1_drop: Annotated[
        str | None,
        _limit("max-top1-drop", "0.5", "Percentage points of top-1 below the baseline at most."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Labelled images for --max-top1-drop.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="CSV", help="File names and class indices.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="TOML", help="Limits of its [gates]; deploy.toml if that is here."),
    ] = None,
    time_limit: TimeLimitOption = "120s",
    threads: ThreadsOption = 1,
    affinity: AffinityOption = "all",
    governor: GovernorOption = "performance",
    max_temperature: TemperatureOption = None,
    count: RunsOption = 20,
    runner: RunnerOption = "auto",
    engine_library: EngineLibraryOption = None,
    store_runs: StoreOption = True,
    label: LabelOption = None,
    history: HistoryOption = None,
    scheduler: SchedulerOption = None,
    wait: WaitOption = 600.0,
    reports: Annotated[
        list[str] | None,
        typer.Option(
            "--report",
            metavar="KIND=FILE",
            help="junit, markdown, openmetrics or github; several times for several files.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Decide whether a candidate keeps its limits: exit code 0 pass, 9 fail, 10 inconclusive, 8 trouble."""
    from dataclasses import replace

    from mobiledeploy.deploy.gate_baselines import STORED
    from mobiledeploy.device_tests.gate import Stored
    from mobiledeploy.device_tests.history.findings import gate_finding
    from mobiledeploy.device_tests.lab.runs import decide
    from mobiledeploy.runtimes.formats import read_artifact

    _refuse_missing(context, candidate=candidate, device=device)
    if candidate is None or device is None:
        raise typer.BadParameter("--candidate and --device are needed.", ctx=context)
    options = {
        "max-regression": max_regression,
        "max-median": max_median,
        "max-p90": max_p90,
        "max-init": max_init,
        "max-memory": max_memory,
        "max-size": max_size,
        "min-delegated": min_delegated,
        "full-integer": "true" if full_integer else None,
        "max-top1-drop": max_top1_drop,
    }
    setting = _setting(
        time_limit, threads, affinity, governor, max_temperature, count, runner, engine_library
    )
    project = _project(config)
    gates = _gates(options, project)
    wanted = parse_wanted(reports or ())
    artifact = read_artifact(candidate)
    with _opened(history, needed=bool(baseline and baseline.startswith(STORED))) as opened:
        other = _baseline(baseline, opened)
        if other is not None and not any(item.kind.name == "max-regression" for item in gates):
            needed = not gates or (project is not None and project.calibrated)
            gates = (*gates, *_calibrated(opened, device, setting, needed=needed))
    if isinstance(other, Stored):
        # As the stored sessions were measured.
        setting = replace(setting, timing=other.run.timing)

    def evaluate(file: Artifact) -> Any:
        from mobiledeploy.deploy.evaluation import evaluate_device, need_top1, task_of
        from mobiledeploy.device_tests.device_accuracy import Options

        need_top1(task_of(file), "--max-top1-drop", file.path.name)
        with announcer() as announce:
            announce(f"{device}: evaluate {file.path.name}")
            given = Options(runner=runner, library=engine_library)
            return evaluate_device(file.path, images or "", device or "", labels=labels, options=given)

    with announcer() as announce:
        report = decide(
            device,
            artifact,
            gates,
            baseline=other,
            setting=setting,
            evaluate=evaluate if images else None,
            scheduler=scheduler,
            wait=wait,
            label=label,
            announce=announce,
        )
    # The report last: it is of the runs.
    found: list[Run] = [*report.runs, gate_finding(report)]
    ids, unstored = store(found, history, label) if store_runs else ([], "")
    write_reports(report, wanted)
    tell_github(report)
    data = {**report.to_dict(), "history": {"ids": ids, "problem": unstored}}
    return Outcome(data, lambda: _render(report, unstored), as_json, CODES[report.outcome])


def calibrate(
    device: Annotated[
        str,
        typer.Option("--device", "-d", metavar="REF", help="As for gate."),
    ],
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", metavar="FILE", help="To run against itself; MobileNet V1 0.25 without weights if none."
        ),
    ] = None,
    time_limit: TimeLimitOption = "120s",
    threads: ThreadsOption = 1,
    affinity: AffinityOption = "all",
    governor: GovernorOption = "performance",
    max_temperature: TemperatureOption = None,
    count: RunsOption = 20,
    runner: RunnerOption = "auto",
    engine_library: EngineLibraryOption = None,
    store_runs: StoreOption = True,
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Find the smallest regression that a device can gate in a given time, from a file against itself."""
    from dataclasses import replace

    from mobiledeploy.device_tests.gate.calibrate import LABEL, calibration_from, measure_itself
    from mobiledeploy.runtimes.formats import read_artifact

    setting = _setting(
        time_limit, threads, affinity, governor, max_temperature, count, runner, engine_library
    )
    with tempfile.TemporaryDirectory() as folder, announcer() as announce:
        artifact = read_artifact(file or _usual_file(Path(folder)))
        series, run = measure_itself(device, artifact, setting, announce=announce)
        announce("compute the tolerance")
        pairs = max(1, len(series.runs[-1].launches))
        found = calibration_from(run, series.seconds / pairs, setting.time_limit)
    ids, unstored = store([run], history, LABEL) if store_runs else ([], "")
    found = replace(found, run=ids[0] if ids else "")
    data = {**found.to_dict(), "history": {"ids": ids, "problem": unstored}}
    return Outcome(data, lambda: _render_calibration(found, unstored), as_json)


def _refuse_missing(context: typer.Context, **needed: object) -> None:
    for name, value in needed.items():
        if value is None:
            raise typer.BadParameter(f"Missing option '--{name}'.", ctx=context)


def _setting(
    time_limit: str,
    threads: int,
    affinity: str,
    governor: str,
    max_temperature: float | None,
    count: int,
    runner: str,
    library: Path | None,
) -> Setting:
    from dataclasses import replace

    from mobiledeploy.device_tests.affinity import check_affinity
    from mobiledeploy.device_tests.cooling import Coolness
    from mobiledeploy.device_tests.gate import Setting, parse_seconds
    from mobiledeploy.device_tests.gate.measuring import TIMING

    return Setting(
        threads=threads,
        affinity=check_affinity(affinity),
        governor=governor,
        coolness=Coolness(max_temperature),
        timing=replace(TIMING, min_runs=count),
        runner=runner,
        library=library,
        time_limit=parse_seconds(time_limit, "--time-limit"),
    )


def _gates(options: dict[str, str | None], project: Project | None) -> tuple[Gate, ...]:
    """Those of the table, then options, which take the place of the table's."""
    from mobiledeploy.device_tests.gate import parse_gate

    given = tuple(parse_gate(name, text) for name, text in options.items() if text is not None)
    names = {item.kind.name for item in given}
    table = project.limits if project else ()
    return (*(item for item in table if item.kind.name not in names), *given)


def _project(config: Path | None) -> Project | None:
    """The file with the table of limits; None: there is none."""
    from mobiledeploy.deploy.project import FILE
    from mobiledeploy.deploy.project.loading import load

    file = config or (Path(FILE) if Path(FILE).is_file() else None)
    return load(file) if file else None


@contextmanager
def _opened(url: str | None, *, needed: bool) -> Iterator[History | None]:
    """The history; None where its packages are not installed and nothing of it was asked for."""
    from mobiledeploy.device_tests.history import open_history

    try:
        opened = open_history(url)
    except EnvironmentProblem:
        if needed or url:
            raise
        yield None
        return
    with opened:
        yield opened


def _baseline(text: str | None, history: History | None) -> Artifact | Stored | None:
    from mobiledeploy.deploy.gate_baselines import STORED, stored_baseline
    from mobiledeploy.runtimes.formats import read_artifact

    if text is None:
        return None
    if text.startswith(STORED) and history is not None:
        return stored_baseline(history, text)
    return read_artifact(Path(text))


def _calibrated(history: History | None, device: str, setting: Setting, *, needed: bool) -> tuple[Gate, ...]:
    """The default tolerance, from the device's calibration."""
    from mobiledeploy.deploy.gate_baselines import find_calibration
    from mobiledeploy.device_tests.gate.calibrate import calibrated_gate

    found = find_calibration(history, device, setting, needed=needed)
    return (calibrated_gate(found.tolerance, found.run),) if found else ()


def _usual_file(folder: Path) -> Path:
    from mobiledeploy.deploy.conversion import convert_all
    from mobiledeploy.deploy.sources import as_source

    source = as_source("mobilenet_v1", weights="random", width=0.25)
    return convert_all(source, ("tflite",), name="mobilenet_v1_0.25", output=folder)[0].artifact.path


def _render(report: GateReport, unstored: str) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from mobiledeploy.deploy.commands.tables import columns, pairs
    from mobiledeploy.device_tests.gate.formats.words import found, interval, limit, title

    rows = [
        (item.name, item.outcome.upper(), limit(item), found(item), interval(item)) for item in report.gates
    ]
    table = columns(("gate", "outcome", "limit", "found", "interval"), rows)
    reasons = [(item.name, item.reason) for item in report.gates]
    sessions = [
        (f"session {number}", f"{item.pairs} pairs, {item.seconds:.0f} s{_work(item.other_work)}")
        for number, item in enumerate(report.sessions, 1)
    ]
    head = f"{title(report)}: {report.outcome.upper()}"
    notes = [("beware", note) for note in report.notes] + [("trouble", what) for what in report.trouble]
    return Group(Text(head), "", table, "", pairs([*reasons, *sessions, *notes, ("not stored", unstored)]))


def _work(cores: float | None) -> str:
    return "" if cores is None else f", other work {cores:.2f} cores"


def _render_calibration(found: Calibration, unstored: str) -> RenderableType:
    from mobiledeploy.deploy.commands.tables import pairs

    return pairs(
        [
            ("device", f"{found.device}, threads {found.threads}, {found.engine}, {found.model}"),
            (
                "tolerance",
                f"{found.tolerance:.1%}: a file against itself passes ({found.decided:.0%} of gates)",
            ),
            ("detects", f"a slowdown of {found.detectable:.1%}, as surely, within {found.time_limit:g} s"),
            ("measured", f"{found.pairs} pairs, {found.seconds_per_pair:.2f} s each"),
            ("stored", found.run),
            ("not stored", unstored),
        ]
    )
