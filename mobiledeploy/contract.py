"""The contract: what a model expects and returns, as data that travels inside every file.

The same object is written as TFLite metadata, ONNX ``metadata_props`` and Core ML user-defined
metadata, and read back from any of them.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from mobiledeploy.errors import InputError

SCHEMA_VERSION = 1
# uint8 codes count from 0 where int8 codes count from -128.
UNSIGNED_SHIFT = 128
METADATA_KEY = "mobiledeploy.contract"

Target = Literal["tflite", "onnx", "coreml"]
TARGETS: tuple[Target, ...] = ("tflite", "onnx", "coreml")
# Of the numbers that a file computes with.  The last three, in the field's words: 16-bit activations with
# 8-bit weights; dynamic-range; weights-only.
Precision = Literal["fp32", "fp16", "int8", "int16x8", "int8-dynamic", "int8-weights"]
InputDtype = Literal["float32", "uint8", "int8", "int16"]

Task = Literal[
    "image-classification",
    "multi-label-classification",
    "geolocation",
    "image-segmentation",
    "object-detection",
    "embedding",
    "other",
]
# Tasks whose one output scores classes; of the second each class on its own.
CLASSIFIERS: tuple[Task, ...] = ("image-classification", "multi-label-classification", "geolocation")
# The last four: objects that the file itself has decoded, see ``Suppression``.
Content = Literal["image", "logits", "probabilities", "features", "boxes", "scores", "classes", "count"]
ResizeRule = Literal["short-side", "stretch"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
ChannelOrder = Literal["RGB", "BGR", "L"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a file, as the file holds it.

    Attributes:
        name: tensor name in the file.
        shape: static shape, batch first.
        dtype: NumPy dtype name (``float32``, ``float16``, ``uint8``, ``int8``, ...).
        layout: ``NHWC``, ``NCHW``, or empty where the axes have no such meaning.
        content: what the values mean, empty if unknown.
        scale: quantization scale; ``real = scale * (stored - zero_point)``; None if not quantized.
        zero_point: stored value that stands for 0; None if not quantized.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: Literal["NHWC", "NCHW", ""] = ""
    content: Content | Literal[""] = ""
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a caller does to an image before the model's input, in this order.

    Resize by ``resize``, crop the centre to ``height`` x ``width``, order the channels, then
    ``(pixel - mean) / std`` with pixels in 0..255.  ``mean`` 0 and ``std`` 1 mean raw pixels.
    ``mobiledeploy.preprocessing`` is the one implementation.

    Attributes:
        height, width: size of the model's input, pixels.
        resize: ``short-side`` keeps the aspect ratio and brings the short side to ``resize_to``;
            ``stretch`` resizes straight to ``height`` x ``width``.
        resize_to: short side before the crop, pixels (ignored by ``stretch``).
        interpolation: filter of the resize (with antialiasing, as Pillow does it).
        channels: channel order of the model's input.
        mean, std: per channel, in pixel units 0..255.
    """

    height: int
    width: int
    resize: ResizeRule = "short-side"
    resize_to: int = 0
    interpolation: Interpolation = "bilinear"
    channels: ChannelOrder = "RGB"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def raw_pixels(self) -> Self:
        """The same geometry for a model that takes pixels and normalises inside."""
        zeros, ones = tuple(0.0 for _ in self.mean), tuple(1.0 for _ in self.std)
        return replace(self, mean=zeros, std=ones)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a file came from; holds no time, so that the same input gives the same bytes.

    Attributes:
        model: reference that was converted, for example ``mobilenet_v2`` or ``timm:lcnet_050``.
        weights: file name or origin of the weights, ``random`` where they were not trained.
        weights_sha256: sha256 of the weights file, empty if there was none.
        licence: licence of the weights where known (SPDX).
        tools: (package, version) pairs that made the file.
        recipe: how it was quantized (JSON), empty if it was not.
        calibration: number and sha256 of the calibration images, empty if there were none.
        choices: what was chosen where the caller's recipe left it open, and the measurement that decided.
    """

    model: str = ""
    weights: str = ""
    weights_sha256: str = ""
    licence: str = ""
    tools: tuple[tuple[str, str], ...] = ()
    recipe: str = ""
    calibration: str = ""
    choices: str = ""


@dataclass(frozen=True, slots=True)
class AnchorGrid:
    """Anchors around the centre of every cell of one feature map, row by row.

    Attributes:
        rows, columns: of the feature map.
        sizes: (height, width) of each anchor of a cell, as shares of the image.
    """

    rows: int
    columns: int
    sizes: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Anchors:
    """What a detector's raw outputs are relative to; ``mobiledeploy.detection`` decodes them.

    Attributes:
        grids: in the order of the outputs' boxes.
        scales: what the offsets of y, x, height and width were multiplied by in training.
    """

    grids: tuple[AnchorGrid, ...]
    scales: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)


@dataclass(frozen=True, slots=True)
class Suppression:
    """How a file that decodes its own boxes suppresses all but the most certain ones, class by class.

    Attributes:
        threshold: least score.
        overlap: of two boxes of one class whose intersection is more than this share of their union, the
            less certain one is left out.
        largest: number of objects that the file returns; rows beyond those found are zeros.
    """

    threshold: float = 0.3
    overlap: float = 0.6
    largest: int = 100


@dataclass(frozen=True, slots=True)
class Contract:
    """Tensors, preprocessing, labels, task and provenance of one model file.

    Of a detector with raw heads the anchors too, of one that decodes them itself the suppression; other
    files mention neither.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    task: Task = "other"
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    anchors: Anchors | None = None
    suppression: Suppression | None = None

    def to_json(self) -> str:
        """One line of JSON with sorted keys; equal contracts give equal text."""
        data = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        for name in _OF_DETECTORS:
            if data[name] is None:
                del data[name]
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, *, where: str = "contract") -> Contract:
        """Read what ``to_json`` wrote.

        Raises:
            InputError: the text is no contract, or one of a newer version.
        """
        try:
            data = json.loads(text)
            version = data.pop("schema_version")
            if version > SCHEMA_VERSION:
                raise InputError(
                    f"the contract has version {version}, this mobiledeploy reads up to {SCHEMA_VERSION}",
                    where=where,
                    hint="Upgrade mobiledeploy",
                )
            contract: Contract = _read(cls, data, "contract")
            return contract
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"the contract cannot be read ({error})",
                where=where,
                hint="The file was edited or damaged: convert it again",
            ) from error


_OF_DETECTORS = ("anchors", "suppression")


def _read(kind: Any, value: Any, place: str) -> Any:
    """JSON as the annotated type: lists become tuples, unknown keys of a newer minor version are ignored.

    Raises:
        TypeError: the value is of another type; ``place`` says where.
    """
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise TypeError(f"{place} is no object")
        hints = get_type_hints(kind)
        # A newer version may add what has a default; what makes a contract is always there.
        needed = [item.name for item in fields(kind) if item.default is MISSING]
        if kind is Contract:
            needed = [name for name in hints if name not in _OF_DETECTORS]
        missing = set(needed) - value.keys()
        if missing:
            raise TypeError(f"{place} has no {min(missing)}")
        return kind(**{key: _read(hints[key], item, key) for key, item in value.items() if key in hints})
    origin, options = get_origin(kind), get_args(kind)
    if origin is tuple and isinstance(value, list):
        kinds = [options[0]] * len(value) if options[1:] == (...,) else options
        return tuple(_read(each, item, place) for each, item in zip(kinds, value, strict=True))
    if origin in (Union, UnionType):
        for option in options:
            if _fits(option, value):
                return _read(option, value, place)
    elif origin is not tuple and _fits(kind, value):
        return float(value) if kind is float else value
    raise TypeError(f"{place} is {str(value)[:40]!r}")


def _fits(kind: Any, value: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if is_dataclass(kind):
        return isinstance(value, dict)
    if isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if kind is float else kind)
