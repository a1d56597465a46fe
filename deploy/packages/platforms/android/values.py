"""What the templates are filled with."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mobiledeploy.contract import Contract, Target
from mobiledeploy.deploy.packages.manifest import contract_digest
from mobiledeploy.deploy.packages.shared_values import shared_contract_values, shared_values
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.errors import UnsupportedError
from mobiledeploy.preprocessing import image_layout

TEMPLATES = Path(__file__).parent / "templates"
MIN_SDK, COMPILE_SDK = 24, 35
# Engines whose native libraries are aligned for pages of 16 KB, from these versions on.
LITERT, ONNX_RUNTIME = "1.4.2", "1.27.0"
_COMMON = {
    "ModelContract": "ModelContract.kt.j2",
    "Resampling": "Resampling.kt.j2",
    "Tensors": "Tensors.kt.j2",
}
# Name of a source file to its template; those of a task lie in its folder.
SOURCES: Mapping[Target, Mapping[str, str]] = {
    "tflite": {**_COMMON, "Engine": "EngineLiteRt.kt.j2"},
    "onnx": {**_COMMON, "Engine": "EngineOnnx.kt.j2"},
}
_ENGINES: Mapping[Target, Mapping[str, Any]] = {
    "tflite": {
        "engine_name": f"LiteRT {LITERT}",
        "engine_pages": "LiteRT's is aligned for pages of 16 KB in this version.",
        "accelerators": ("CPU", "GPU"),
        "app_dependencies": (f'implementation("com.google.ai.edge.litert:litert:{LITERT}")',),
        "dependencies": (
            f'implementation("com.google.ai.edge.litert:litert:{LITERT}")',
            "// Apps that use Accelerator.GPU add this one themselves.",
            f'compileOnly("com.google.ai.edge.litert:litert-gpu:{LITERT}")',
        ),
        "gpu_dependency": f"com.google.ai.edge.litert:litert-gpu:{LITERT}",
        "gpu_line": f'implementation("com.google.ai.edge.litert:litert-gpu:{LITERT}")',
    },
    "onnx": {
        "engine_name": f"ONNX Runtime {ONNX_RUNTIME}",
        "engine_pages": "ONNX Runtime's is aligned for pages of 16 KB in this version.",
        "accelerators": ("CPU", "XNNPACK", "NNAPI"),
        "app_dependencies": (
            f'implementation("com.microsoft.onnxruntime:onnxruntime-android:{ONNX_RUNTIME}")',
        ),
        "dependencies": (f'implementation("com.microsoft.onnxruntime:onnxruntime-android:{ONNX_RUNTIME}")',),
    },
}
_INPUT_KINDS = {"float32": "FLOAT32", "uint8": "UINT8", "int8": "INT8"}
_OUTPUT_KINDS = {"float32": "FLOAT32", "uint8": "UINT8", "int8": "INT8", "int16": "INT16"}
_BYTES = {"float32": 4, "uint8": 1, "int8": 1, "int16": 2}
_ONNX_TYPES = {"float32": "FLOAT", "uint8": "UINT8", "int8": "INT8"}


def asset_folder(name: str, sha256: str, contract_sha256: str) -> str:
    """Where the model lies among an app's assets.

    Two models in one app do not meet there, and code finds nothing but the model and contract that it
    was generated for.

    Args:
        name: of the class.
        sha256: of the model file.
        contract_sha256: of the contract.
    """
    key = hashlib.sha256(f"{sha256}{contract_sha256}".encode()).hexdigest()[:16]
    return f"mobiledeploy/{name.lower()}-{key}"


def contract_values(contract: Contract, *, namespace: str, model: str, assets: str) -> dict[str, Any]:
    """For ``ModelContract.kt``, which holds all that the generated code knows of a contract.

    Args:
        contract: that fits its task.
        namespace: of the code.
        model: file name of the model.
        assets: see ``asset_folder``.

    Raises:
        UnsupportedError: the file takes or gives numbers that the generated code has no way to write.
    """
    source, rule = contract.inputs[0], contract.preprocessing
    taken = [output.dtype for output in contract.outputs]
    if source.dtype not in _INPUT_KINDS or not set(taken) <= _OUTPUT_KINDS.keys() or rule is None:
        raise UnsupportedError(
            f"the Android package cannot give {source.dtype} and take {' and '.join(sorted(set(taken)))}",
            hint="Convert the model with float32, uint8 or int8 at its borders",
        )
    pixels = source.dtype == "uint8" and rule == rule.raw_pixels()
    shared = shared_contract_values(contract)
    return {
        **shared,
        "namespace": namespace,
        "contract": contract,
        "rule": rule,
        "input": source,
        "model": model,
        "assets": assets,
        "count_name": "CLASSES" if shared["labelled"] else "SIZE",
        "counts": {output.name: math.prod(output.shape) for output in contract.outputs},
        "input_kind": "PIXELS" if pixels else _INPUT_KINDS[source.dtype],
        "output_kinds": [_OUTPUT_KINDS[dtype] for dtype in taken],
        "output_bytes": [math.prod(output.shape) * _BYTES[output.dtype] for output in contract.outputs],
        "planes": image_layout(source) == "NCHW",
    }


def values(subject: Subject) -> dict[str, Any]:
    """For all templates; see ``contract_values``."""
    module = subject.name.lower()
    # First, because it refuses what cannot be expressed.
    contract = contract_values(
        subject.contract,
        namespace=subject.namespace,
        model=subject.model_name,
        assets=asset_folder(subject.name, subject.sha256, contract_digest(subject.contract)),
    )
    return {
        **shared_values(subject),
        **contract,
        **_ENGINES[subject.target],
        "module": module,
        "aar": f"{module}.aar",
        "suffix": subject.target,
        "onnx_type": _ONNX_TYPES[subject.input.dtype],
        "vectors": range(len(subject.golden)),
        "min_sdk": MIN_SDK,
        "compile_sdk": COMPILE_SDK,
    }
