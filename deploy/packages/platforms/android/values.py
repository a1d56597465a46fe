"""What the templates are filled with."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mobiledeploy.contract import Contract, Target
from mobiledeploy.deploy.packages.golden import tolerance, tolerances
from mobiledeploy.deploy.packages.manifest import contract_digest
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.deploy.packages.tasks import find_task
from mobiledeploy.deploy.packages.tasks.detection import LARGEST, OVERLAP, THRESHOLD
from mobiledeploy.deploy.packages.tasks.scores import activation
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
    source, result, rule = contract.inputs[0], contract.outputs[0], contract.preprocessing
    taken = [output.dtype for output in contract.outputs]
    if source.dtype not in _INPUT_KINDS or not set(taken) <= _OUTPUT_KINDS.keys() or rule is None:
        raise UnsupportedError(
            f"the Android package cannot give {source.dtype} and take {' and '.join(sorted(set(taken)))}",
            hint="Convert the model with float32, uint8 or int8 at its borders",
        )
    task = find_task(contract.task, namespace)
    pixels = source.dtype == "uint8" and rule == rule.raw_pixels()
    return {
        "namespace": namespace,
        "contract": contract,
        "rule": rule,
        "input": source,
        "output": result,
        "model": model,
        "assets": assets,
        "classes": task.count(contract),
        "labelled": task.labelled,
        "count_name": "CLASSES" if task.labelled else "SIZE",
        "single": len(contract.outputs) == 1,
        "places": {output.name: place for place, output in enumerate(contract.outputs)},
        "counts": {output.name: math.prod(output.shape) for output in contract.outputs},
        "input_kind": "PIXELS" if pixels else _INPUT_KINDS[source.dtype],
        "output_kinds": [_OUTPUT_KINDS[dtype] for dtype in taken],
        "output_bytes": [math.prod(output.shape) * _BYTES[output.dtype] for output in contract.outputs],
        "planes": image_layout(source) == "NCHW",
        **activation(contract),
    }


def values(subject: Subject) -> dict[str, Any]:
    """For all templates; see ``contract_values``."""
    module, task = subject.name.lower(), subject.task
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
        "tolerance_of": [tolerance(subject.golden, *pair[::-1]) for pair in enumerate(subject.outputs)],
        "tolerances": tolerances(subject.golden, subject.outputs),
        "decoded": subject.golden[0].decoded is not None,
        "variable": task.class_name.lower(),
        "verb": task.verb,
        "doing": task.doing,
        "does": task.does[0].upper() + task.does[1:],
        "result": "scores" if task.labelled and len(subject.outputs) == 1 else "outputs",
        "threshold": THRESHOLD,
        "overlap": OVERLAP,
        "largest": LARGEST,
        "most": min(5, subject.classes),
        "min_sdk": MIN_SDK,
        "compile_sdk": COMPILE_SDK,
    }
