"""``evaluate``: accuracy of a file on this host."""

from __future__ import annotations

from typing import Any

from mobiledeploy.deploy.evaluation import evaluate
from mobiledeploy.deploy.pipeline.work import Done, Task
from mobiledeploy.deploy.pipeline.work.records import read_run, write_run
from mobiledeploy.deploy.progress import paced
from mobiledeploy.device_tests.accuracy_run import AccuracyRun, Share, paired

RUN = "run.json"


def run(task: Task) -> Done:
    """Evaluate it, and compare it with the float file where there is one."""
    given = task.settings
    found = evaluate(
        task.inputs["file"],
        given["images"],
        labels=given["labels"],
        label_offset=given["label_offset"],
        workers=task.threads,
        progress=paced("images", task.announce),
    )
    write_run(found, task.folder / RUN)
    data: dict[str, Any] = {
        "file": found.file,
        "images": found.images,
        "top1": _share(found.top1),
        "top5": _share(found.top5),
        "engine": found.engine,
        "against_float": None,
    }
    if "against" in task.inputs:
        other = read_run(task.inputs["against"]).run
        if isinstance(other, AccuracyRun):
            data["against_float"] = paired(other, found).to_dict()
    return Done(data)


def _share(found: Share) -> dict[str, float]:
    return {"share": found.share, "low": found.interval.low, "high": found.interval.high}
