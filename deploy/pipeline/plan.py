"""A project becomes a graph of steps, in an order in which they can be done.

convert:fp32 ----+--> evaluate:NAME (float) --+
                 |                            v
quantize:int8 ---+--> evaluate:NAME ----------+--> gate:NAME@DEVICE --> package:PLATFORM
                 +--> benchmark:DEVICE
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mobiledeploy.contract import Target
from mobiledeploy.deploy.packages.names import check_name, choose_namespace
from mobiledeploy.deploy.packages.platforms import find_platform
from mobiledeploy.deploy.pipeline.step import Product, Source, Step
from mobiledeploy.deploy.project.defaults import recipe_text, rule_text
from mobiledeploy.deploy.project.files import (
    FLOAT,
    PACKAGES,
    file_name,
    model_of,
    package_folder,
    packaged_target,
    stem,
    wanted,
)
from mobiledeploy.deploy.project.loading import Project
from mobiledeploy.deploy.project.schema import FLOAT as FLOAT_BASELINE
from mobiledeploy.deploy.project.schema import NO_DATA, RANDOM
from mobiledeploy.deploy.wanted import Wanted
from mobiledeploy.device_tests.gate.limits import TOP1_DROP, Gate
from mobiledeploy.device_tests.references import resolve
from mobiledeploy.errors import InputError, MobileDeployError
from mobiledeploy.models import DEFAULT_MODEL
from mobiledeploy.models.references import CALLABLE
from mobiledeploy.presets import preset

RUN = "run.json"
GATES = "gates"
# Report of CI -> suffix of its file.
SUFFIXES = {"junit": "xml", "markdown": "md", "openmetrics": "txt", "github": "github.txt"}


def make_plan(project: Project) -> tuple[Step, ...]:
    """Every step, each after those that it needs.

    Args:
        project: its folder is the current one.

    Raises:
        InputError, UnsupportedError: what is asked for does not go together; says where.
    """
    return _Planner(project).steps()


class _Planner:
    """Steps of one project."""

    def __init__(self, project: Project) -> None:
        self._project, self._settings = project, project.settings
        self._asked = wanted(project.settings)
        self._targets = project.settings.convert.targets
        quantized = "quantize" if self._asked.is_quantized else "convert"
        # What makes the files that are deployed, and what makes the float ones.
        self._maker = f"{quantized}:{self._asked.precision}"
        self._float_maker = "convert:fp32"
        self._is_float = self._asked == FLOAT

    def steps(self) -> tuple[Step, ...]:
        """All of them."""
        self._check()
        steps = [] if self._is_float else [self._convert(FLOAT, self._float_maker)]
        steps.append(self._convert(self._asked, self._maker))
        steps += [*self._evaluations(), *self._benchmarks()]
        gates = list(self._gates())
        return (*steps, *gates, *self._packages(steps, gates))

    def _check(self) -> None:
        settings, where = self._settings, self._project.where
        rule = model_of(settings).preprocessing
        with _at(where("model", "preprocessing")):
            if isinstance(rule, str):
                preset(rule, 224, 224)
        with _at(where("convert", "precision")):
            calibrated = settings.data.calibration is not None and self._asked.is_quantized
            self._asked.check(self._targets, calibrated, settings.recipe is not None)
        if settings.convert.max_drop is not None and not self._asked.is_quantized:
            raise InputError(
                "a largest drop is for quantized files",
                where=where("convert", "max-drop"),
                hint="Take another convert.precision, or leave it out",
            )
        if settings.data.labels is not None and settings.data.images is None:
            raise InputError("there are no images", where=where("data", "labels"), hint="Add data.images")

    def _product(self, target: Target) -> Product:
        return Product(self._maker, file_name(self._settings, target, self._asked))

    def _float(self, target: Target) -> Product:
        return Product(self._float_maker, file_name(self._settings, target, FLOAT))

    def _convert(self, asked: Wanted, name: str) -> Step:
        settings = self._settings
        model, data = model_of(settings), settings.data
        values: dict[str, Any] = {
            "model": model.name or DEFAULT_MODEL,
            "weights": model.weights,
            "width": model.width,
            "resolution": model.resolution,
            "task": model.task,
            "preprocessing": rule_text(settings),
            "class_names": model.class_names,
            "name": stem(settings),
            "targets": list(self._targets),
            **asdict(asked),
        }
        sources = dict(self._model_sources())
        if asked.is_quantized:
            values |= {"calibration": data.calibration, "recipe": recipe_text(settings)}
            if data.calibration not in (None, NO_DATA):
                sources["calibration"] = self._source("data", "calibration")
        if asked.is_quantized and settings.convert.max_drop is not None:
            values |= {"max_drop": settings.convert.max_drop, **self._image_settings()}
            sources |= self._image_sources()
        files = [file_name(settings, target, asked) for target in self._targets]
        kind = name.partition(":")[0]
        return Step(name, kind, values, sources, publishes={file: self._output(file) for file in files})

    def _model_sources(self) -> Iterator[tuple[str, Source]]:
        model = model_of(self._settings)
        name = model.name or DEFAULT_MODEL
        if model.weights not in (None, RANDOM):
            yield "weights", self._source("model", "weights")
        if model.class_names is not None:
            yield "class names", self._source("model", "class-names")
        for number, path in enumerate(model.reads):
            yield f"model.reads {path}", Source(path, self._project.where("model", "reads", number))
        if name.endswith(".pt2"):
            yield "model", self._source("model", "name")
        elif CALLABLE.fullmatch(name) and name.partition(":")[0] not in ("timm", "torchvision"):
            where = self._project.where("model", "name")
            yield "code of the project", Source(".", where, code=True, without=self._output())
            if elsewhere := _code_elsewhere(name.partition(":")[0].partition(".")[0]):
                yield "code of the model", Source(elsewhere, where, code=True)

    def _source(self, table: str, key: str) -> Source:
        values = getattr(self._settings, table)
        return Source(getattr(values, key.replace("-", "_")), self._project.where(table, key))

    def _image_settings(self) -> dict[str, Any]:
        data = self._settings.data
        return {"images": data.images, "labels": data.labels}

    def _image_sources(self) -> dict[str, Source]:
        data = self._settings.data
        named = {"images": data.images, "labels": data.labels}
        return {key: self._source("data", key) for key, path in named.items() if path is not None}

    def _output(self, *parts: str) -> str:
        return "/".join((self._settings.convert.output, *parts))

    def _evaluations(self) -> Iterator[Step]:
        if self._settings.data.images is None:
            return
        data = self._settings.data
        values = {**self._image_settings(), "label_offset": data.label_offset, "far": data.far}
        for target in self._targets:
            product, exact = self._product(target), self._float(target)
            if not self._is_float:
                yield self._evaluation(exact, values, {})
            against = {} if self._is_float else {"against": Product(f"evaluate:{exact.file}", RUN)}
            yield self._evaluation(product, values, against)

    def _evaluation(self, file: Product, values: dict[str, Any], against: dict[str, Product]) -> Step:
        return Step(
            f"evaluate:{file.file}", "evaluate", values, self._image_sources(), {"file": file, **against}
        )

    def _measuring(self, device: str) -> dict[str, Any]:
        how = self._settings.measure
        return {
            "device": device,
            "address": _address(device, self._project.where("measure", "devices")),
            "threads": how.threads,
            "affinity": how.affinity,
            "governor": how.governor,
            "max_temperature": how.max_temperature,
            "runner": how.runner,
        }

    def _benchmarks(self) -> Iterator[Step]:
        how = self._settings.measure
        for device in how.devices:
            values = {
                **self._measuring(device),
                "launches": how.launches,
                "runs": how.runs,
                "seconds": how.seconds,
            }
            files = {product.file: product for product in map(self._product, self._targets)}
            yield Step(f"benchmark:{device}", "benchmark", values, {}, files, device=device)

    def _gates(self) -> Iterator[Step]:
        limits = self._project.limits
        if not limits:
            return
        self._check_gates(limits)
        timed = any(item.kind.runs for item in limits)
        for target in self._targets:
            for device in self._settings.measure.devices if timed else ("",):
                yield self._gate(target, device)

    def _check_gates(self, limits: tuple[Gate, ...]) -> None:
        gates, where = self._settings.gates, self._project.where
        for item in limits:
            place = where(GATES, item.kind.name)
            if item.kind.runs and not self._settings.measure.devices:
                raise InputError(
                    f"{item.kind.name} is measured on a device, and there is none",
                    where=place,
                    hint="Add one to measure.devices",
                )
            if item.kind.against and gates.baseline is None:
                raise InputError(
                    f"{item.kind.name} compares with a baseline, and there is none",
                    where=place,
                    hint='Add gates.baseline: "float", a file or a folder',
                )
            if item.kind is TOP1_DROP and self._settings.data.images is None:
                raise InputError("accuracy needs images", where=place, hint="Add data.images")
        if gates.baseline == FLOAT_BASELINE and self._is_float:
            raise InputError(
                "the files are the float ones", where=where(GATES, "baseline"), hint="Give an earlier release"
            )

    def _gate(self, target: Target, device: str) -> Step:
        gates, product = self._settings.gates, self._product(target)
        names = {item.kind.name for item in self._project.limits}
        said = gates.model_dump(mode="json", by_alias=True)
        values: dict[str, Any] = {
            "limits": {name: said[name] for name in sorted(names)},
            "time_limit": gates.time_limit,
            "reports": list(gates.reports),
            **(self._measuring(device) if device else {"device": ""}),
        }
        takes: dict[str, Product] = {"file": product}
        sources: dict[str, Source] = {}
        accuracy = TOP1_DROP.name in names
        if accuracy:
            values |= {**self._image_settings(), "label_offset": self._settings.data.label_offset}
            sources |= self._image_sources()
            takes["run"] = Product(f"evaluate:{product.file}", RUN)
        if gates.baseline == FLOAT_BASELINE:
            takes["baseline"] = exact = self._float(target)
            if accuracy:
                takes["baseline_run"] = Product(f"evaluate:{exact.file}", RUN)
        elif gates.baseline is not None:
            path = _in_baseline(gates.baseline, product.file)
            values["baseline"] = path
            sources["baseline"] = Source(path, self._project.where(GATES, "baseline"))
        about = f"{product.file}@{device}" if device else product.file
        name = _file_part(about)
        published = {kind: self._output(GATES, f"{name}.{SUFFIXES[kind]}") for kind in gates.reports}
        return Step(f"gate:{about}", "gate", values, sources, takes, device=device, publishes=published)

    def _packages(self, steps: list[Step], gates: list[Step]) -> Iterator[Step]:
        for platform, package in self._settings.packages_by_name().items():
            where = self._project.where(PACKAGES, platform)
            with _at(where):
                if package.name is not None:
                    check_name(package.name, find_platform(platform).reserved)
                if package.namespace is not None or package.name is not None:
                    choose_namespace(package.namespace, package.name or "")
            target = packaged_target(self._settings, platform, where)
            file = self._product(target)
            takes = {"file": file}
            for step in steps:
                if step.kind == "evaluate" and step.takes["file"] == file:
                    takes["accuracy"] = Product(step.name, RUN)
                elif step.kind == "benchmark":
                    takes[f"latency on {step.device}"] = Product(step.name, f"{file.file}.json")
            values = {"platform": platform, "name": package.name, "namespace": package.namespace}
            yield Step(
                f"package:{platform}",
                "package",
                values,
                {},
                takes,
                after=tuple(step.name for step in gates if step.takes["file"] == file),
                publishes={platform: package_folder(self._settings, platform)},
            )


class _at:  # noqa: N801
    """Errors inside the block are about a place in the file."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, MobileDeployError):
            error.where = self._where


def _address(reference: str, where: str) -> dict[str, Any]:
    """What a reference means now: the same name for another device is another device."""
    with _at(where):
        found = asdict(resolve(reference))
    # A project's folder may be copied to another machine, with what was measured on this one.
    host = [*os.uname()[1:3], os.cpu_count()] if found["kind"] == "local" else None
    return {**{key: None if value is None else str(value) for key, value in found.items()}, "host": host}


def _in_baseline(baseline: str, name: str) -> str:
    """A file, or the file of that name in a folder; a Core ML package is a folder, too."""
    path = Path(baseline)
    return str(path / name) if path.is_dir() and not (path / "Manifest.json").is_file() else baseline


def _code_elsewhere(module: str) -> str | None:
    """Where a module outside the project lies; None: in the project, or nowhere."""
    if Path(module).is_dir() or Path(f"{module}.py").is_file():
        return None
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    return str(origin.parent if spec.submodule_search_locations else origin)


def _file_part(text: str) -> str:
    """A name that every file system takes."""
    return "".join(char if char.isalnum() or char in "._@-" else "_" for char in text)
