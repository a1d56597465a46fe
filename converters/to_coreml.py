"""An ``ExportedProgram`` -> an ``.mlpackage`` (ML Program), through coremltools.

coremltools translates; what is ours comes before and after it: the lowest deployment target that
holds the program, every unsupported operation named at once, the contract, the classifier, and a
package that has the same bytes each time.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import METADATA_KEY, Contract, Precision, TensorSpec
from mobiledeploy.converters import coreml_suppression
from mobiledeploy.converters.coreml_operations import in_known_operations
from mobiledeploy.errors import (
    EnvironmentProblem,
    InputError,
    OutputError,
    UnsupportedError,
)

if TYPE_CHECKING:
    import numpy as np
    import torch

# Lowest first; a program is written for the first one that can express it.
DEPLOYMENT_TARGETS = ("iOS15", "iOS16", "iOS17", "iOS18")

LABEL_OUTPUT = "classLabel"

_AUTHOR = "com.apple.CoreML"
_COLOURS = {"RGB": "RGB", "BGR": "BGR", "L": "GRAYSCALE"}


def write(
    program: torch.export.ExportedProgram, contract: Contract, precision: Precision, path: Path
) -> None:
    """Write ``program`` as an ML Program package (a folder) at exactly ``path``.

    The lowest deployment target of ``DEPLOYMENT_TARGETS`` that can express the program is taken; the
    file says it in its specification version.  ``precision`` is what weights and arithmetic are in;
    inputs and outputs stay float32.  An input whose contract says ``uint8`` and ``image`` becomes an
    image input (raw pixels, channel order of the contract's preprocessing).  Where the contract is an
    image classification with as many labels as outputs, the file is a Core ML classifier: it returns
    ``classLabel`` and ``classLabel_probs`` beside the contract's own output.  The values of
    ``classLabel_probs`` are that output's values (logits stay logits).  Labels that occur more than
    once get their index in the classifier, because Core ML returns a dictionary.

    Args:
        program: static shapes, batch norm folded, float32 or uint8 image inputs in NCHW.
        contract: names, labels and all else the file has to say about itself.
        precision: ``fp32`` or ``fp16``.
        path: folder to make; must not exist.

    Raises:
        RefusedError: operations that Core ML cannot express, all of them.
        UnsupportedError: coremltools cannot convert the program.
        EnvironmentProblem: coremltools is not installed.
        OutputError: the folder cannot be written.
    """
    _check(program, contract, path)
    try:
        with _quiet(), tempfile.TemporaryDirectory() as scratch:
            _coremltools()
            coreml_suppression.register()
            program = in_known_operations(program, str(path))
            _pixels_to_float(program, contract)
            spec, weights = _convert(program, contract, precision, Path(scratch) / "model.mlpackage", path)
            _describe(spec, contract)
            _write_package(spec.SerializeToString(deterministic=True), weights, path)
    except OSError as error:
        raise OutputError(
            f"the package cannot be written ({error.strerror or error})",
            where=error.filename or str(path),
            hint="Choose a folder that can be written and has room",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep coremltools' progress bars, log lines and version warnings off both streams."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _coremltools() -> Any:
    try:
        import coremltools
    except ImportError as error:
        raise EnvironmentProblem(
            f"coremltools cannot be imported ({error})", hint="pip install 'mobiledeploy[coreml]'"
        ) from error
    return coremltools


def _check(program: torch.export.ExportedProgram, contract: Contract, path: Path) -> None:
    """The contract has to speak of this program."""
    signature = program.graph_signature
    for word, found, said in (
        ("inputs", signature.user_inputs, contract.inputs),
        ("outputs", signature.user_outputs, contract.outputs),
    ):
        if len(found) != len(said):
            raise InputError(
                f"the program has {len(found)} {word}, its contract {len(said)}", where=str(path)
            )


def _pixels_to_float(program: torch.export.ExportedProgram, contract: Contract) -> None:
    """Declare uint8 image inputs as float32.

    An ML Program sees an image input as float pixels 0..255, so that the program's own cast of them
    has nothing left to do.
    """
    import torch

    wanted = dict(zip(program.graph_signature.user_inputs, map(_is_pixels, contract.inputs), strict=True))
    for node in program.graph.find_nodes(op="placeholder"):
        if wanted.get(node.name):
            node.meta["val"] = node.meta["val"].to(torch.float32)


def _convert(
    program: torch.export.ExportedProgram, contract: Contract, precision: Precision, package: Path, path: Path
) -> tuple[Any, Path]:
    """The converted specification (protobuf ``Model``) and the file of its weights."""
    ct = _coremltools()
    options = {
        "source": "pytorch",
        "convert_to": "mlprogram",
        "compute_precision": ct.precision.FLOAT16 if precision == "fp16" else ct.precision.FLOAT32,
        "package_dir": str(package),
        "skip_model_load": True,
    }
    names = _targets(program)
    while True:
        # coremltools changes the descriptions it is given: a second try needs new ones.
        inputs = [_input_type(item, contract) for item in contract.inputs]
        outputs = [_output_type(item) for item in contract.outputs]
        try:
            model = ct.convert(
                program,
                inputs=inputs,
                outputs=outputs,
                classifier_config=_classifier(contract),
                minimum_deployment_target=ct.target[names[0]],
                **options,
            )
            return model.get_spec(), package / "Data" / _AUTHOR / "weights" / "weight.bin"
        except OSError:
            raise
        except Exception as error:
            names = _later_targets(str(error), names)
            if not names:
                raise UnsupportedError(
                    f"coremltools cannot convert the program ({_one_line(error)})",
                    where=str(path),
                    hint="Convert to another target, or rewrite that part of the model",
                ) from error


def _targets(program: torch.export.ExportedProgram) -> list[str]:
    """Deployment targets to try; there are no quantized operations before iOS 17."""
    quantized = any(str(node.target).startswith("quantized_decomposed.") for node in program.graph.nodes)
    first = DEPLOYMENT_TARGETS.index("iOS17") if quantized else 0
    return list(DEPLOYMENT_TARGETS[first:])


def _later_targets(message: str, names: list[str]) -> list[str]:
    """The targets that are left when coremltools asks for a newer one, none if it does not."""
    asked = [name for name in names[1:] if re.search(rf"\b{name}\b", message)]
    return names[names.index(asked[0]) :] if asked else []


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


def _is_pixels(spec: TensorSpec) -> bool:
    return spec.dtype == "uint8" and spec.content == "image"


def _input_type(spec: TensorSpec, contract: Contract) -> Any:
    ct = _coremltools()
    if _is_pixels(spec):
        channels = contract.preprocessing.channels if contract.preprocessing else "RGB"
        layout = ct.colorlayout[_COLOURS[channels]]
        return ct.ImageType(name=spec.name, shape=spec.shape, color_layout=layout, channel_first=True)
    return ct.TensorType(name=spec.name, shape=spec.shape, dtype=_dtype(spec))


def _output_type(spec: TensorSpec) -> Any:
    return _coremltools().TensorType(name=spec.name, dtype=_dtype(spec))


def _dtype(spec: TensorSpec) -> type[np.generic]:
    """Stated always: from iOS 16 on, coremltools' own choice follows the precision."""
    import numpy as np

    return np.int32 if np.issubdtype(np.dtype(spec.dtype), np.integer) else np.float32


def _classifier(contract: Contract) -> Any:
    """coremltools' classifier, None where the contract describes none."""
    if contract.task != "image-classification" or len(contract.outputs) != 1:
        return None
    if contract.outputs[0].shape != (1, len(contract.labels)):
        return None
    return _coremltools().ClassifierConfig(
        list(unique_labels(contract.labels)),
        predicted_feature_name=LABEL_OUTPUT,
        predicted_probabilities_output=contract.outputs[0].name,
    )


def unique_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Labels as dictionary keys: one that occurs more than once gets its index.

    >>> unique_labels(("crane", "dog", "crane"))
    ('crane (0)', 'dog', 'crane (2)')
    """
    return tuple(
        f"{label} ({index})" if labels.count(label) > 1 else label for index, label in enumerate(labels)
    )


def _describe(spec: Any, contract: Contract) -> None:
    """Write what the contract says into the specification, and nothing that differs between runs."""
    description = spec.description
    if description.predictedFeatureName:
        _return_output_too(spec, contract.outputs[0])
    metadata = description.metadata
    metadata.userDefined.pop("com.github.apple.coremltools.conversion_date", None)
    metadata.userDefined[METADATA_KEY] = contract.to_json()
    metadata.license = contract.provenance.licence
    metadata.shortDescription = _summary(contract)
    for feature, tensor in _described(description, contract):
        feature.shortDescription = _sentence(tensor, contract)


def _return_output_too(spec: Any, output: TensorSpec) -> None:
    """Return the contract's own output beside the label and the dictionary that a classifier returns."""
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    block.outputs.append(output.name)
    feature = spec.description.output.add(name=output.name)
    feature.type.multiArrayType.shape.extend(output.shape)
    feature.type.multiArrayType.dataType = feature.type.multiArrayType.FLOAT32


def _summary(contract: Contract) -> str:
    source = contract.provenance
    parts = [source.model or "model", contract.task.replace("-", " ") if contract.task != "other" else ""]
    if source.weights:
        parts.append(f"weights {source.weights}")
    return ", ".join(part for part in parts if part)


def _described(description: Any, contract: Contract) -> Iterator[tuple[Any, TensorSpec]]:
    tensors = {tensor.name: tensor for tensor in (*contract.inputs, *contract.outputs)}
    for feature in (*description.input, *description.output):
        if feature.name in tensors:
            yield feature, tensors[feature.name]


def _sentence(tensor: TensorSpec, contract: Contract) -> str:
    shape = "x".join(map(str, tensor.shape))
    text = " ".join(part for part in (tensor.content, tensor.dtype, shape, tensor.layout) if part)
    steps = contract.preprocessing
    if tensor.content != "image" or steps is None:
        return text
    numbers = (", ".join(f"{value:g}" for value in values) for values in (steps.mean, steps.std))
    return f"{text}, {steps.channels}, (pixel - mean) / std with pixels 0..255, " + "mean {}; std {}".format(
        *numbers
    )


def _write_package(model: bytes, weights: Path, path: Path) -> None:
    """A package folder whose item identifiers come from the items' content."""
    items = [("model.mlmodel", "CoreML Model Specification", model)]
    if weights.is_file():
        items.append(("weights/weight.bin", "CoreML Model Weights", weights.read_bytes()))
    entries = {}
    for name, text, content in items:
        file = path / "Data" / _AUTHOR / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        # The manifest lists the weights by their folder.
        item = name.split("/")[0]
        identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{item}:{hashlib.sha256(content).hexdigest()}"))
        entries[identifier] = {
            "author": _AUTHOR,
            "description": text,
            "name": item,
            "path": f"{_AUTHOR}/{item}",
        }
    manifest = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": entries,
        "rootModelIdentifier": next(iter(entries)),
    }
    (path / "Manifest.json").write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n")
