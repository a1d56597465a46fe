"""``mobiledeploy run``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobiledeploy.deploy.commands.options import HistoryOption, LabelOption, SchedulerOption, StoreOption
from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome
from mobiledeploy.deploy.progress import announcer
from mobiledeploy.deploy.project import FILE

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.deploy.pipeline.execution import Result
    from mobiledeploy.deploy.pipeline.running import Planned

EXAMPLE = "mobiledeploy run --dry-run"


def run(
    file: Annotated[Path, typer.Argument(metavar="TOML", help="The project's file.")] = Path(FILE),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan: what is fresh, what is to do, and why.")
    ] = False,
    again: Annotated[
        list[str] | None,
        typer.Option(
            "--again",
            metavar="STEP",
            help="Do this step anew, or all of a kind, like benchmark.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Steps side by side; the cores, up to 4, by default."),
    ] = None,
    store_runs: StoreOption = True,
    label: LabelOption = None,
    history: HistoryOption = None,
    scheduler: SchedulerOption = None,
    wait: Annotated[
        float | None,
        typer.Option(
            "--wait", min=0.0, metavar="S", help="Seconds to wait for a free device of a lab; 600 by default."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Do all that a project asks for: quantize, convert, verify, evaluate, benchmark, gate, package.

    Each step is kept by the content of what it was made from, and done again only when that changes.
    """
    from mobiledeploy.deploy.pipeline.execution import worst_code
    from mobiledeploy.deploy.pipeline.running import opened, threads_for, usual_jobs
    from mobiledeploy.deploy.pipeline.starting import Settings

    where = partial(
        opened, file, again or [], alone=not dry_run, history=history, scheduler=scheduler, wait=wait
    )
    if dry_run:
        with where() as found:
            planned = found.survey()
        data = {"dry_run": True, "steps": [_plan_data(item) for item in planned]}
        return Outcome(data, lambda: _render_plan(planned), as_json)
    jobs = jobs or usual_jobs()
    with where() as found:
        _tell_plan(found.survey())
        lab = found.project.settings.measure
        settings = Settings(threads_for(jobs), store_runs, history, label, lab.scheduler, lab.wait)
        with announcer() as announce:
            results = found.run(settings, jobs, announce)
    code = worst_code(results)
    data = {"dry_run": False, "exit_code": code, "steps": [asdict(result) for result in results]}
    return Outcome(data, lambda: _render(results), as_json, code)


def _plan_data(item: Planned) -> dict[str, Any]:
    step = item.step
    return {
        "step": step.name,
        "state": item.state,
        "reason": item.reason,
        "needs": list(step.needs),
        "device": step.device or None,
        "files": list(step.publishes.values()),
    }


def _tell_plan(planned: Sequence[Planned]) -> None:
    """The plan on stderr, one line for each step."""
    width = max(len(item.step.name) for item in planned)
    sys.stderr.writelines(
        f"{item.step.name:{width}}  {item.state}{f': {item.reason}' if item.reason else ''}\n"
        for item in planned
    )


def _render_plan(planned: Sequence[Planned]) -> RenderableType:
    from mobiledeploy.deploy.commands.tables import columns

    return columns(("step", "state", "why"), [(item.step.name, item.state, item.reason) for item in planned])


def _render(results: Sequence[Result]) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns, pairs

    rows = [
        (item.step, item.state, f"{item.seconds:.1f}" if item.state == "done" else "", _summary(item))
        for item in results
    ]
    files = sorted(file for item in results for file in item.files)
    notes = [(item.step, note) for item in results for note in _notes(item)]
    ended = "nothing was to do" if all(item.state == "fresh" for item in results) else ""
    facts = [*notes, *(("file", file) for file in files), ("run", ended)]
    return Group(columns(("step", "state", "s", "result"), rows), "", pairs(facts))


def _summary(result: Result) -> str:
    """One line of what a step found."""
    from mobiledeploy.deploy.commands.tables import milliseconds, size

    if result.error is not None:
        return str(result.error.get("message", ""))
    if result.state == "skipped":
        return result.reason
    data, kind = result.data, result.step.partition(":")[0]
    if kind in ("export", "quantize"):
        return data["weights"] or ""
    if kind == "convert":
        return f"{size(data['size'])} {data['arithmetic']}"
    if kind == "verify":
        return _difference(data["verification"])
    if kind == "evaluate":
        return _accuracy(data)
    if kind == "benchmark":
        return ", ".join(f"{item['file']} {milliseconds(item['median_ns'])} ms" for item in data["runs"])
    if kind == "gate":
        reasons = [item["reason"] for item in data["gates"] if item["outcome"] != "pass"]
        return ": ".join([data["outcome"], *filter(None, ["; ".join(reasons)])])
    return str(data.get("class", ""))


def _difference(report: dict[str, Any]) -> str:
    worst = max((item["max_difference"], item["tolerance"]) for item in report["outputs"])
    return f"differs by {worst[0]:.1e} ({worst[1]:.1e} allowed)"


def _accuracy(data: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{item['name']} {100 * item['value']:.1f}%" for item in data["figures"][:2])
    against, beside = data["against_float"], data["against_host"]
    change = f", {against['points']:+.1f} points against float" if against else ""
    if beside is None:
        return f"{shares}{change}"
    same = f", {beside['same']} of {beside['images']} predictions as on this host"
    wrong = "" if beside["sound"] else f"; MISMATCH: {beside['worst_image']} at {beside['worst_db']:.1f} dB"
    return f"{shares}{change}{same}{wrong}"


def _notes(result: Result) -> list[str]:
    data = result.data
    unstored = data.get("history", {}).get("problem", "")
    taken = result.reason.partition("taken away: ")[2]
    drop = data.get("drop")
    return [
        *([f"in float: {', '.join(drop['chosen']['exempt'])}"] if drop and drop["chosen"]["exempt"] else []),
        *([f"not stored: {unstored}"] if unstored else []),
        *([f"no longer there: {taken}"] if taken else []),
        *data.get("remarks", []),
        *data.get("trouble", []),
    ]
