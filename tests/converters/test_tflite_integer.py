"""Q/DQ programs become integer graphs with the same codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mobiledeploy.converters import write
from mobiledeploy.converters.describe import describe
from mobiledeploy.converters.export import export
from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.runtimes.tflite_file import read
from mobiledeploy.runtimes.tflite_session import open_session
from mobiledeploy.source import SourceModel


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU6())
        self.project = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.cat([x + self.project(self.depthwise(x)), F.max_pool2d(x, 3, 1, 1)], 1)
        return self.head(x.mean((2, 3)))


def converted(
    module: nn.Module, path: Path, dtype: str = "", **recipe: Any
) -> tuple[torch.nn.Module, list[torch.Tensor]]:
    """Writes the int8 file; gives PyTorch's simulation of it, and images it has not seen."""
    torch.manual_seed(0)
    images = [torch.randn(1, 3, 16, 16) for _ in range(24)]
    source = SourceModel(module.eval(), (images[0],))
    program = export(source)
    quantized = quantize(program, [(image,) for image in images[:16]], Recipe(**recipe)).program
    contract = describe(source, quantized, "tflite")
    if dtype:
        inputs = tuple(replace(spec, dtype=dtype) for spec in contract.inputs)
        outputs = tuple(replace(spec, dtype=dtype) for spec in contract.outputs)
        contract = replace(contract, inputs=inputs, outputs=outputs)
    write("tflite", quantized, contract, "fp32", path)
    return quantized.module(), images[16:]


def run(path: Path, image: torch.Tensor) -> np.ndarray:
    """Reals in, reals out, through the file's own quantization."""
    session = open_session(path, threads=1)
    spec, out = session.inputs[0], session.outputs[0]
    pixels = image.permute(0, 2, 3, 1).numpy()
    if spec.scale is not None and spec.zero_point is not None:
        limits = np.iinfo(spec.dtype)
        pixels = np.clip(np.rint(pixels / spec.scale) + spec.zero_point, limits.min, limits.max)
    result = session.run([pixels.astype(spec.dtype)])[0]
    return result if out.scale is None else (result.astype(np.float32) - (out.zero_point or 0)) * out.scale


def test_every_operator_is_integer_and_the_numbers_are_the_simulations(tmp_path: Path) -> None:
    path = tmp_path / "int8.tflite"
    simulation, images = converted(Residual(), path)
    contents = read(path)
    assert not any(op.is_float for op in contents.ops)
    kinds = [op.kind for op in contents.ops]
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(kinds)
    step = contents.outputs[0].scale or 0
    errors = np.array([run(path, x)[0] - simulation(x)[0].detach().numpy() for x in images])
    # Rounding inside the kernels may move a result to the next code.
    assert np.abs(errors).max() <= 2.01 * step
    assert np.abs(errors).mean() < 0.5 * step


def test_a_float_result_costs_one_dequantize_and_keeps_int8_weights(tmp_path: Path) -> None:
    path = tmp_path / "float_output.tflite"
    simulation, images = converted(Residual(), path, float_output=True)
    contents = read(path)
    assert contents.outputs[0].dtype == "float32"
    assert [op.kind for op in contents.ops if op.is_float] == ["DEQUANTIZE", "FULLY_CONNECTED"]
    assert {op.weights for op in contents.ops if op.kind == "FULLY_CONNECTED"} == {"int8"}
    errors = [np.abs(run(path, x)[0] - simulation(x)[0].detach().numpy()).max() for x in images]
    assert max(errors) < 0.05


@pytest.mark.parametrize("module", [nn.Hardswish(), nn.Sigmoid(), nn.SiLU()])
def test_activations_after_a_convolution(module: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "activation.tflite"
    simulation, images = converted(nn.Sequential(nn.Conv2d(3, 4, 3), module), path)
    errors = [np.abs(run(path, x) - simulation(x).permute(0, 2, 3, 1).detach().numpy()).max() for x in images]
    assert max(errors) <= 3 * (read(path).outputs[0].scale or 0.02)


@pytest.mark.parametrize(
    ("dtype", "kinds"), [("uint8", ["QUANTIZE"] * 2), ("float32", ["QUANTIZE", "DEQUANTIZE"])]
)
def test_borders_in_another_dtype(dtype: str, kinds: list[str], tmp_path: Path) -> None:
    module = Residual()
    _, images = converted(module, tmp_path / "int8.tflite")
    converted(module, tmp_path / "other.tflite", dtype)
    contents = read(tmp_path / "other.tflite")
    assert (contents.inputs[0].dtype, contents.outputs[0].dtype) == (dtype, dtype)
    assert [op.kind for op in contents.ops if "QUANTIZE" in op.kind] == kinds
    for image in images:
        assert np.allclose(
            run(tmp_path / "int8.tflite", image), run(tmp_path / "other.tflite", image), atol=1e-6
        )


def test_the_contract_tells_the_files_own_codes(tmp_path: Path) -> None:
    converted(Residual(), tmp_path / "int8.tflite")
    contents = read(tmp_path / "int8.tflite")
    assert contents.contract is not None
    for promised, real in zip(
        contents.contract.inputs + contents.contract.outputs, contents.inputs + contents.outputs, strict=True
    ):
        assert (promised.dtype, promised.shape) == (real.dtype, real.shape)
        assert (promised.scale, promised.zero_point) == (real.scale, real.zero_point)


def test_a_layer_with_real_weights_between_integers_stays_float(tmp_path: Path) -> None:
    """Its output error is int8's of its borders, not that of weights with one scale for unequal channels."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU6(), nn.Conv2d(8, 8, 1), nn.ReLU6(), nn.Conv2d(8, 4, 1)]
    net = nn.Sequential(*layers).eval()
    net[2].weight.data[0] *= 1000
    images = [torch.randn(1, 3, 12, 12) for _ in range(20)]
    source = SourceModel(net, (images[0],))
    recipe = Recipe(exempt=("2",), equalisation="off")
    program = quantize(export(source), [(image,) for image in images], recipe).program
    path = tmp_path / "net.tflite"
    write("tflite", program, describe(source, program, "tflite"), "int8", path)
    (layer,) = [op for op in read(path).ops if op.kind == "CONV_2D" and op.is_float]
    assert layer.weights == "float32"
