"""``gate``: limits of a file, measured where they have to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mobiledeploy.deploy.commands.gate import CODES
from mobiledeploy.deploy.commands.storing import store
from mobiledeploy.deploy.evaluation import evaluate, need_top1, task_of
from mobiledeploy.deploy.gate_baselines import STORED, stored_baseline
from mobiledeploy.deploy.pipeline.work import Done, Task
from mobiledeploy.deploy.pipeline.work.files import library_of
from mobiledeploy.deploy.pipeline.work.records import read_run
from mobiledeploy.deploy.project import FILE
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.affinity import check_affinity
from mobiledeploy.device_tests.cooling import Coolness
from mobiledeploy.device_tests.gate import Setting, Stored, gates_from_table, parse_seconds
from mobiledeploy.device_tests.gate.calibrate import calibrated_gate
from mobiledeploy.device_tests.gate.formats import FORMATS, words
from mobiledeploy.device_tests.gate.report import GateReport
from mobiledeploy.device_tests.history import open_history
from mobiledeploy.device_tests.history.documents import Run
from mobiledeploy.device_tests.history.findings import gate_finding
from mobiledeploy.device_tests.lab.runs import decide
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import read_artifact

# What decides a gate for good: what is inconclusive or in trouble is worth another try.
_FINAL = ("pass", "fail")


def run(task: Task) -> Done:
    """Decide; a fail is kept as a pass is, so that nobody tries again until it is green."""
    given = task.settings
    report = _decide(task)
    found: list[Run] = [*report.runs, gate_finding(report)]
    ids, problem = store(found, task.history, task.label) if task.store else ([], "")
    for kind in given["reports"]:
        (task.folder / kind).write_text(FORMATS[kind](report), encoding="utf-8", newline="\n")
    data = {**_describe(report), "history": {"ids": ids, "problem": problem}}
    return Done(data, CODES[report.outcome], report.outcome in _FINAL)


def _decide(task: Task) -> GateReport:
    given, setting = task.settings, setting_of(task.settings)
    gates = gates_from_table(given["limits"], FILE)
    if found := given.get("calibrated"):
        gates = (*gates, calibrated_gate(found["tolerance"], found["run"]))
    baseline = _baseline(task)
    if isinstance(baseline, Stored):
        # As the stored sessions were measured.
        setting = replace(setting, timing=baseline.run.timing)
    candidate = read_artifact(task.inputs["file"])
    return decide(
        # Limits of files alone are read on no device.
        given["device"] or "local",
        candidate,
        gates,
        baseline=baseline,
        setting=setting,
        evaluate=_Evaluations(task),
        scheduler=task.scheduler if given["device"] else None,
        wait=task.wait,
        label=task.label,
        announce=task.announce,
    )


def _baseline(task: Task) -> Artifact | Stored | None:
    if stored := task.settings.get("stored"):
        with open_history(task.history) as history:
            return stored_baseline(history, f"{STORED}{stored}")
    path = task.inputs.get("baseline") or task.settings.get("baseline")
    return None if path is None else read_artifact(Path(path))


def setting_of(given: Mapping[str, Any]) -> Setting:
    """How a gate measures, from the settings of its step."""
    seconds = parse_seconds(given["time_limit"], f"{FILE}: gates.time-limit")
    if not given["device"]:
        return Setting(time_limit=seconds)
    return Setting(
        threads=given["threads"],
        affinity=check_affinity(given["affinity"]),
        governor=given["governor"],
        coolness=Coolness(given["max_temperature"]),
        runner=given["runner"],
        library=library_of(given),
        time_limit=seconds,
    )


class _Evaluations:
    """Accuracy of a file: of the project's own the run that is there, of an earlier release a new one."""

    def __init__(self, task: Task) -> None:
        self._task = task
        runs = [read_run(task.inputs[name]).run for name in ("run", "baseline_run") if name in task.inputs]
        self._known = {item.sha256: item for item in runs if isinstance(item, AccuracyRun)}

    def __call__(self, artifact: Artifact) -> AccuracyRun:
        need_top1(task_of(artifact), "max-top1-drop", artifact.path.name)
        if artifact.sha256 not in self._known:
            given = self._task.settings
            self._task.announce(f"evaluate {artifact.path.name}")
            self._known[artifact.sha256] = evaluate(
                artifact.path,
                given["images"],
                labels=given["labels"],
                label_offset=given["label_offset"],
                workers=self._task.threads,
            )
        return self._known[artifact.sha256]


def _describe(report: GateReport) -> dict[str, Any]:
    return {
        "file": report.candidate.name,
        "device": report.device,
        "outcome": report.outcome,
        "gates": [
            {
                "name": item.name,
                "outcome": item.outcome,
                "limit": words.limit(item),
                "found": words.found(item),
                "interval": words.interval(item),
                "reason": item.reason,
            }
            for item in report.gates
        ],
        "trouble": list(report.trouble),
        "notes": list(report.notes),
    }
