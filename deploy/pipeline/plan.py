"""A project becomes a graph of steps, in an order in which they can be done.

export:fp32   --> convert:NAME --> verify:NAME --> evaluate:NAME (float) --+
                                                                           v
quantize:int8 --> convert:NAME --> verify:NAME --> evaluate:NAME ---> gate:NAME ------+--> package:PLATFORM
                                        +--------> benchmark:DEVICE                   |
                                        +--------> gate:NAME@DEVICE ------------------+
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from mobiledeploy.deploy.commands.options import read_recipe
from mobiledeploy.deploy.packages.names import check_name, choose_namespace
from mobiledeploy.deploy.packages.platforms import find_platform
from mobiledeploy.deploy.pipeline.file_steps import file_steps
from mobiledeploy.deploy.pipeline.gate_steps import gate_steps
from mobiledeploy.deploy.pipeline.parts import Parts, address, at, evaluated
from mobiledeploy.deploy.pipeline.step import Product, Step
from mobiledeploy.deploy.project.defaults import recipe_text
from mobiledeploy.deploy.project.files import PACKAGES, model_of, package_folder, packaged_target
from mobiledeploy.deploy.project.loading import Project
from mobiledeploy.device_tests.affinity import check_affinity
from mobiledeploy.device_tests.lab.leases import KIND
from mobiledeploy.device_tests.lab.settings import split_address
from mobiledeploy.errors import InputError
from mobiledeploy.presets import preset


def make_plan(project: Project, history: str | None = None) -> tuple[Step, ...]:
    """Every step, each after those that it needs.

    Args:
        project: its folder is the current one.
        history: where stored baselines and calibrations are, if gates want any; None: the usual one.

    Raises:
        InputError, UnsupportedError: what is asked for does not go together; says where.
    """
    _check(project)
    parts = Parts(project)
    files = tuple(file_steps(parts))
    measured = (*_evaluations(parts), *_benchmarks(parts))
    gates = tuple(gate_steps(parts, history))
    return (*files, *measured, *gates, *_packages(parts, measured, gates))


def _check(project: Project) -> None:
    settings, where = project.settings, project.where
    asked = Parts(project).asked
    rule = model_of(settings).preprocessing
    with at(where("model", "preprocessing")):
        if isinstance(rule, str):
            preset(rule, 224, 224)
    # What only their steps would tell, after an hour of others.
    with at(where("recipe")):
        read_recipe(recipe_text(settings))
    with at(where("measure", "affinity")):
        check_affinity(settings.measure.affinity)
    if settings.measure.scheduler is not None:
        with at(where("measure", "scheduler")):
            split_address(settings.measure.scheduler, "")
    with at(where("convert", "precision")):
        calibrated = settings.data.calibration is not None and asked.is_quantized
        asked.check(settings.convert.targets, calibrated, settings.recipe is not None)
    if settings.convert.max_drop is not None and not asked.is_quantized:
        raise InputError(
            "a largest drop is for quantized files",
            where=where("convert", "max-drop"),
            hint="Take another convert.precision, or leave it out",
        )
    for key in ("calibration", "images"):
        folder, output = getattr(settings.data, key), PurePosixPath(settings.convert.output)
        if folder is not None and output.is_relative_to(folder):
            raise InputError(
                f"results would be among data.{key}",
                where=where("convert", "output"),
                hint="Give a folder of their own",
            )
    for key, path in (("labels", settings.data.labels), ("evaluate-on", settings.measure.evaluate_on)):
        if path and settings.data.images is None:
            table = "data" if key == "labels" else "measure"
            raise InputError("there are no images", where=where(table, key), hint="Add data.images")


def _evaluations(parts: Parts) -> Iterator[Step]:
    if parts.settings.data.images is None:
        return
    data = parts.settings.data
    values = {**parts.image_settings(), "label_offset": data.label_offset, "far": data.far}
    for target in parts.targets:
        product, exact = parts.product(target), parts.float_product(target)
        against = {} if parts.is_float else {"against": evaluated(exact)}
        if not parts.is_float:
            yield _evaluation(parts, exact, values, {})
        yield _evaluation(parts, product, values, against)
        for device in parts.settings.measure.evaluate_on:
            yield _evaluation(parts, product, {**values, **_computing(parts, device)}, against, device)


def _evaluation(
    parts: Parts, file: Product, values: dict[str, Any], against: dict[str, Product], device: str = ""
) -> Step:
    sources = parts.image_sources()
    if device:
        sources |= parts.library_source()
    takes = {"file": file, **against}
    return Step(evaluated(file, device).step, "evaluate", values, sources, takes, device=device)


def _computing(parts: Parts, device: str) -> dict[str, Any]:
    """Where and how a device evaluates."""
    where = parts.project.where("measure", "evaluate-on")
    if device.startswith(KIND):
        raise InputError(
            "accuracy is not measured in a lab, as the images stay on this host",
            where=where,
            hint="Name devices of this host",
        )
    how = parts.settings.measure
    # A program that gives no outputs, and is no library.
    timed_alone = how.runner == "benchmark_model"
    return {
        "device": device,
        "address": address(device, where),
        "runner": "auto" if timed_alone else how.runner,
        "engine_library": None if timed_alone else how.engine_library,
    }


def _benchmarks(parts: Parts) -> Iterator[Step]:
    how = parts.settings.measure
    for device in how.devices:
        values = {
            **parts.measuring(device),
            "launches": how.launches,
            "runs": how.runs,
            "seconds": how.seconds,
        }
        files = {product.file: product for product in map(parts.product, parts.targets)}
        sources = parts.library_source()
        yield Step(f"benchmark:{device}", "benchmark", values, sources, files, device=device)


def _packages(parts: Parts, measured: tuple[Step, ...], gates: tuple[Step, ...]) -> Iterator[Step]:
    for platform, package in parts.settings.packages_by_name().items():
        where = parts.project.where(PACKAGES, platform)
        with at(where):
            if package.name is not None:
                check_name(package.name, find_platform(platform).reserved)
            if package.namespace is not None or package.name is not None:
                choose_namespace(package.namespace, package.name or "")
        file = parts.product(packaged_target(parts.settings, platform, where))
        takes = {"file": file}
        for step in measured:
            on = f" on {step.device}" if step.device else ""
            if step.kind == "evaluate" and step.takes["file"] == file:
                takes[f"accuracy{on}"] = evaluated(file, step.device)
            elif step.kind == "benchmark":
                takes[f"latency{on}"] = Product(step.name, f"{file.file}.json")
        values = {"platform": platform, "name": package.name, "namespace": package.namespace}
        yield Step(
            f"package:{platform}",
            "package",
            values,
            {},
            takes,
            after=tuple(step.name for step in gates if step.takes["file"] == file),
            publishes={platform: package_folder(parts.settings, platform)},
        )
