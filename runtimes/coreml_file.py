"""What a Core ML file holds, read from its own bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mobiledeploy.contract import METADATA_KEY, Contract, TensorSpec
from mobiledeploy.runtimes.census import FileContents
from mobiledeploy.runtimes.coreml_network import Network
from mobiledeploy.runtimes.coreml_package import CoreMLModel, Feature, damage_as_input_error, load
from mobiledeploy.runtimes.mil_census import program_holdings
from mobiledeploy.runtimes.mil_program import Program, Type

_TOOLS_VERSION = "com.github.apple.coremltools.version"
_SOURCE = "com.github.apple.coremltools.source"


def read(path: Path) -> FileContents:
    """Read an ``.mlpackage``, or an ``.mlmodel`` of an ML Program or neural network.

    Image inputs are pixels, (1, height, width, channels) in the file's channel order.  Outputs are the
    arrays; a classifier that returns no array is given its dictionary's values as one.

    Raises:
        InputError: missing, damaged, or no Core ML file.
        UnsupportedError: a Core ML file of another kind (pipeline, tree ensemble, ...).
    """
    model = load(path)
    text = model.metadata.get(METADATA_KEY)
    with damage_as_input_error(path):
        inputs, outputs = tensors(model)
        held = model.body if isinstance(model.body, Network) else program_holdings(model.body)
    return FileContents(
        inputs=inputs,
        outputs=outputs,
        ops=held.ops,
        parameters=held.parameters,
        weight_bytes=held.weight_bytes,
        contract=Contract.from_json(text, where=str(path)) if text else None,
        labels=held.labels,
        producer=_producer(model),
    )


def tensors(model: CoreMLModel) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The inputs and outputs that are arrays or images."""
    program = model.body if isinstance(model.body, Program) else None
    types = program.types if program else {}
    inputs = tuple(_tensor(item, types.get(item.name)) for item in model.inputs)
    outputs = tuple(
        _tensor(item, types.get(item.name)) for item in model.outputs if item.kind in ("array", "image")
    )
    if not outputs and program:
        outputs = _dictionary(program, model.probabilities)
    return inputs, outputs


def _tensor(feature: Feature, kind: Type | None) -> TensorSpec:
    if feature.kind == "image":
        channels = 1 if feature.channels == "L" else 3
        return TensorSpec(feature.name, (1, *feature.shape, channels), feature.dtype, "NHWC", "image")
    shape = kind.shape if kind and -1 not in kind.shape else feature.shape
    dtype = kind.dtype if kind else feature.dtype
    return TensorSpec(feature.name, shape, dtype, _layout(shape))


def _layout(shape: tuple[int, ...]) -> Literal["NCHW", "NHWC", ""]:
    """Told by where the colours are; Core ML has no word for it."""
    if len(shape) == 4 and shape[1] in (1, 3):
        return "NCHW"
    return "NHWC" if len(shape) == 4 and shape[3] in (1, 3) else ""


def _dictionary(program: Program, name: str) -> tuple[TensorSpec, ...]:
    """The values that ``classify`` puts into its dictionary."""
    for op in program.operations:
        if op.kind == "classify":
            (values,) = op.inputs["probabilities"]
            if isinstance(values, str):
                kind = program.types[values]
                return (TensorSpec(name, kind.shape, kind.dtype),)
    return ()


def _producer(model: CoreMLModel) -> str:
    version, source = model.metadata.get(_TOOLS_VERSION), model.metadata.get(_SOURCE)
    made = f"coremltools {version}" if version else ""
    made += f" from {source}" if made and source else ""
    return ", ".join(part for part in (made, f"needs {model.system}") if part)
