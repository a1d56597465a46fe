"""``export`` and ``quantize``: a program that files of all targets are written from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from mobiledeploy.deploy.budget import Drop
from mobiledeploy.deploy.collector import collector_paused
from mobiledeploy.deploy.commands.options import read_recipe
from mobiledeploy.deploy.pipeline.work import Done, Task
from mobiledeploy.deploy.preparation import Budgeted, prepare
from mobiledeploy.deploy.program_file import write_prepared
from mobiledeploy.deploy.sources import load_described
from mobiledeploy.deploy.stages import Stages
from mobiledeploy.deploy.wanted import Wanted


def run(task: Task) -> Done:
    """Make it."""
    given, stages = task.settings, Stages(task.announce)
    names, drop = given["class_names"], given.get("drop")
    wanted = Wanted(given["precision"], given["input_dtype"], given["output_dtype"])
    with collector_paused():
        with stages.stage("load", given["model"]):
            source = load_described(
                given["model"],
                weights=given["weights"],
                width=given["width"],
                resolution=given["resolution"],
                task=given["task"],
                preprocessing=given["preprocessing"],
                class_names=None if names is None else Path(names),
            )
        budgeted = None
        if drop is not None:
            budgeted = Budgeted(Drop(drop["points"], drop["images"], drop["labels"]), drop["target"])
            wanted.check_drop(budgeted.drop, source)
        made = prepare(
            source,
            wanted,
            calibration=given.get("calibration"),
            recipe=read_recipe(given.get("recipe")),
            drop=budgeted,
            stages=stages,
        )
        with stages.stage("write", given["model"]):
            write_prepared(made, task.folder)
    return Done(
        {
            "weights": source.provenance.weights,
            "warnings": [asdict(warning) for warning in made.warnings],
            "drop": None if made.budget is None else made.budget.to_json(),
        }
    )
