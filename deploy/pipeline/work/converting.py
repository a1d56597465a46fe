"""``convert`` and ``quantize``: one export, a verified file for each target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mobiledeploy.deploy.budget import Drop
from mobiledeploy.deploy.collector import collector_paused
from mobiledeploy.deploy.commands.options import read_recipe
from mobiledeploy.deploy.conversion import Conversion, convert_all
from mobiledeploy.deploy.pipeline.work import Done, Task
from mobiledeploy.deploy.sources import load_described
from mobiledeploy.deploy.stages import Stages


def run(task: Task) -> Done:
    """Write the files."""
    given, stages = task.settings, Stages(task.announce)
    names = given["class_names"]
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
        made = convert_all(
            source,
            given["targets"],
            name=given["name"],
            precision=given["precision"],
            input_dtype=given["input_dtype"],
            output_dtype=given["output_dtype"],
            calibration=given.get("calibration"),
            recipe=read_recipe(given.get("recipe")),
            drop=Drop(given["max_drop"], given["images"], given["labels"]) if "max_drop" in given else None,
            output=task.folder,
            stages=stages,
        )
    budget = made[0].budget
    return Done(
        {
            "weights": source.provenance.weights,
            "files": [_describe(item) for item in made],
            "warnings": len(made[0].warnings),
            "drop": None if budget is None else budget.to_json(),
        }
    )


def _describe(made: Conversion) -> dict[str, Any]:
    artifact, report = made.artifact, made.verification
    return {
        "file": artifact.path.name,
        "sha256": artifact.sha256,
        "size": artifact.size,
        "arithmetic": artifact.census.arithmetic,
        "verified": None if report is None else report.passed,
        "engine": None if report is None else report.engine,
    }
