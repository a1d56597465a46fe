"""What the templates are filled with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mobiledeploy.contract import Contract, Target
from mobiledeploy.deploy.packages.manifest import contract_digest
from mobiledeploy.deploy.packages.platforms.ios.core_ml import OLDEST, CoreMLNeeds, read_needs
from mobiledeploy.deploy.packages.platforms.ios.swift import number, numbers, string
from mobiledeploy.deploy.packages.shared_values import shared_contract_values, shared_values
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.errors import UnsupportedError
from mobiledeploy.preprocessing import image_layout

TEMPLATES = Path(__file__).parent / "templates"
ONNX_RUNTIME = "1.20.0"
# Of the CocoaPod TensorFlowLiteSwift: LiteRT is not published as a Swift package.
LITERT_POD = "~> 2.14"
_ENGINES: Mapping[Target, Mapping[str, str]] = {
    "coreml": {
        "engine_name": "Core ML",
        "option_example": "computeUnits: .cpuOnly",
        "option_means": "what computes: CPU, GPU or Neural Engine",
        "test_options": "options: .init(computeUnits: .cpuOnly)",
    },
    "onnx": {
        "engine_name": "ONNX Runtime",
        "option_example": "threads: 4",
        "option_means": "how many threads of the CPU compute",
        "test_options": "",
    },
    "tflite": {
        "engine_name": "LiteRT",
        "option_example": "threads: 4",
        "option_means": "how many threads of the CPU compute",
        "test_options": "",
    },
}
# dtype -> name among ONNX Runtime's element types, and as a type of Swift.
_ELEMENTS = {"float32": "float", "uint8": "uInt8", "int8": "int8"}
_TYPES = {"float32": "Float", "uint8": "UInt8", "int8": "Int8", "int16": "Int16"}


def module_name(name: str) -> str:
    """Of the library: not the class's own, which would hide the rest of it."""
    return f"{name}Model"


def model_files(subject: Subject) -> dict[str, bytes]:
    """The files of a Core ML package by their path in it.

    Raises:
        UnsupportedError: it is a single file, an ``.mlmodel``.
    """
    files = {"/".join(file.path.parts[1:]): file.content for file in subject.model}
    if "" in files:
        raise UnsupportedError(
            "the file is an .mlmodel",
            hint="Save it as an .mlpackage with coremltools, or convert the model again",
        )
    return files


def contract_values(
    contract: Contract, target: Target, sha256: str, needs: CoreMLNeeds | None
) -> dict[str, Any]:
    """For ``ModelContract.swift`` and ``Package.swift``, which hold all that the code knows of a contract.

    Args:
        contract: that fits its task.
        target: of the model file.
        sha256: of the model file.
        needs: of a Core ML model; None of another.

    Raises:
        UnsupportedError: the file takes or gives numbers that the generated code has no way to write.
    """
    source, rule = contract.inputs[0], contract.preprocessing
    pixels = source.dtype == "uint8" and rule is not None and rule == rule.raw_pixels()
    given = _ELEMENTS if target != "coreml" else {"float32": "float", **({"uint8": ""} if pixels else {})}
    taken = _TYPES if target != "coreml" else {"float32": "Float"}
    dtypes = [output.dtype for output in contract.outputs]
    if rule is None or source.dtype not in given or not set(dtypes) <= taken.keys():
        raise UnsupportedError(
            f"the iOS package cannot give {source.dtype} and take {' and '.join(sorted(set(dtypes)))}",
            hint="Convert the model with float32 or uint8 at its input, and float32 at its output",
        )
    shared = shared_contract_values(contract)
    ios, macos = (needs.ios, needs.macos) if needs else OLDEST
    return {
        **shared,
        "rule": rule,
        "mean": numbers(rule.mean),
        "std": numbers(rule.std),
        "sha256": sha256,
        "contract_sha256": contract_digest(contract),
        "input_name": string(source.name),
        "input_shape": source.shape,
        "output_names": [string(output.name) for output in contract.outputs],
        "count_name": "classes" if shared["labelled"] else "size",
        "counts": [math.prod(output.shape) for output in contract.outputs],
        "anchors": contract.anchors,
        "planes": image_layout(source) == "NCHW",
        "scales": [number(1.0 if output.scale is None else output.scale) for output in contract.outputs],
        "zero_points": [output.zero_point or 0 for output in contract.outputs],
        "pixels": pixels,
        "image_input": bool(needs and needs.image_input),
        "input_element": _ELEMENTS[source.dtype],
        "input_scale": number(1.0 if source.scale is None else source.scale),
        "input_zero_point": source.zero_point or 0,
        "output_types": [taken[dtype] for dtype in dtypes],
        "ios": ios,
        "macos": macos,
        "onnx_runtime": ONNX_RUNTIME,
        "litert_pod": LITERT_POD,
    }


def values(subject: Subject) -> dict[str, Any]:
    """For all templates.

    Raises:
        UnsupportedError: see ``contract_values``, ``model_files`` and ``read_needs``.
    """
    names = (output.name for output in subject.outputs)
    needs = read_needs(model_files(subject), names) if subject.target == "coreml" else None
    known = contract_values(subject.contract, subject.target, subject.sha256, needs)
    shared = shared_values(subject)
    decoded = [vector.decoded for vector in subject.golden if vector.decoded is not None]
    golden = "float" if subject.input.dtype == "float32" else "bytes" if known["pixels"] else "codes"
    return {
        **shared,
        **known,
        **_ENGINES[subject.target],
        "module": module_name(subject.name),
        "vectors": len(subject.golden),
        "golden_input": golden,
        "tolerance_of": numbers(shared["tolerance_of"]),
        "thresholds": [number(each.threshold) for each in decoded],
        # Thresholds out of 0 to 1, vectors that cannot be compared.
        "refuses": subject.task.name in ("multi-label-classification", "embedding", "object-detection"),
    }
