"""``benchmark``: latency of all files on one device, launches interleaved."""

from __future__ import annotations

from typing import Any

from mobiledeploy.deploy.commands.storing import store
from mobiledeploy.deploy.pipeline.work import Done, Task
from mobiledeploy.deploy.pipeline.work.files import library_of
from mobiledeploy.deploy.pipeline.work.records import write_run
from mobiledeploy.device_tests.affinity import check_affinity
from mobiledeploy.device_tests.cooling import Coolness
from mobiledeploy.device_tests.lab.runs import measure
from mobiledeploy.device_tests.latency_run import LatencyRun
from mobiledeploy.device_tests.plan import Plan
from mobiledeploy.device_tests.record import findings
from mobiledeploy.runtimes.formats import read_artifact
from mobiledeploy.runtimes.runner.request import Timing


def run(task: Task) -> Done:
    """Measure; what was measured before a device was lost is in the history, and the step has failed."""
    given = task.settings
    plan = Plan(
        artifacts=tuple(read_artifact(path) for path in task.inputs.values()),
        threads=(given["threads"],),
        launches=given["launches"],
        timing=Timing(warmup_seconds=0.2, min_runs=given["runs"], min_seconds=given["seconds"]),
        affinity=check_affinity(given["affinity"]),
        governor=given["governor"],
        coolness=Coolness(given["max_temperature"]),
        runner=given["runner"],
        library=library_of(given),
    )
    (measured,) = measure(
        [given["device"]],
        plan,
        scheduler=task.scheduler,
        wait=task.wait,
        label=task.label,
        announce=task.announce,
    )
    ids, problem = store(measured.runs, task.history, task.label) if task.store else ([], "")
    if measured.error is not None:
        raise measured.error
    # Attempts of a lab that were cut come first.
    whole = measured.runs[-len(plan.artifacts) :]
    for found in whole:
        write_run(found, task.folder / f"{found.model.name}.json")
    return Done({"runs": list(map(_describe, whole)), "history": {"ids": ids, "problem": problem}})


def _describe(found: LatencyRun) -> dict[str, Any]:
    figures = found.summary
    return {
        "file": found.model.name,
        "device": found.device,
        "threads": found.threads,
        "engine": f"{found.engine.name} {found.engine.version}",
        "started": found.started,
        "median_ns": figures.median,
        "low_ns": figures.interval.low,
        "high_ns": figures.interval.high,
        "p90_ns": figures.p90,
        "clock": found.clock,
        "beware": list(findings(found)),
    }
