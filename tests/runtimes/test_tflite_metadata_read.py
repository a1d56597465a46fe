"""Contract, standard metadata and label file, read back from TFLite files."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import flatbuffers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_builder import float_dense

from mobiledeploy.contract import METADATA_KEY, Contract, TensorSpec
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.tflite_file import read_bytes
from mobiledeploy.runtimes.tflite_metadata import (
    CONVERSION_KEY,
    LARGEST_LABEL_FILE,
    STANDARD_KEY,
    AttachedFile,
    read_metadata,
)

CONTRACT = Contract(
    inputs=(TensorSpec("x", (1, 4), "float32"),),
    outputs=(TensorSpec("y", (1, 3), "float32", content="logits"),),
    task="image-classification",
)
AXIS_LABELS, VALUE_LABELS = 2, 3


def notes(*files: tuple[str, int, str]) -> bytes:
    """Standard metadata whose one output has these files (name, type, locale)."""
    builder = flatbuffers.Builder()

    def table(fields: dict[int, int], kind: int = 0) -> int:
        builder.StartObject(8)
        for slot, offset in fields.items():
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        if kind:
            builder.PrependInt8Slot(2, kind, 0)
        return builder.EndObject()

    def vector(items: list[int]) -> int:
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            builder.PrependUOffsetTRelative(item)
        return builder.EndVector()

    text = builder.CreateString
    attached = [table({0: text(name), 3: text(locale)}, kind) for name, kind, locale in files]
    output = table({0: text("scores"), 6: vector(attached)})
    subgraph = table({3: vector([output])})
    root = table({0: text("a name"), 2: text("v7"), 4: text("an author"), 3: vector([subgraph])})
    builder.Finish(root, file_identifier=b"M001")
    return bytes(builder.Output())


def archived(model: bytes, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO(model)
    with zipfile.ZipFile(buffer, "a", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def labelled(text: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    model = float_dense(metadata={STANDARD_KEY: notes(("l.txt", AXIS_LABELS, ""))})
    return archived(model, {"l.txt": text}, compression)


def labels(data: bytes) -> tuple[str, ...]:
    return read_metadata(data, where="x.tflite").labels


def test_a_file_without_metadata() -> None:
    found = read_metadata(float_dense(description="bare"), where="x.tflite")
    assert (found.contract, found.notes, found.labels, found.producer) == (None, None, (), "bare")


def test_contract() -> None:
    data = float_dense(metadata={METADATA_KEY: CONTRACT.to_json().encode()})
    assert read_bytes(data, where="x.tflite").contract == CONTRACT


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"schema_version": 99}'])
def test_damaged_contract(text: bytes) -> None:
    data = float_dense(metadata={METADATA_KEY: text + b" "})
    with pytest.raises(InputError, match=r"x\.tflite: the contract"):
        read_bytes(data, where="x.tflite")


def test_standard_metadata() -> None:
    data = float_dense(metadata={STANDARD_KEY: notes(("l.txt", AXIS_LABELS, "de"))})
    found = read_metadata(data, where="x.tflite").notes
    assert found is not None
    assert (found.name, found.version, found.author, found.description) == ("a name", "v7", "an author", "")
    assert found.inputs == ()
    assert found.outputs[0].name == "scores"
    assert found.outputs[0].files == (AttachedFile("l.txt", "axis-labels", "de"),)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_labels(compression: int) -> None:
    assert labels(labelled("Käse\nb c\n\nd\n".encode(), compression)) == ("Käse", "b c", "", "d")
    assert labels(labelled(b"a\r\nb", compression)) == ("a", "b")
    assert labels(labelled(b"", compression)) == ()


def test_untranslated_labels_come_first() -> None:
    files = (("other.bin", 1, ""), ("de.txt", AXIS_LABELS, "de"), ("en.txt", VALUE_LABELS, ""))
    model = float_dense(metadata={STANDARD_KEY: notes(*files)})
    assert labels(archived(model, {"de.txt": b"Hund\n", "en.txt": b"dog\n", "other.bin": b"x"})) == ("dog",)


def test_labels_that_were_not_packed() -> None:
    model = float_dense(metadata={STANDARD_KEY: notes(("l.txt", AXIS_LABELS, ""))})
    assert labels(model) == ()
    assert labels(archived(model, {"unrelated.txt": b"x"})) == ()


def test_a_file_of_ours_that_lost_its_labels() -> None:
    """A file cut off in the archive behind the model still has a sound model."""
    contract = replace(CONTRACT, labels=("a", "b", "c"))
    entries = {STANDARD_KEY: notes(("l.txt", AXIS_LABELS, "")), METADATA_KEY: contract.to_json().encode()}
    whole = archived(float_dense(metadata=entries), {"l.txt": b"a\nb\nc\n"})
    assert read_bytes(whole, where="x.tflite").contract == contract
    with pytest.raises(InputError, match="label file at its end is missing"):
        read_bytes(whole[:-10], where="x.tflite")


def test_members_are_read_by_name_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    name = "../escaped.txt"
    model = float_dense(metadata={STANDARD_KEY: notes((name, AXIS_LABELS, ""))})
    assert labels(archived(model, {name: b"a\n"})) == ("a",)
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]


def test_a_label_file_that_unpacks_to_too_much() -> None:
    packed = labelled(b"\n" * (LARGEST_LABEL_FILE + 1), zipfile.ZIP_DEFLATED)
    assert len(packed) < 100_000
    with pytest.raises(InputError, match=r"'l\.txt' cannot be unpacked .*larger than"):
        labels(packed)


def test_a_label_file_in_an_unusual_packing() -> None:
    with pytest.raises(InputError, match="cannot be unpacked"):
        labels(labelled(b"a\n" * 100, zipfile.ZIP_LZMA))


def test_a_label_file_with_a_wrong_checksum() -> None:
    data = labelled(b"first\nsecond\n")
    with pytest.raises(InputError, match=r"'l\.txt' cannot be unpacked"):
        labels(data.replace(b"first", b"fxrst"))


@pytest.mark.parametrize("text", [b"M001", b"\0" * 40, notes()[:-30], notes()[:20]])
def test_damaged_standard_metadata(text: bytes) -> None:
    data = float_dense(metadata={STANDARD_KEY: text})
    with pytest.raises(InputError, match="the metadata cannot be read"):
        read_bytes(data, where="x.tflite")


def test_the_converters_version_is_the_producer() -> None:
    builder = flatbuffers.Builder()
    offset = builder.CreateString("2.19.0")
    for _ in ("environment", "root"):
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, offset, 0)
        offset = builder.EndObject()
    builder.Finish(offset)
    data = float_dense(description="MLIR Converted.", metadata={CONVERSION_KEY: bytes(builder.Output())})
    assert read_bytes(data, where="x.tflite").producer == "MLIR Converted. (TensorFlow 2.19.0)"


WHOLE = archived(
    float_dense(
        metadata={
            METADATA_KEY: CONTRACT.to_json().encode(),
            STANDARD_KEY: notes(("l.txt", AXIS_LABELS, "")),
        }
    ),
    {"l.txt": zlib.compress(b"x") + b"\na\nb\n"},
    zipfile.ZIP_DEFLATED,
)


@given(
    edits=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=5),
    cut=st.integers(0, len(WHOLE)),
)
@settings(max_examples=500, deadline=None)
def test_damaged_bytes_end_in_input_errors(edits: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(WHOLE)
    for position, value in edits:
        data[position] = value
    for damaged in (bytes(data), bytes(data[:cut])):
        try:
            read_bytes(damaged, where="fuzzed.tflite")
        except InputError as error:
            message = str(error)
            assert message.startswith("fuzzed.tflite: ")


@pytest.mark.data
def test_googles_metadata(data_dir: Path) -> None:
    data = (data_dir / "tflite" / "mobilenet_v2_1.0_224_quant.tflite").read_bytes()
    found = read_metadata(data, where="v2").notes
    assert found is not None
    (image,), (scores,) = found.inputs, found.outputs
    assert (image.is_image, image.color_space) == (True, "RGB")
    assert (image.mean, image.std) == ((127.5,), (127.5,))
    assert (image.minimum, image.maximum) == ((0.0,), (255.0,))
    assert [file.kind for file in scores.files] == ["axis-labels"]
    assert found.min_parser_version
