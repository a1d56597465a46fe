"""TFLite files of int8 weights among reals: kernels that quantize their input, or widened weights."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mobiledeploy.contract import Precision
from mobiledeploy.converters import write
from mobiledeploy.converters.describe import describe
from mobiledeploy.converters.export import export
from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.quantize.dynamic import dynamic
from mobiledeploy.quantize.recipe import Granularity
from mobiledeploy.runtimes.formats import open_session, read_artifact
from mobiledeploy.source import SourceModel

IMAGE = torch.randn(1, 4, 9, 9, generator=torch.Generator().manual_seed(0))


class Shared(nn.Module):
    """One layer, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.relu(self.conv(x)))


LAYERS = {
    "dense": lambda: nn.Conv2d(4, 6, 3, padding=1),
    "depthwise": lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4),
    "groups": lambda: nn.Conv2d(4, 6, 3, groups=2),
    "dilated": lambda: nn.Conv2d(4, 6, 3, dilation=2),
    "pointwise": lambda: nn.Conv2d(4, 6, 1, bias=False),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(324, 7)),
    "shared": Shared,
}


def written(
    module: nn.Module, precision: Precision, path: Path, weights: Granularity = "per-channel"
) -> tuple[str, Counter[str], float, float]:
    """Arithmetic, operators, and how far the file is from the simulation, and the simulation from reals."""
    source = SourceModel(module.eval(), (IMAGE,))
    recipe = Recipe(activations="float", weights=weights).without_inputs()
    program = quantize(export(source), [], recipe).program
    write("tflite", program, describe(source, program, "tflite"), precision, path)
    inside = program.module()
    simulation = dynamic(inside) if precision == "int8-dynamic" else inside
    with torch.no_grad():
        reals, wanted = (model(IMAGE).numpy() for model in (inside, simulation))
    (got,) = open_session(path, threads=1).run([IMAGE.permute(0, 2, 3, 1).numpy().copy()])
    got = got.transpose(0, 3, 1, 2) if got.ndim == 4 else got
    artifact = read_artifact(path)
    size = float(np.abs(reals).max())
    kinds = Counter(op.kind for op in artifact.contents.ops)
    return (
        artifact.census.arithmetic,
        kinds,
        float(np.abs(got - wanted).max()) / size,
        float(np.abs(wanted - reals).max()) / size,
    )


@pytest.mark.parametrize("weights", ["per-channel", "per-tensor"])
@pytest.mark.parametrize("layer", LAYERS)
def test_weights_alone(layer: str, weights: Granularity, tmp_path: Path) -> None:
    torch.manual_seed(0)
    word, kinds, error, _ = written(LAYERS[layer](), "int8-weights", tmp_path / "net.tflite", weights)
    assert word == "weights-only"
    assert "QUANTIZE" not in kinds
    assert error < 1e-5


@pytest.mark.parametrize("weights", ["per-channel", "per-tensor"])
@pytest.mark.parametrize("layer", LAYERS)
def test_kernels_that_quantize_their_input(layer: str, weights: Granularity, tmp_path: Path) -> None:
    torch.manual_seed(0)
    word, kinds, error, rounding = written(LAYERS[layer](), "int8-dynamic", tmp_path / "net.tflite", weights)
    assert word == "dynamic-range"
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(kinds)
    # Kernels may round the input by another rule than PyTorch's simulation, not more coarsely.
    assert error < 2 * rounding + 1e-4


def test_int8_weights_take_a_quarter(tmp_path: Path) -> None:
    sizes = {}
    for precision in ("fp32", "int8-weights", "int8-dynamic"):
        net = nn.Sequential(nn.Conv2d(4, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3))
        source = SourceModel(net.eval(), (IMAGE,))
        program = export(source)
        if precision != "fp32":
            program = quantize(program, [], Recipe(activations="float").without_inputs()).program
        path = tmp_path / f"{precision}.tflite"
        write("tflite", program, describe(source, program, "tflite"), precision, path)  # type: ignore[arg-type]
        sizes[precision] = path.stat().st_size
    for precision in ("int8-weights", "int8-dynamic"):
        assert sizes[precision] < 0.3 * sizes["fp32"]


@pytest.mark.parametrize("precision", ["int8-weights", "int8-dynamic"])
def test_an_exempt_layer_stays_as_it_is(precision: Precision, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)).eval()
    source = SourceModel(net, (IMAGE,))
    recipe = Recipe(activations="float", exempt=("2",)).without_inputs()
    program = quantize(export(source), [], recipe).program
    path = tmp_path / "net.tflite"
    write("tflite", program, describe(source, program, "tflite"), precision, path)
    layers = [op for op in read_artifact(path).contents.ops if op.kind == "CONV_2D"]
    assert [op.weights for op in layers] == ["int8", "float32"]
