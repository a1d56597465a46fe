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
from mobiledeploy.runtimes.formats import FORMATS, read_artifact
from mobiledeploy.runtimes.quantization import Quantization, QuantizedOp, read_quantization
from mobiledeploy.source import SourceModel

QUICK = Recipe(equalisation="off", bias_correction="none", rounding="nearest")
RECIPES = {
    "int8 output": QUICK,
    "float output": replace(QUICK, float_output=True),
    "fine-tuned": replace(QUICK, fine_tuning=2, learning_rate=0.1, batch=1),
}
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
        for item in self.modules():
            if isinstance(item, nn.BatchNorm2d):
                nn.init.uniform_(item.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.separable(self.stem(x))
        x = x + self.inverted(x)
        x = torch.cat([x, self.side(x)], 1)
        return self.head(x.mean((2, 3)))


def written(
    source: SourceModel, recipe: Recipe, images: list[torch.Tensor], folder: Path
) -> dict[Target, Path]:
    quantized = quantize(export(source), [(image,) for image in images], recipe)
    learnt = quantized.report.fine_tuning
    assert learnt.taken if learnt else not recipe.fine_tuning
    program = quantized.program
    paths = {target: folder / f"net{FORMATS[target].suffix}" for target in TARGETS}
    for target, path in paths.items():
        write(target, program, describe(source, program, target), "fp32", path)
    return paths


def listed(paths: dict[Target, Path]) -> dict[Target, tuple[QuantizedOp, ...]]:
    return {target: read_quantization(path) for target, path in paths.items()}


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


@pytest.fixture(scope="module", params=RECIPES)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[Target, Path]:
    torch.manual_seed(0)
    images = [torch.randn(1, 3, 16, 16) for _ in range(16)]
    source = SourceModel(Net().eval(), (images[0],))
    return written(source, RECIPES[request.param], images, tmp_path_factory.mktemp("small"))


def test_small_network(small: dict[Target, Path], request: pytest.FixtureRequest) -> None:
    found = listed(small)
    tflite = found["tflite"]
    assert [op.kind for op in tflite] == KINDS
    is_float = "float output" in request.node.name
    assert [len(op.outputs) for op in tflite] == [1] * 10 + [0 if is_float else 1]
    assert_same(tflite, found["onnx"])
    assert_same(tflite, found["coreml"])


def test_the_census_counts_the_same_weights(small: dict[Target, Path]) -> None:
    parameters = sum(item.numel() for item in Net().parameters())
    norms = sum(item.weight.numel() for item in Net().modules() if isinstance(item, nn.BatchNorm2d))
    for path in small.values():
        contents = read_artifact(path).contents
        # A batch norm leaves its bias behind.
        assert contents.parameters == parameters - norms
        layers = [op for op in contents.ops if op.mult_adds]
        assert [op.weights for op in layers] == ["int8"] * 8
        assert {dtype for op in layers[:6] for dtype in op.inputs} <= {"int8", "uint8"}


def test_a_scale_that_differs_in_its_last_bit_is_seen(small: dict[Target, Path]) -> None:
    found = listed(small)
    first, *others = found["onnx"]
    weights = first.weights
    assert weights is not None
    next_scale = float(np.nextafter(np.float32(weights.scales[3]), np.float32(1)))
    scales = (*weights.scales[:3], next_scale, *weights.scales[4:])
    changed = replace(first, weights=replace(weights, scales=scales))
    with pytest.raises(AssertionError, match="0: CONV_2D and Conv"):
        assert_same(found["tflite"], (changed, *others))


@pytest.mark.slow
@pytest.mark.data
def test_mobilenet_v1_with_its_weights(data_dir: Path, tmp_path: Path) -> None:
    weights = data_dir / "weights" / "mobilenet_v1_0.25_224_keras.pth"
    source = models.load("mobilenet_v1", weights=weights, width=0.25)
    rule = source.preprocessing
    assert rule is not None
    photos = find_images(data_dir / "images" / "calib_imagen_300")[:20]
    pixels = [normalise(prepare(load_image(path), rule), rule) for path in photos]
    images = [torch.from_numpy(array.transpose(2, 0, 1)[None].copy()) for array in pixels]
    paths = written(source, Recipe(), images, tmp_path)
    found = listed(paths)
    assert [op.kind for op in found["tflite"] if op.weights is None] == ["MEAN"]
    assert len(found["tflite"]) == 27 + 1 + 1
    assert_same(found["tflite"], found["onnx"])
    assert_same(found["tflite"], found["coreml"])
    artifacts = [read_artifact(path) for path in paths.values()]
    assert len({artifact.census.parameters for artifact in artifacts}) == 1
    words = {artifact.target: artifact.census.arithmetic for artifact in artifacts}
    assert words["tflite"] == "full-integer"
    assert words["coreml"] == "int8 with float32 input and output"
