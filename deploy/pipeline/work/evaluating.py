"""``evaluate``: accuracy of a file on this host."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mobiledeploy.deploy.evaluation import evaluate
from mobiledeploy.deploy.pipeline.work import Done, Task
from mobiledeploy.deploy.pipeline.work.records import read_run, write_run
from mobiledeploy.deploy.progress import paced
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.metric_difference import compare
from mobiledeploy.device_tests.tasks.metric import Figure

RUN = "run.json"
_KEYS = {"top-1": "top1", "top-5": "top5"}


def run(task: Task) -> Done:
    """Evaluate it, and compare it with the float file where there is one."""
    given = task.settings
    found = evaluate(
        task.inputs["file"],
        given["images"],
        labels=given["labels"],
        label_offset=given["label_offset"],
        far=given["far"],
        workers=task.threads,
        progress=paced("images", task.announce),
    )
    write_run(found, task.folder / RUN)
    data: dict[str, Any] = {
        "file": found.file,
        "images": found.images,
        "figures": [asdict(figure) for figure in found.figures],
        # Of a classifier, as before there were others.
        **{_KEYS[item.name]: _share(item) for item in found.figures if item.name in _KEYS},
        "engine": found.engine,
        "against_float": None,
    }
    if "against" in task.inputs:
        other = read_run(task.inputs["against"]).run
        if isinstance(other, AccuracyRun):
            data["against_float"] = compare(other, found).to_dict()
    return Done(data)


def _share(found: Figure) -> dict[str, float | None]:
    ends = found.interval
    return {
        "share": found.value,
        "low": ends.low if ends else None,
        "high": ends.high if ends else None,
    }
