"""What the templates are filled with."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mobiledeploy.contract import Contract, Target
from mobiledeploy.deploy.packages.golden import tolerance
from mobiledeploy.deploy.packages.manifest import contract_digest
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.errors import UnsupportedError
from mobiledeploy.preprocessing import image_layout

TEMPLATES = Path(__file__).parent / "templates"
MIN_SDK, COMPILE_SDK = 24, 35
# Engines whose native libraries are aligned for pages of 16 KB, from these versions on.
LITERT, ONNX_RUNTIME = "1.4.2", "1.27.0"
_COMMON = {
    "": "Classifier.kt.j2",
    "Category": "Category.kt.j2",
    "ModelContract": "ModelContract.kt.j2",
    "Resampling": "Resampling.kt.j2",
    "Tensors": "Tensors.kt.j2",
}
# Name of a source file, empty for that of the class, to its template.
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
        contract: with a preprocessing, one input and one output.
        namespace: of the code.
        model: file name of the model.
        assets: see ``asset_folder``.

    Raises:
        UnsupportedError: the file takes or gives numbers that the generated code has no way to write.
    """
    source, result, rule = contract.inputs[0], contract.outputs[0], contract.preprocessing
    if source.dtype not in _INPUT_KINDS or result.dtype not in _OUTPUT_KINDS or rule is None:
        raise UnsupportedError(
            f"the Android package cannot give {source.dtype} and take {result.dtype}",
            hint="Convert the model with float32, uint8 or int8 at its borders",
        )
    pixels = source.dtype == "uint8" and rule == rule.raw_pixels()
    return {
        "namespace": namespace,
        "contract": contract,
        "rule": rule,
        "input": source,
        "output": result,
        "model": model,
        "assets": assets,
        "classes": math.prod(result.shape[1:]),
        "input_kind": "PIXELS" if pixels else _INPUT_KINDS[source.dtype],
        "output_kind": _OUTPUT_KINDS[result.dtype],
        "output_bytes": math.prod(result.shape) * _BYTES[result.dtype],
        "planes": image_layout(source) == "NCHW",
        "softmax": result.content == "logits",
    }


def values(subject: Subject) -> dict[str, Any]:
    """For all templates; see ``contract_values``."""
    module = subject.name.lower()
    return {
        **contract_values(
            subject.contract,
            namespace=subject.namespace,
            model=subject.model_name,
            assets=asset_folder(subject.name, subject.sha256, contract_digest(subject.contract)),
        ),
        **_ENGINES[subject.target],
        "subject": subject,
        "module": module,
        "aar": f"{module}.aar",
        "suffix": subject.target,
        "onnx_type": _ONNX_TYPES[subject.input.dtype],
        "vectors": range(len(subject.golden)),
        "tolerance": tolerance(subject.golden, subject.output),
        "most": min(5, subject.classes),
        "min_sdk": MIN_SDK,
        "compile_sdk": COMPILE_SDK,
    }
