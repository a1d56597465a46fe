"""What an ONNX file says about itself: the contract, and ONNX's own standard image keys."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from mobiledeploy.contract import METADATA_KEY, Contract, Preprocessing

if TYPE_CHECKING:
    import onnx

_PIXEL_FORMATS = {"RGB": "Rgb8", "BGR": "Bgr8", "L": "Gray8"}
_AXES = {"NCHW": ("DATA_BATCH", "DATA_CHANNEL", "DATA_FEATURE", "DATA_FEATURE")}


def attach(model: onnx.ModelProto, contract: Contract) -> None:
    """Store the contract and mark image inputs, in place.

    Image inputs carry the denotations of ONNX's ``docs/TypeDenotation.md`` and
    ``docs/DimensionDenotation.md``; pixel format and range use the keys of ``docs/MetadataProps.md``.
    """
    from onnx import helper

    properties = {METADATA_KEY: contract.to_json(), "task": contract.task}
    if contract.provenance.model:
        properties["model"] = contract.provenance.model
    if contract.labels:
        properties["labels"] = "\n".join(contract.labels)
    if contract.preprocessing:
        properties["preprocessing"] = json.dumps(asdict(contract.preprocessing), sort_keys=True)
        properties |= _image_properties(contract.preprocessing)
    helper.set_model_props(model, dict(sorted(properties.items())))

    for tensor, spec in zip(model.graph.input, contract.inputs, strict=True):
        if spec.content == "image" and spec.layout in _AXES:
            tensor.type.denotation = "IMAGE"
            for axis, denotation in zip(tensor.type.tensor_type.shape.dim, _AXES[spec.layout], strict=True):
                axis.denotation = denotation


def _image_properties(preprocessing: Preprocessing) -> dict[str, str]:
    properties = {
        "Image.BitmapPixelFormat": _PIXEL_FORMATS[preprocessing.channels],
        "Image.ColorSpaceGamma": "SRGB",
    }
    pixel_range = _nominal_range(preprocessing)
    return properties | ({"Image.NominalPixelRange": pixel_range} if pixel_range else {})


def _nominal_range(preprocessing: Preprocessing) -> str:
    """ONNX's name for the input's range; empty where it has none for this mean and std."""
    ranges = {
        (0.0, 1.0): "NominalRange_0_255",
        (0.0, 255.0): "Normalized_0_1",
        (127.5, 127.5): "Normalized_1_1",
    }
    pairs = set(zip(preprocessing.mean, preprocessing.std, strict=True))
    return ranges.get(pairs.pop(), "") if len(pairs) == 1 else ""
