"""What the templates are filled with."""

from __future__ import annotations

import builtins
import hashlib
import keyword
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mobiledeploy.contract import Contract, Target, Task
from mobiledeploy.deploy.packages.manifest import contract_digest
from mobiledeploy.deploy.packages.shared_values import shared_contract_values, shared_values
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.preprocessing import image_layout

TEMPLATES = Path(__file__).parent / "templates"
# Classes that the generated code has or uses itself.
RESERVED = frozenset(
    {
        "Box",
        "Category",
        "Detection",
        "Engine",
        "Image",
        "Interpreter",
        "NamedTuple",
        "Path",
        "Place",
        "TracebackType",
    }
    | {name for name in dir(builtins) if name[0].isupper()}
)
# Modules that would be found in place of the package, or lost behind it.
_TAKEN = frozenset(
    {"ai_edge_litert", "flatbuffers", "google", "ml_dtypes", "numpy", "onnxruntime", "pil", "pip", "test"}
    | {"tests", "tqdm"}
    | set(keyword.kwlist)
    | set(sys.stdlib_module_names)
)
_ENGINES: Mapping[Target, Mapping[str, str]] = {
    "tflite": {
        "engine": "litert",
        "engine_name": "LiteRT",
        "distribution": "ai-edge-litert",
        "requirement": "ai-edge-litert>=1.0",
        "library": "libLiteRt.so",
        "library_from": "2.2",
        "library_in": "ai_edge_litert",
        "engine_in_c": "ENGINE_LITERT",
    },
    "onnx": {
        "engine": "onnx",
        "engine_name": "ONNX Runtime",
        "distribution": "onnxruntime",
        "requirement": "onnxruntime>=1.17",
        "library": "libonnxruntime.so",
        "library_from": "1.17",
        "library_in": "onnxruntime/capi",
        "engine_in_c": "ENGINE_ONNX",
    },
}
REQUIREMENTS = ("numpy>=1.22", "Pillow>=9.1")
PYTHON = "3.9"
_INPUTS = frozenset({"float16", "float32", "uint8", "int8"})
_OUTPUTS = frozenset({"float32", "uint8", "int8", "int16"})


# Task -> the module that decodes its outputs, and the types of answers in it.
DECODING: Mapping[Task, tuple[str, list[str]]] = {
    "image-classification": ("scores", ["Category"]),
    "multi-label-classification": ("tags", ["Category"]),
    "geolocation": ("places", ["Place"]),
    "embedding": ("embeddings", []),
    "object-detection": ("detections", ["Box", "Detection"]),
}


def module_name(name: str) -> str:
    """``FlowerClassifier`` -> ``flower_classifier``.

    Raises:
        InputError: Python has another module of that name.
    """
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    if module in _TAKEN:
        raise InputError(
            f"{name!r} would be the Python module {module}, which is there already",
            where="--name",
            hint=f"Choose another, for example {name}Classifier",
        )
    return module


def version_of(sha256: str, contract_sha256: str) -> str:
    """The wheel's version: another model or contract is another version, so that pip replaces it."""
    key = hashlib.sha256(f"{sha256}{contract_sha256}".encode()).hexdigest()[:12]
    # Without the letter, digits alone would be read as a number and lose their zeros.
    return f"1.0+m{key}"


def requirements(target: Target) -> tuple[str, ...]:
    """What the wheel needs, as its metadata say it."""
    return (_ENGINES[target]["requirement"], *REQUIREMENTS)


def contract_values(contract: Contract, sha256: str) -> dict[str, Any]:
    """For the files that decode outputs, which hold all that the generated code knows of a contract.

    Args:
        contract: that fits its task.
        sha256: of the model file.

    Raises:
        UnsupportedError: the file takes or gives numbers that the generated code has no way to write.
    """
    source, result = contract.inputs[0], contract.outputs[0]
    taken = {output.dtype for output in contract.outputs}
    if source.dtype not in _INPUTS or not taken <= _OUTPUTS:
        raise UnsupportedError(
            f"the Linux package cannot give {source.dtype} and take {' and '.join(sorted(taken))}",
            hint="Convert the model with float32, uint8 or int8 at its borders",
        )
    return {
        "sha256": sha256,
        "contract_sha256": contract_digest(contract),
        **shared_contract_values(contract),
        "scale": float(1.0 if result.scale is None else result.scale),
        "zero_point": result.zero_point or 0,
    }


def values(subject: Subject) -> dict[str, Any]:
    """For all templates.

    Raises:
        InputError: see ``module_name``.
        UnsupportedError: see ``contract_values``.
    """
    module = module_name(subject.name)
    known = contract_values(subject.contract, subject.sha256)
    decoding, types = DECODING[subject.task.name]
    return {
        **shared_values(subject),
        **known,
        **_ENGINES[subject.target],
        "module": module,
        "version": version_of(subject.sha256, known["contract_sha256"]),
        "python": PYTHON,
        "planes": image_layout(subject.input) == "NCHW",
        "pixels": subject.input.dtype == "uint8" and subject.rule == subject.rule.raw_pixels(),
        "decoding": decoding,
        "types": types,
        "c": subject.task.name == "image-classification",
    }
