"""The systems of arXiv 1704.04861: their heads, and that they go through every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mobiledeploy import models
from mobiledeploy.contract import TARGETS, Contract
from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.geolocation import decode_places
from mobiledeploy.models.labels import dog_breeds
from mobiledeploy.models.mobilenet_v1 import MobileNetV1
from mobiledeploy.runtimes.formats import open_session

HEADS = {
    "mobilenet_v1_conv": ("image-classification", 1000, 1000, "logits"),
    "mobilenet_v1_shallow": ("image-classification", 1000, 1000, "logits"),
    "mobilenet_v1_dogs": ("image-classification", 120, 120, "logits"),
    "mobilenet_v1_geolocation": ("geolocation", 9640, 9640, "logits"),
    "mobilenet_v1_face_attributes": ("multi-label-classification", 40, 0, "logits"),
    "mobilenet_v1_face_embedding": ("embedding", 128, 0, "features"),
}


@pytest.mark.parametrize("name", HEADS)
def test_loads_by_name(name: str) -> None:
    task, outputs, labels, _ = HEADS[name]
    source = models.load(name, weights="random", width=0.25, resolution=64)
    assert (source.task, len(source.labels)) == (task, labels)
    with torch.inference_mode():
        found = source.module(*source.example_input)
    assert found.shape == (1, outputs)
    assert 0.01 < found.std() < 100


def test_an_embedding_has_length_one() -> None:
    source = models.load("mobilenet_v1_face_embedding", weights="random", width=0.25, resolution=64)
    with torch.inference_mode():
        found = source.module(torch.randn(5, 3, 64, 64))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))


def test_dog_breeds_are_stanfords() -> None:
    breeds = dog_breeds()
    assert len(set(breeds)) == 120
    assert (breeds[0], breeds[-1]) == ("Chihuahua", "African hunting dog")
    assert "dalmatian" not in breeds


@pytest.mark.parametrize(("variant", "layers"), [("mobilenet", 27), ("conv", 14), ("shallow", 17)])
def test_variants_are_table_1s_layers(variant: str, layers: int) -> None:
    """28 layers with the classifier: one, and two for each block, or one full convolution for each."""
    net = MobileNetV1(0.25, variant=variant)
    convolutions = [layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == layers
    depthwise = [layer for layer in convolutions if layer.groups > 1]
    assert len(depthwise) == (0 if variant == "conv" else layers // 2)


def test_weights_of_another_number_of_attributes(tmp_path: Path) -> None:
    torch.save(MobileNetV1(0.25, 7).state_dict(), tmp_path / "mine.pth")
    source = models.load("mobilenet_v1_face_attributes", weights=tmp_path / "mine.pth", width=0.25)
    assert source.module.classifier.out_features == 7
    assert source.task == "multi-label-classification"


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_every_format_computes_what_pytorch_does(name: str, tmp_path: Path) -> None:
    task, outputs, labels, content = HEADS[name]
    source = models.load(name, weights="random", width=0.25, resolution=64)
    for conversion in convert_all(source, TARGETS, name="m", output=tmp_path):
        assert conversion.verification is not None
        assert conversion.verification.passed
        contract = conversion.artifact.contract
        assert contract is not None
        _check(contract, task, outputs, labels, content)
        if task == "geolocation":
            session = open_session(conversion.artifact.path, threads=1)
            (spec,) = session.inputs
            scores = session.run([np.zeros(spec.shape, spec.dtype)])[0]
            ((latitude, longitude),) = decode_places(scores, contract.labels)
            assert abs(latitude) <= 90
            assert abs(longitude) <= 180


def _check(contract: Contract, task: str, outputs: int, labels: int, content: str) -> None:
    (output,) = contract.outputs
    assert (contract.task, len(contract.labels)) == (task, labels)
    assert (output.shape, output.content) == ((1, outputs), content)


def test_an_embedding_converts(tmp_path: Path) -> None:
    source = models.load("mobilenet_v1_face_embedding", weights="random", width=0.25, resolution=32)
    (conversion,) = convert_all(source, ("tflite",), name="m", output=tmp_path)
    assert conversion.verification is not None
    assert conversion.verification.passed
    assert "SQRT" in dict(conversion.artifact.census.ops) or "L2_NORMALIZATION" in dict(
        conversion.artifact.census.ops
    )
