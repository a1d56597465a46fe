"""``evaluate``: accuracy of a file on this host or, beside it, on a device."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mobiledeploy.deploy.commands.storing import store
from mobiledeploy.deploy.evaluation import evaluate, evaluate_device
from mobiledeploy.deploy.pipeline.parts import RUN
from mobiledeploy.deploy.pipeline.work import Done, Task
from mobiledeploy.deploy.pipeline.work.files import library_of
from mobiledeploy.deploy.pipeline.work.records import read_run, write_run
from mobiledeploy.deploy.progress import paced
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.device_accuracy import Options
from mobiledeploy.device_tests.host_comparison import HostComparison
from mobiledeploy.device_tests.metric_difference import compare
from mobiledeploy.device_tests.tasks.metric import Figure
from mobiledeploy.errors import VerificationError

_KEYS = {"top-1": "top1", "top-5": "top5"}


def run(task: Task) -> Done:
    """Evaluate it, and compare it with the float file where there is one.

    A device that computes something else than this host is bad news for good, as a gate that fails is.
    """
    found = _evaluate(task)
    write_run(found, task.folder / RUN)
    data: dict[str, Any] = {
        "file": found.file,
        "device": found.device,
        "images": found.images,
        "figures": [asdict(figure) for figure in found.figures],
        # Of a classifier, as before there were others.
        **{_KEYS[item.name]: _share(item) for item in found.figures if item.name in _KEYS},
        "engine": found.engine,
        "against_float": None,
        "against_host": _beside_host(found.host),
    }
    if "against" in task.inputs:
        other = read_run(task.inputs["against"]).run
        if isinstance(other, AccuracyRun):
            data["against_float"] = compare(other, found).to_dict()
    if found.device is not None and task.store:
        ids, problem = store([found], task.history, task.label)
        data["history"] = {"ids": ids, "problem": problem}
    unsound = found.host is not None and not found.host.sound
    return Done(data, VerificationError.exit_code if unsound else 0)


def _evaluate(task: Task) -> AccuracyRun:
    given, progress = task.settings, paced("images", task.announce)
    file, images = task.inputs["file"], given["images"]
    if "device" not in given:
        return evaluate(
            file,
            images,
            labels=given["labels"],
            label_offset=given["label_offset"],
            far=given["far"],
            workers=task.threads,
            progress=progress,
        )
    return evaluate_device(
        file,
        images,
        given["device"],
        labels=given["labels"],
        label_offset=given["label_offset"],
        far=given["far"],
        options=Options(runner=given["runner"], library=library_of(given)),
        progress=progress,
    )


def _beside_host(found: HostComparison | None) -> dict[str, Any] | None:
    return None if found is None else {**asdict(found), "sqnr_db": found.sqnr_db, "sound": found.sound}


def _share(found: Figure) -> dict[str, float | None]:
    ends = found.interval
    return {
        "share": found.value,
        "low": ends.low if ends else None,
        "high": ends.high if ends else None,
    }
