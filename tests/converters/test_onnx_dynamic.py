"""Layers of int8 weights that ONNX Runtime computes in integers, on inputs quantized as they come."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from mobiledeploy.converters import write
from mobiledeploy.converters.describe import describe
from mobiledeploy.converters.export import export
from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.quantize.recipe import Granularity
from mobiledeploy.runtimes.formats import open_session, read_artifact
from mobiledeploy.source import SourceModel

# Positive throughout: zero padding that were not the code of 0 would show.
IMAGE = torch.rand(1, 4, 9, 9, generator=torch.Generator().manual_seed(0)) + 0.5


def written(
    module: nn.Module, path: Path, image: torch.Tensor = IMAGE, weights: Granularity = "per-channel"
) -> tuple[onnx.ModelProto, float]:
    """The file, and its largest difference from the program's reals relative to the largest result."""
    source = SourceModel(module.eval(), (image,))
    recipe = Recipe(activations="float", weights=weights).without_inputs()
    program = quantize(export(source), [], recipe).program
    write("onnx", program, describe(source, program, "onnx"), "int8-dynamic", path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    (got,) = open_session(path, threads=1).run([image.numpy()])
    wanted = program.module()(image).detach().numpy()
    return model, float(np.abs(got - wanted).max() / np.abs(wanted).max())


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(4, 6, 3),
        nn.Conv2d(4, 6, 3, padding=1, stride=2),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4),
        nn.Conv2d(4, 6, 3, groups=2),
        nn.Conv2d(4, 6, 3, padding="same"),
        nn.Conv2d(4, 6, 1, bias=False),
    ],
    ids=["plain", "padded", "depthwise", "groups", "same", "no bias"],
)
@pytest.mark.parametrize("weights", ["per-channel", "per-tensor"])
def test_a_convolution(module: nn.Module, weights: Granularity, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, error = written(module, tmp_path / "net.onnx", weights=weights)
    assert kinds(model)["ConvInteger"] == 1
    assert not {"Conv", "DequantizeLinear"} & set(kinds(model))
    assert error < 0.01


def test_a_linear_layer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, error = written(nn.Linear(9, 5), tmp_path / "net.onnx", torch.randn(1, 9))
    assert kinds(model)["MatMulInteger"] == 1
    assert not {"Gemm", "DequantizeLinear"} & set(kinds(model))
    assert error < 0.02


def test_weights_are_the_programs_codes_around_128(tmp_path: Path) -> None:
    layer = nn.Conv2d(1, 1, (1, 3), bias=False)
    layer.weight.data = torch.tensor([127.0, -127.0, 1.0]).reshape(1, 1, 1, 3)
    model, _ = written(layer, tmp_path / "net.onnx", torch.rand(1, 1, 4, 4))
    (conv,) = (node for node in model.graph.node if node.op_type == "ConvInteger")
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    assert constants[conv.input[1]].dtype == np.uint8
    assert constants[conv.input[1]].ravel().tolist() == [255, 1, 129]
    assert int(constants[conv.input[3]]) == 128


class Branches(nn.Module):
    """Two layers read one tensor, and one layer is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.twice = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.twice(torch.relu(self.left(x) + self.twice(self.right(x))))


def test_readers_share_the_codes_of_a_tensor(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, error = written(Branches(), tmp_path / "net.onnx")
    assert error < 0.03
    assert kinds(model)["DynamicQuantizeLinear"] == 3
    assert kinds(model)["ConvInteger"] >= 3


def test_every_operation_has_a_name_of_its_own(tmp_path: Path) -> None:
    class Unnamed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = (nn.Parameter(torch.randn(4, 4, 1, 1)) for _ in range(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(nn.functional.conv2d(x, self.first) + x) * x
            return nn.functional.conv2d(x, self.second) + x

    torch.manual_seed(0)
    model, error = written(Unnamed(), tmp_path / "net.onnx")
    assert error < 0.02
    names = [node.name for node in model.graph.node]
    assert max(Counter(names).values()) == 1
    results = [name for node in model.graph.node for name in node.output]
    results += [item.name for item in model.graph.initializer]
    assert max(Counter(results).values()) == 1


def test_a_layer_without_a_place_for_int8_is_still_right(tmp_path: Path) -> None:
    """A linear layer on three axes is a MatMul in ONNX."""
    torch.manual_seed(0)
    _, error = written(nn.Linear(8, 5), tmp_path / "net.onnx", torch.randn(1, 3, 8))
    assert error < 0.02


def test_an_exempt_layer_computes_in_reals(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1)).eval()
    source = SourceModel(net, (IMAGE,))
    recipe = Recipe(activations="float", exempt=("2",)).without_inputs()
    program = quantize(export(source), [], recipe).program
    path = tmp_path / "net.onnx"
    write("onnx", program, describe(source, program, "onnx"), "int8-dynamic", path)
    assert kinds(onnx.load(path))["Conv"] == kinds(onnx.load(path))["ConvInteger"] == 1
    assert read_artifact(path).census.arithmetic.startswith("mixed")


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Branches()
    written(module, tmp_path / "a.onnx")
    written(module, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
