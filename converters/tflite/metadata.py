"""The contract as standard TFLite metadata, so that MediaPipe Tasks and the Task Library read the file.

Field numbers are those of the public ``metadata_schema.fbs`` (MediaPipe Tasks, TFLite Task Library).
MediaPipe itself normalises with one mean and std for all channels and refuses a float input with a
mean or std per channel; such a model works there with ``uint8`` input, normalisation inside.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from mobiledeploy.contract import Contract, Preprocessing, TensorSpec
from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    from flatbuffers import Builder

METADATA_NAME = "TFLITE_METADATA"
LABEL_FILE = "labels.txt"
# Every field written here is in the schema since its first version.
MIN_PARSER_VERSION = "1.0.0"

# Numbers of the schema: associated file type, color spaces, union members.
_TENSOR_AXIS_LABELS, _TENSOR_VALUE_LABELS = 2, 3
_COLOR_SPACES = {"RGB": 1, "L": 2}
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_NORMALIZATION_OPTIONS = 1
_STORED_RANGES = {"uint8": (0.0, 255.0), "int8": (-128.0, 127.0)}


def model_metadata(contract: Contract) -> bytes:
    """The ``ModelMetadata`` FlatBuffer of a contract, for the model's entry ``TFLITE_METADATA``.

    Image inputs get their color space and normalisation, outputs with one entry per label the label
    file, which ``append_labels`` puts behind the model.

    Raises:
        InputError: no output has as many entries as there are labels.
    """
    import flatbuffers

    if contract.labels and not any(_is_labelled(spec, contract) for spec in contract.outputs):
        raise InputError(
            f"{len(contract.labels)} labels, but no output has that many classes",
            where="labels",
            hint="Give one label per class, in output order",
        )
    builder = flatbuffers.Builder()
    inputs = [_input(builder, spec, contract.preprocessing) for spec in contract.inputs]
    outputs = [_output(builder, spec, contract) for spec in contract.outputs]
    subgraph = _table(builder, {2: _vector(builder, inputs), 3: _vector(builder, outputs)})
    root = _table(
        builder,
        {
            0: builder.CreateString(contract.provenance.model or "model"),
            1: builder.CreateString(contract.task),
            3: _vector(builder, [subgraph]),
            5: builder.CreateString(contract.provenance.licence) if contract.provenance.licence else 0,
            7: builder.CreateString(MIN_PARSER_VERSION),
        },
    )
    builder.Finish(root, file_identifier=b"M001")
    return bytes(builder.Output())


def append_labels(model: bytes, contract: Contract) -> bytes:
    """The model with its label file behind it, in a zip archive as the metadata readers expect.

    The archive is not compressed (MediaPipe maps its members in place), its offsets count from the
    start of the model, and it holds no time.  A model without labels comes back unchanged.
    """
    if not contract.labels:
        return model
    lines = (" ".join(label.splitlines()) for label in contract.labels)
    member = zipfile.ZipInfo(LABEL_FILE, date_time=(1980, 1, 1, 0, 0, 0))
    member.create_system = 3  # the same bytes on every system
    buffer = io.BytesIO(model)
    buffer.seek(len(model))
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, "".join(f"{line}\n" for line in lines))
    return buffer.getvalue()


def _is_labelled(spec: TensorSpec, contract: Contract) -> bool:
    """Whether its last axis has a place for each label; a detector's has the background before them.

    Of a detector that decodes its own boxes: whether it holds indices of labels.
    """
    if contract.suppression is not None:
        return bool(contract.labels) and spec.name == "classes"
    background = contract.task == "object-detection"
    return bool(contract.labels) and spec.shape[-1:] == (len(contract.labels) + background,)


def _input(builder: Builder, spec: TensorSpec, preprocessing: Preprocessing | None) -> int:
    name = builder.CreateString(spec.name)
    if preprocessing is None or spec.content != "image":
        return _table(builder, {0: name, 3: _features(builder)})
    size = _table(builder, {}, words={0: preprocessing.width, 1: preprocessing.height})
    color_space = _COLOR_SPACES.get(preprocessing.channels, 0)
    image = _table(builder, {1: size}, small={0: color_space})
    mean, std = _floats(builder, preprocessing.mean), _floats(builder, preprocessing.std)
    normalization = _table(builder, {0: mean, 1: std})
    unit = _table(builder, {1: normalization}, small={0: _NORMALIZATION_OPTIONS})
    low, high = _image_range(spec, preprocessing)
    return _table(
        builder,
        {
            0: name,
            1: builder.CreateString(f"{preprocessing.channels} image"),
            3: _table(builder, {1: image}, small={0: _IMAGE_PROPERTIES}),
            4: _vector(builder, [unit]),
            5: _table(builder, {0: _floats(builder, high), 1: _floats(builder, low)}),
        },
    )


def _output(builder: Builder, spec: TensorSpec, contract: Contract) -> int:
    fields = {0: builder.CreateString(spec.name), 3: _features(builder)}
    if spec.content:
        fields[1] = builder.CreateString(spec.content)
    if spec.content == "probabilities":
        fields[5] = _table(builder, {0: _floats(builder, (1.0,)), 1: _floats(builder, (0.0,))})
    if _is_labelled(spec, contract):
        said, kind = "Class names in output order", _TENSOR_AXIS_LABELS
        if contract.suppression is not None:
            said, kind = "Class names by index", _TENSOR_VALUE_LABELS
        elif contract.task == "object-detection":
            said, kind = "Class names; the background, the first column, has none", _TENSOR_VALUE_LABELS
        names = {0: builder.CreateString(LABEL_FILE), 1: builder.CreateString(said)}
        fields[6] = _vector(builder, [_table(builder, names, small={2: kind})])
    return _table(builder, fields)


def _image_range(spec: TensorSpec, rule: Preprocessing) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Least and greatest value of an image's tensor."""
    if spec.dtype in _STORED_RANGES:
        low, high = _STORED_RANGES[spec.dtype]
        return (low,), (high,)
    ranges = [((0 - mean) / std, (255 - mean) / std) for mean, std in zip(rule.mean, rule.std, strict=True)]
    return tuple(low for low, _ in ranges), tuple(high for _, high in ranges)


def _features(builder: Builder) -> int:
    return _table(builder, {1: _table(builder, {})}, small={0: _FEATURE_PROPERTIES})


def _table(
    builder: Builder,
    offsets: dict[int, int],
    *,
    small: dict[int, int] | None = None,
    words: dict[int, int] | None = None,
) -> int:
    """One table from its fields by slot: offsets (0: absent), bytes and 32-bit words."""
    small, words = small or {}, words or {}
    builder.StartObject(max((*offsets, *small, *words), default=-1) + 1)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, word in words.items():
        builder.PrependUint32Slot(slot, word, 0)
    for slot, byte in small.items():
        builder.PrependUint8Slot(slot, byte, 0)
    return int(builder.EndObject())


def _vector(builder: Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _floats(builder: Builder, values: tuple[float, ...]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())
