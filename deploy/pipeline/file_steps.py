"""Steps that make files: a program for all of them, then one file after the other, each verified.

export:fp32    --> convert:NAME --> verify:NAME
quantize:int8  --> convert:NAME --> verify:NAME
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mobiledeploy.deploy.pipeline.parts import Parts
from mobiledeploy.deploy.pipeline.step import Product, Source, Step
from mobiledeploy.deploy.program_file import CONTRACTS, PROGRAM, REFERENCE
from mobiledeploy.deploy.project.defaults import recipe_text, rule_text
from mobiledeploy.deploy.project.files import FLOAT, file_name, model_of
from mobiledeploy.deploy.project.schema import NO_DATA, RANDOM
from mobiledeploy.deploy.wanted import Wanted
from mobiledeploy.models import DEFAULT_MODEL, MODEL_FILES
from mobiledeploy.models.references import is_own_code


def file_steps(parts: Parts) -> Iterator[Step]:
    """Of the files that are deployed, and of the float files that they are compared with."""
    for asked in dict.fromkeys((FLOAT, parts.asked)):
        program = _program(parts, asked)
        yield program
        yield from _files(parts, asked, program.name)


def _program(parts: Parts, asked: Wanted) -> Step:
    settings = parts.settings
    model, data = model_of(settings), settings.data
    values: dict[str, Any] = {
        "model": model.name or DEFAULT_MODEL,
        "weights": model.weights,
        "width": model.width,
        "resolution": model.resolution,
        "task": model.task,
        "preprocessing": rule_text(settings),
        "class_names": model.class_names,
        **asdict(asked),
    }
    sources = dict(_model_sources(parts))
    if not asked.is_quantized:
        return Step(f"export:{asked.precision}", "export", values, sources)
    values |= {"calibration": data.calibration, "recipe": recipe_text(settings)}
    if data.calibration not in (None, NO_DATA):
        sources["calibration"] = parts.source("data", "calibration")
    if settings.convert.max_drop is not None:
        values["drop"] = {
            "points": settings.convert.max_drop,
            # It is measured on files of one format.
            "target": parts.targets[0],
            **parts.image_settings(),
        }
        sources |= parts.image_sources()
    return Step(f"quantize:{asked.precision}", "quantize", values, sources)


def _files(parts: Parts, asked: Wanted, program: str) -> Iterator[Step]:
    contracts = Product(program, CONTRACTS)
    for target in parts.targets:
        file = file_name(parts.settings, target, asked)
        values = {"file": file, "target": target, "precision": asked.precision}
        takes = {"program": Product(program, PROGRAM), "contracts": contracts}
        yield Step(f"convert:{file}", "convert", values, takes=takes)
        takes = {
            "file": Product(f"convert:{file}", file),
            "contracts": contracts,
            "reference": Product(program, REFERENCE),
        }
        yield Step(f"verify:{file}", "verify", {}, takes=takes, publishes={file: parts.output(file)})


def _model_sources(parts: Parts) -> Iterator[tuple[str, Source]]:
    model, where = model_of(parts.settings), parts.project.where
    name = model.name or DEFAULT_MODEL
    if model.weights not in (None, RANDOM):
        yield "weights", parts.source("model", "weights")
    if model.class_names is not None:
        yield "class names", parts.source("model", "class-names")
    for number, path in enumerate(model.reads):
        yield f"model.reads {path}", Source(path, where("model", "reads", number))
    if name.endswith(MODEL_FILES):
        yield "model", parts.source("model", "name")
    elif is_own_code(name):
        place = where("model", "name")
        yield "code of the project", Source(".", place, code=True, without=parts.output())
        if elsewhere := _code_elsewhere(name.partition(":")[0].partition(".")[0]):
            yield "code of the model", Source(elsewhere, place, code=True)


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
