"""What a project's file gives to a command for what the user left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mobiledeploy.deploy.project.files import (
    float_file,
    model_of,
    package_folder,
    packaged_target,
    product,
    wanted,
)
from mobiledeploy.deploy.project.loading import Project
from mobiledeploy.deploy.project.schema import FLOAT, Settings, Table
from mobiledeploy.deploy.sweep.grid import RANDOM
from mobiledeploy.deploy.wanted import Wanted
from mobiledeploy.models import DEFAULT_MODEL

Values = dict[str, Any]
Given = Mapping[str, Any]


def defaults_for(command: str, given: Given, project: Project) -> Values:
    """Values of a command's parameters.

    Args:
        command: one of ``COMMANDS``.
        given: parameters that the user gave: what belongs to another one of the file's is left out.
        project: with a ``[model]``; another one gives nothing.

    Returns:
        By parameter, as the user would write them; never one that is None.
    """
    if project.settings.model is None:
        return {}
    found = MAKERS[command](project, given)
    return {name: value for name, value in found.items() if value not in (None, (), [])}


def _model(settings: Settings, given: Given, argument: str = "model") -> Values:
    """The model, unless the user named another."""
    if argument in given:
        return {}
    model = model_of(settings)
    return {
        argument: model.name or DEFAULT_MODEL,
        "weights": model.weights,
        "width": model.width,
        "resolution": model.resolution,
    }


def _described(settings: Settings, given: Given) -> Values:
    """The model with what its file is to say."""
    if "model" in given:
        return {}
    model = model_of(settings)
    return {
        **_model(settings, given),
        "task": model.task,
        "preprocessing": rule_text(settings),
        "class_names": model.class_names,
    }


def _convert(project: Project, given: Given) -> Values:
    settings, asked = project.settings, project.settings.convert
    precision = given.get("precision", asked.precision)
    values: Values = {
        **_described(settings, given),
        "target": list(asked.targets),
        "precision": precision,
        "output": asked.output,
    }
    if Wanted(precision).is_quantized:
        values["calibration"] = settings.data.calibration
    if precision != asked.precision:
        # The rest is of the file's precision.
        return values
    values |= {
        "input_dtype": asked.input_dtype,
        "output_dtype": asked.output_dtype,
        "recipe": recipe_text(settings),
        "max_drop": asked.max_drop,
    }
    if asked.max_drop is not None and "drop_images" not in given:
        values |= {"drop_images": settings.data.images, "drop_labels": settings.data.labels}
    return values


def _verify(project: Project, given: Given) -> Values:
    settings = project.settings
    # Only a float file has a fixed tolerance.
    file = product if not wanted(settings).is_quantized else float_file
    return {**_model(settings, given, "against"), "file": file(settings, settings.convert.targets[0])}


def _diagnose(project: Project, given: Given) -> Values:
    settings = project.settings
    described = _described(settings, given)
    described.pop("class_names", None)
    return {**described, "calibration": settings.data.calibration, "recipe": recipe_text(settings)}


def _images(settings: Settings, given: Given) -> Values:
    """Labelled images, unless the user named others."""
    if "images" in given:
        return {}
    return {"images": settings.data.images, "labels": settings.data.labels}


def _evaluate(project: Project, given: Given) -> Values:
    settings = project.settings
    return {
        **_images(settings, given),
        "label_offset": settings.data.label_offset,
        "far": settings.data.far,
        "file": product(settings, settings.convert.targets[0]),
    }


def _lab(settings: Settings, given: Given) -> Values:
    """Where the project's devices are, unless the user named others."""
    how = settings.measure
    return (
        {} if "device" in given or how.scheduler is None else {"scheduler": how.scheduler, "wait": how.wait}
    )


def _measure(settings: Settings) -> Values:
    how = settings.measure
    return {
        "affinity": how.affinity,
        "governor": how.governor,
        "max_temperature": how.max_temperature,
        "runner": how.runner,
        "engine_library": how.engine_library,
    }


def _benchmark(project: Project, given: Given) -> Values:
    settings, how = project.settings, project.settings.measure
    return {
        **_measure(settings),
        **_lab(settings, given),
        "files": [product(settings, target) for target in settings.convert.targets],
        "device": list(how.devices),
        "threads": str(how.threads),
        "launches": how.launches,
        "count": how.runs,
        "seconds": how.seconds,
    }


def _device(settings: Settings) -> Values:
    how = settings.measure
    return {**_measure(settings), "device": next(iter(how.devices), None), "threads": how.threads}


def _gate(project: Project, given: Given) -> Values:
    settings = project.settings
    target, baseline = settings.convert.targets[0], settings.gates.baseline
    return {
        **_device(settings),
        **_lab(settings, given),
        **_images(settings, given),
        "candidate": product(settings, target),
        "baseline": float_file(settings, target) if baseline == FLOAT else baseline,
        "time_limit": settings.gates.time_limit,
    }


def _calibrate(project: Project, _given: Given) -> Values:
    return {**_device(project.settings), "time_limit": project.settings.gates.time_limit}


def _package(project: Project, given: Given) -> Values:
    if "check" in given:
        return {}
    settings, wanted_packages = project.settings, project.settings.packages_by_name()
    only = next(iter(wanted_packages)) if len(wanted_packages) == 1 else None
    platform = given.get("platform", only)
    if platform not in wanted_packages:
        return {}
    package = wanted_packages[platform]
    values: Values = {
        "platform": platform,
        "output": package_folder(settings, platform),
        "name": package.name,
        "namespace": package.namespace,
    }
    if "file" not in given:
        values["file"] = product(settings, packaged_target(settings, platform, project.where("packages")))
    return values


def _sweep(project: Project, given: Given) -> Values:
    settings, how = project.settings, project.settings.measure
    values: Values = {
        "device": list(how.devices),
        "threads": str(how.threads),
        **_lab(settings, given),
    }
    if not {"model", "preset"} & given.keys():
        values["model"] = model_of(settings).name
    # Of other weights than random ones there is an accuracy.
    if given.get("weights", RANDOM) != RANDOM:
        values |= {**_images(settings, given), "calibration": settings.data.calibration}
    return values


def _cost(project: Project, given: Given) -> Values:
    return _model(project.settings, given)


MAKERS: Mapping[str, Callable[[Project, Given], Values]] = {
    "convert": _convert,
    "verify": _verify,
    "diagnose": _diagnose,
    "evaluate": _evaluate,
    "benchmark": _benchmark,
    "gate": _gate,
    "gate calibrate": _calibrate,
    "package": _package,
    "sweep": _sweep,
    "models cost": _cost,
}


def rule_text(settings: Settings) -> str | None:
    """The model's preprocessing as ``--preprocessing`` takes it."""
    rule = model_of(settings).preprocessing
    return _object(rule) if isinstance(rule, Table) else rule


def recipe_text(settings: Settings) -> str | None:
    """The recipe as ``--recipe`` takes it."""
    return None if settings.recipe is None else _object(settings.recipe)


def _object(table: Table) -> str:
    return json.dumps(table.model_dump(mode="json", exclude_unset=True), sort_keys=True)
