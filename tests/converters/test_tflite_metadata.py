"""The contract as standard TFLite metadata, read back by our reader."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest
from tflite_builder import float_dense

from mobiledeploy.contract import (
    AnchorGrid,
    Anchors,
    Contract,
    Preprocessing,
    Provenance,
    Suppression,
    TensorSpec,
)
from mobiledeploy.converters.tflite.metadata import (
    LABEL_FILE,
    METADATA_NAME,
    append_labels,
    model_metadata,
)
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.tflite_metadata import AttachedFile, Metadata, ModelNotes, read_metadata

IMAGENET = Preprocessing(224, 224, resize_to=256, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
CLASSIFIER = Contract(
    inputs=(TensorSpec("image", (1, 224, 224, 3), "float32", "NHWC", "image"),),
    outputs=(TensorSpec("probabilities", (1, 3), "float32", "", "probabilities"),),
    task="image-classification",
    preprocessing=IMAGENET,
    labels=("Käse", "two\nlines", "c"),
    provenance=Provenance(model="mobilenet_v2", licence="BSD-3-Clause"),
)


def written(contract: Contract) -> Metadata:
    model = float_dense(metadata={METADATA_NAME: model_metadata(contract)})
    return read_metadata(append_labels(model, contract), where="x.tflite")


def notes(contract: Contract) -> ModelNotes:
    found = written(contract).notes
    assert found is not None
    return found


def test_classifier() -> None:
    found = notes(CLASSIFIER)
    assert (found.name, found.description, found.licence) == (
        "mobilenet_v2",
        "image-classification",
        "BSD-3-Clause",
    )
    assert found.min_parser_version == "1.0.0"
    (image,), (scores,) = found.inputs, found.outputs
    assert (image.name, image.is_image, image.color_space) == ("image", True, "RGB")
    assert image.mean == pytest.approx(IMAGENET.mean)
    assert image.std == pytest.approx(IMAGENET.std)
    assert image.minimum == pytest.approx((-2.1179, -2.0357, -1.8044), abs=1e-4)
    assert image.maximum == pytest.approx((2.2489, 2.4286, 2.64), abs=1e-4)
    assert (scores.name, scores.is_image, scores.minimum, scores.maximum) == (
        "probabilities",
        False,
        (0.0,),
        (1.0,),
    )
    assert scores.files == (AttachedFile(LABEL_FILE, "axis-labels"),)


def test_labels_come_back_one_per_line() -> None:
    assert written(CLASSIFIER).labels == ("Käse", "two lines", "c")


def test_raw_pixels() -> None:
    image = replace(CLASSIFIER.inputs[0], dtype="uint8")
    contract = replace(CLASSIFIER, inputs=(image,), preprocessing=IMAGENET.raw_pixels())
    (found,) = notes(contract).inputs
    assert (found.mean, found.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert (found.minimum, found.maximum) == ((0.0,), (255.0,))


@pytest.mark.parametrize(("channels", "space"), [("RGB", "RGB"), ("L", "grayscale"), ("BGR", "")])
def test_color_space(channels: str, space: str) -> None:
    rule = replace(IMAGENET, channels=channels)
    assert notes(replace(CLASSIFIER, preprocessing=rule)).inputs[0].color_space == space


def test_tensors_that_are_no_images() -> None:
    contract = Contract(
        inputs=(TensorSpec("a", (1, 4), "float32"), TensorSpec("b", (1, 4), "float32")),
        outputs=(TensorSpec("y", (1, 3), "float32", content="logits"),),
    )
    found = notes(contract)
    assert [(item.name, item.is_image, item.mean) for item in found.inputs] == [
        ("a", False, ()),
        ("b", False, ()),
    ]
    assert found.outputs[0].minimum == ()
    assert written(contract).labels == ()


def test_labels_belong_to_the_output_with_as_many_entries() -> None:
    extra = TensorSpec("features", (1, 7), "float32", content="features")
    found = notes(replace(CLASSIFIER, outputs=(extra, *CLASSIFIER.outputs)))
    assert [bool(output.files) for output in found.outputs] == [False, True]


def test_labels_of_a_detector_leave_out_the_background() -> None:
    heads = (TensorSpec("boxes", (1, 6, 4), "float32"), TensorSpec("classes", (1, 6, 4), "float32"))
    anchors = Anchors((AnchorGrid(1, 2, ((0.1, 0.1),) * 3),))
    detector = replace(CLASSIFIER, outputs=heads, task="object-detection", anchors=anchors)

    found = written(detector)

    assert len(found.labels) == 3
    assert found.notes.outputs[1].files == (AttachedFile(LABEL_FILE, "value-labels"),)
    with pytest.raises(InputError, match="4 labels, but no output"):
        model_metadata(replace(detector, labels=("a", "b", "c", "d")))


def test_labels_of_decoded_boxes_are_values() -> None:
    found = ("boxes", (1, 5, 4)), ("scores", (1, 5)), ("classes", (1, 5)), ("count", (1,))
    outputs = tuple(TensorSpec(name, shape, "float32") for name, shape in found)
    detector = replace(CLASSIFIER, outputs=outputs, task="object-detection", suppression=Suppression())

    assert [bool(output.files) for output in written(detector).notes.outputs] == [False, False, True, False]


def test_labels_that_fit_no_output() -> None:
    with pytest.raises(InputError, match="2 labels, but no output has that many classes"):
        model_metadata(replace(CLASSIFIER, labels=("a", "b")))


def test_the_archive_is_plain_and_behind_the_model() -> None:
    model = float_dense()
    data = append_labels(model, CLASSIFIER)
    assert data.startswith(model)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (member,) = archive.infolist()
        assert archive.read(member) == "Käse\ntwo lines\nc\n".encode()
    assert (member.filename, member.compress_type) == (LABEL_FILE, zipfile.ZIP_STORED)
    assert data[member.header_offset :][:4] == b"PK\3\4"


def test_a_model_without_labels_stays_as_it_is() -> None:
    model = float_dense()
    assert append_labels(model, replace(CLASSIFIER, labels=())) == model


def test_same_contract_same_bytes() -> None:
    assert model_metadata(CLASSIFIER) == model_metadata(replace(CLASSIFIER))
    model = float_dense()
    assert append_labels(model, CLASSIFIER) == append_labels(model, replace(CLASSIFIER))
