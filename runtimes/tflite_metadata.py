"""What a TFLite file says about itself: our contract, the standard metadata, the label file.

The standard metadata is a FlatBuffer (identifier ``M001``) in the model's metadata entry
``TFLITE_METADATA``; the files that it names lie in a zip archive after the model's own bytes.  Its
schema is public: ``metadata_schema.fbs`` of the TFLite Task Library and of MediaPipe Tasks.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from mobiledeploy.contract import METADATA_KEY, Contract
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.tflite_flatbuffer import Buffer, FlatbufferError, Table

STANDARD_KEY = "TFLITE_METADATA"
CONVERSION_KEY = "CONVERSION_METADATA"
# Largest label file that is read, bytes once unpacked; ImageNet's 21k classes need under 1 MiB.
LARGEST_LABEL_FILE = 16 << 20

# What ``zipfile`` raises for a damaged archive.
_ARCHIVE_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, NotImplementedError
)  # fmt: skip

FileKind = Literal["axis-labels", "value-labels", "other"]
ColorSpace = Literal["RGB", "grayscale", ""]


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file in the archive behind the model.

    Attributes:
        name: its name in the archive.
        kind: ``axis-labels`` name the entries of a tensor's axis, ``value-labels`` its values.
        locale: language of its text, empty if not said.
    """

    name: str
    kind: FileKind
    locale: str = ""


@dataclass(frozen=True, slots=True)
class TensorNotes:
    """What the standard metadata says about one input or output.

    Attributes:
        name, description: free text.
        is_image: whether its content is an image.
        color_space: of an image.
        mean, std: ``(value - mean) / std`` per channel (or one for all), in pixel units for an
            image; empty if not said.
        minimum, maximum: range of the values per channel (or one for all).
        files: files that belong to it.
    """

    name: str = ""
    description: str = ""
    is_image: bool = False
    color_space: ColorSpace = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    minimum: tuple[float, ...] = ()
    maximum: tuple[float, ...] = ()
    files: tuple[AttachedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelNotes:
    """The standard metadata of a model.

    Attributes:
        name, description, version, author, licence: free text.
        min_parser_version: oldest metadata schema that has all fields used.
        inputs, outputs: of the first subgraph, in the order of its tensors.
    """

    name: str
    description: str
    version: str
    author: str
    licence: str
    min_parser_version: str
    inputs: tuple[TensorNotes, ...]
    outputs: tuple[TensorNotes, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """Everything that a file says about itself.

    Attributes:
        contract: ours, None if the file carries none.
        notes: the standard metadata, None if the file carries none.
        labels: text of the first output's label file, empty if there is none.
        producer: the model's description and, where stated, the TensorFlow version that wrote it.
    """

    contract: Contract | None
    notes: ModelNotes | None
    labels: tuple[str, ...]
    producer: str


def read_metadata(data: bytes, *, where: str) -> Metadata:
    """Everything that a TFLite file says about itself.

    Args:
        data: the whole file.
        where: its name, for error messages.

    Raises:
        InputError: the metadata, the contract or the label file is damaged.
    """
    try:
        model = Buffer(data).root(b"TFL3")
        entries = _entries(model, stored_buffers(model, data))
        notes = _notes(bytes(entries[STANDARD_KEY])) if STANDARD_KEY in entries else None
        contract = _contract(bytes(entries[METADATA_KEY]), where) if METADATA_KEY in entries else None
        labels = _labels(data, notes.outputs, where) if notes else ()
        if contract and contract.labels and not labels:
            raise FlatbufferError("the label file at its end is missing, the file was cut off")
        return Metadata(contract, notes, labels, _producer(model, entries))
    except FlatbufferError as error:
        raise InputError(
            f"the metadata cannot be read: {error}", where=where, hint="Convert or download the file again"
        ) from error


def stored_buffers(model: Table, data: bytes) -> list[memoryview]:
    """The model's buffers as views of the file, empty ones included.

    Buffers of models beyond 2 GiB lie after the FlatBuffer, by offset and size.
    """
    return [_stored(buffer, data) for buffer in model.tables(4)]


def _stored(buffer: Table, data: bytes) -> memoryview:
    offset, size = buffer.integer(1, "<Q"), buffer.integer(2, "<Q")
    if offset <= 1:  # 0: not used; 1: place holder of a writer
        return buffer.blob(0)
    if offset + size > len(data):
        raise FlatbufferError(f"a buffer ends outside the file (byte {offset + size} of {len(data)})")
    return memoryview(data)[offset : offset + size]


def _entries(model: Table, buffers: list[memoryview]) -> dict[str, memoryview]:
    found = {}
    for entry in model.tables(6):
        index = entry.integer(1, "<I")
        if index >= len(buffers):
            raise FlatbufferError(f"a metadata entry names buffer {index} of {len(buffers)}")
        found[entry.text(0)] = buffers[index]
    return found


def _contract(text: bytes, where: str) -> Contract:
    try:
        return Contract.from_json(text.decode(), where=where)
    except (UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"the contract cannot be read ({error})",
            where=where,
            hint="The file was edited or damaged: convert it again",
        ) from error


def _producer(model: Table, entries: dict[str, memoryview]) -> str:
    description = model.text(3)
    if CONVERSION_KEY not in entries:
        return description
    record = Buffer(bytes(entries[CONVERSION_KEY]))
    environment = Table(record, record.follow(0)).table(0)
    version = environment.text(0) if environment else ""
    return f"{description} (TensorFlow {version})" if version else description


def _notes(data: bytes) -> ModelNotes:
    root = Buffer(data).root(b"M001")
    subgraph = next(root.tables(3), None)
    return ModelNotes(
        name=root.text(0),
        description=root.text(1),
        version=root.text(2),
        author=root.text(4),
        licence=root.text(5),
        min_parser_version=root.text(7),
        inputs=tuple(_tensor_notes(item) for item in subgraph.tables(2)) if subgraph else (),
        outputs=tuple(_tensor_notes(item) for item in subgraph.tables(3)) if subgraph else (),
    )


def _tensor_notes(tensor: Table) -> TensorNotes:
    content, stats = tensor.table(3), tensor.table(5)
    is_image = content is not None and content.integer(0, "<B") == 2  # union member ImageProperties
    image = content.table(1) if content and is_image else None
    spaces: tuple[ColorSpace, ...] = ("", "RGB", "grayscale")
    space = image.integer(0, "<b") if image else 0
    norm = next(_normalizations(tensor), None)
    return TensorNotes(
        name=tensor.text(0),
        description=tensor.text(1),
        is_image=is_image,
        color_space=spaces[space] if 0 <= space < len(spaces) else "",
        mean=norm.numbers(0, "f") if norm else (),
        std=norm.numbers(1, "f") if norm else (),
        maximum=stats.numbers(0, "f") if stats else (),
        minimum=stats.numbers(1, "f") if stats else (),
        files=tuple(_attached(item) for item in tensor.tables(6)),
    )


def _normalizations(tensor: Table) -> Iterator[Table]:
    for unit in tensor.tables(4):
        options = unit.table(1)
        if unit.integer(0, "<B") == 1 and options:  # union member NormalizationOptions
            yield options


def _attached(file: Table) -> AttachedFile:
    kinds: dict[int, FileKind] = {2: "axis-labels", 3: "value-labels"}
    return AttachedFile(file.text(0), kinds.get(file.integer(2, "<b"), "other"), file.text(3))


def _labels(data: bytes, outputs: Iterable[TensorNotes], where: str) -> tuple[str, ...]:
    """The first label file, one without a locale before a translated one."""
    files = [file for output in outputs for file in output.files if file.kind != "other"]
    if not files or not zipfile.is_zipfile(io.BytesIO(data)):
        return ()
    chosen = min(files, key=lambda file: bool(file.locale))
    try:
        text = _unpack(data, chosen.name).decode(errors="replace")
    except KeyError:  # named, but not packed
        return ()
    except _ARCHIVE_ERRORS as error:
        raise InputError(
            f"the label file {chosen.name!r} cannot be unpacked ({error})",
            where=where,
            hint="Convert or download the file again",
        ) from error
    lines = [line.rstrip("\r") for line in text.split("\n")]
    return tuple(lines[:-1] if lines and not lines[-1] else lines)


def _unpack(data: bytes, name: str) -> bytes:
    """One member of the archive behind the model; nothing is written to disk."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = archive.getinfo(name)
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("it is encrypted or packed in an unusual way")
        with archive.open(member) as stream:
            text = stream.read(LARGEST_LABEL_FILE + 1)
    if len(text) > LARGEST_LABEL_FILE:
        raise ValueError(f"it is larger than {LARGEST_LABEL_FILE} bytes")
    return text
