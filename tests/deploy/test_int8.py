"""``--precision int8``: calibrated on images, compared with PyTorch, said truthfully."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import mobiledeploy
from mobiledeploy.contract import TARGETS, Preprocessing, Target
from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.errors import InputError
from mobiledeploy.source import SourceModel


@pytest.fixture
def source() -> SourceModel:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        nn.Conv2d(16, 16, 3, 1, 1, groups=16),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    ).eval()
    rule = Preprocessing(32, 32, resize_to=36, mean=(127.5,) * 3, std=(127.5,) * 3)
    return SourceModel(net, (torch.zeros(1, 3, 32, 32),), "image-classification", rule)


@pytest.mark.slow
def test_three_formats_from_one_calibration(source: SourceModel, photos: Path, tmp_path: Path) -> None:
    conversions = convert_all(
        source, TARGETS, name="net", precision="int8", calibration=photos, output=tmp_path / "out"
    )
    for conversion in conversions:
        assert conversion.artifact.path.stem == "net_int8"
        report, contract = conversion.verification, conversion.artifact.contract
        assert report is not None
        assert report.passed
        assert (report.precision, report.images) == ("int8", 16)
        assert contract is not None
        assert contract.provenance.calibration.startswith("30 images, sha256 ")
        assert json.loads(contract.provenance.recipe)["weights"] == "per-channel"
    tflite = conversions[0].artifact
    assert tflite.census.arithmetic == "full-integer"
    assert tflite.contents.inputs[0].dtype == tflite.contents.outputs[0].dtype == "int8"


@pytest.mark.parametrize(("into", "out"), [("uint8", "uint8"), ("float32", "float32"), ("int8", "float32")])
def test_borders_as_asked(source: SourceModel, photos: Path, tmp_path: Path, into: str, out: str) -> None:
    artifact = mobiledeploy.convert(
        source,
        precision="int8",
        calibration=photos,
        input_dtype=into,
        output_dtype=out,
        output=tmp_path / "net.tflite",
    )
    assert (artifact.contents.inputs[0].dtype, artifact.contents.outputs[0].dtype) == (into, out)


@pytest.mark.slow
def test_the_same_images_give_the_same_bytes(source: SourceModel, photos: Path, tmp_path: Path) -> None:
    shas = {
        mobiledeploy.convert(
            source, precision="int8", calibration=photos, output=tmp_path / str(index) / "net.tflite"
        ).sha256
        for index in range(2)
    }
    assert len(shas) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "--calibration"),
        ({"calibration": "photos"}, "--precision int8"),
        ({"output_dtype": "int8"}, "--precision int8"),
        (
            {"precision": "int8", "calibration": "photos", "target": "onnx", "output_dtype": "int8"},
            "only TFLite",
        ),
    ],
)
def test_what_does_not_go_together(
    source: SourceModel, options: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        mobiledeploy.convert(source, **options, output=tmp_path)
    assert not list(tmp_path.iterdir())


def test_too_few_images(source: SourceModel, photos: Path, tmp_path: Path) -> None:
    for path in sorted(photos.iterdir())[5:]:
        path.unlink()
    with pytest.raises(InputError, match="5 calibration images are too few"):
        mobiledeploy.convert(source, precision="int8", calibration=photos, output=tmp_path / "out")


def test_a_model_that_takes_no_image(source: SourceModel, photos: Path, tmp_path: Path) -> None:
    bare = replace(source, preprocessing=None, task="other")
    target: Target = "tflite"
    with pytest.raises(InputError, match="does not take one image"):
        mobiledeploy.convert(bare, target=target, precision="int8", calibration=photos, output=tmp_path)
