"""One int8 program, three files: the same codes, scales, zero points and biases, tensor by tensor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mobiledeploy import models
from mobiledeploy.contract import TARGETS, Target
from mobiledeploy.converters import write
from mobiledeploy.converters.describe import describe
from mobiledeploy.converters.export import export
from mobiledeploy.images import find_images, load_image
from mobiledeploy.preprocessing import normalise, prepare
from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.runtimes.formats import FORMATS
from mobiledeploy.runtimes.quantization import Quantization, QuantizedOp, read_quantization
from mobiledeploy.source import SourceModel

QUICK = Recipe(equalisation=False, bias_correction="none", rounding="nearest")
KINDS = [
    *("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"),
    *("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD"),
    *("CONV_2D", "CONCATENATION", "MEAN", "FULLY_CONNECTED"),
]


def layer(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU6())


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = layer(3, 8, 3, 2)
        self.separable = nn.Sequential(layer(8, 8, 3, groups=8), layer(8, 12))
        self.inverted = nn.Sequential(layer(12, 24), layer(24, 24, 3, groups=24), layer(24, 12)[:2])
        self.side = layer(12, 4)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.separable(self.stem(x))
        x = x + self.inverted(x)
        x = torch.cat([x, self.side(x)], 1)
        return self.head(x.mean((2, 3)))


def written(
    source: SourceModel, recipe: Recipe, images: list[torch.Tensor], folder: Path
) -> dict[Target, tuple[QuantizedOp, ...]]:
    program = quantize(export(source), [(image,) for image in images], recipe).program
    found: dict[Target, tuple[QuantizedOp, ...]] = {}
    for target in TARGETS:
        path = folder / f"net{FORMATS[target].suffix}"
        write(target, program, describe(source, program, target), "fp32", path)
        found[target] = read_quantization(path)
    return found


def assert_same(ours: tuple[QuantizedOp, ...], theirs: tuple[QuantizedOp, ...]) -> None:
    assert len(ours) == len(theirs)
    for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        where = f"{index}: {one.kind} and {other.kind}"
        assert tensors(one) == tensors(other), where
        assert (one.weights is None) == (other.weights is None), where
        if one.weights is None or other.weights is None:
            continue
        assert one.weights.shape == other.weights.shape, where
        assert one.weights.sha256 == other.weights.sha256, where
        assert one.weights.scales == other.weights.scales, where
        assert not any(one.weights.zero_points + other.weights.zero_points), where
        # Core ML has float32 reals in place of int32 codes.
        assert one.weights.bias == pytest.approx(other.weights.bias, rel=2.0**-22, abs=0), where


def tensors(op: QuantizedOp) -> tuple[tuple[Quantization, ...], tuple[Quantization, ...]]:
    """Inputs and outputs in signed codes; those of a sum in steps of its second input.

    Core ML's exporter divides the three scales of a sum by the second's, in float32.
    """
    unit = np.float32(op.inputs[1].scale if op.kind.lower() == "add" else 1)

    def canonical(item: Quantization) -> Quantization:
        return Quantization(item.dtype, float(np.float32(item.scale) / unit), item.zero_point).signed

    return tuple(map(canonical, op.inputs)), tuple(map(canonical, op.outputs))


@pytest.fixture(scope="module", params=[False, True], ids=["int8 output", "float output"])
def small(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[Target, tuple[QuantizedOp, ...]]:
    torch.manual_seed(0)
    images = [torch.randn(1, 3, 16, 16) for _ in range(16)]
    recipe = replace(QUICK, float_output=request.param)
    return written(SourceModel(Net().eval(), (images[0],)), recipe, images, tmp_path_factory.mktemp("small"))


def test_small_network(small: dict[Target, tuple[QuantizedOp, ...]], request: pytest.FixtureRequest) -> None:
    tflite = small["tflite"]
    assert [op.kind for op in tflite] == KINDS
    is_float = "float output" in request.node.name
    assert [len(op.outputs) for op in tflite] == [1] * 10 + [0 if is_float else 1]
    assert_same(tflite, small["onnx"])
    assert_same(tflite, small["coreml"])


def test_a_scale_that_differs_in_its_last_bit_is_seen(small: dict[Target, tuple[QuantizedOp, ...]]) -> None:
    weights = small["onnx"][0].weights
    assert weights is not None
    next_scale = float(np.nextafter(np.float32(weights.scales[3]), np.float32(1)))
    scales = (*weights.scales[:3], next_scale, *weights.scales[4:])
    changed = replace(small["onnx"][0], weights=replace(weights, scales=scales))
    with pytest.raises(AssertionError, match="0: CONV_2D and Conv"):
        assert_same(small["tflite"], (changed, *small["onnx"][1:]))


@pytest.mark.slow
@pytest.mark.data
def test_mobilenet_v1_with_its_weights(data_dir: Path, tmp_path: Path) -> None:
    weights = data_dir / "weights" / "mobilenet_v1_0.25_224_keras.pth"
    source = models.load("mobilenet_v1", weights=weights, width=0.25)
    rule = source.preprocessing
    assert rule is not None
    paths = find_images(data_dir / "images" / "calib_imagen_300")[:20]
    pixels = [normalise(prepare(load_image(path), rule), rule) for path in paths]
    images = [torch.from_numpy(array.transpose(2, 0, 1)[None].copy()) for array in pixels]
    found = written(source, Recipe(), images, tmp_path)
    assert [op.kind for op in found["tflite"] if op.weights is None] == ["MEAN"]
    assert len(found["tflite"]) == 27 + 1 + 1
    assert_same(found["tflite"], found["onnx"])
    assert_same(found["tflite"], found["coreml"])
