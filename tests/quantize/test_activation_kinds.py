"""Activations of 8 and 16 bits, behind ReLU6, SiLU and hard-swish, in squeeze-and-excite networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_nets import SIZE, Gated, Inputs, Shuffled, Silu, program_of, settle, sqnr
from torch import nn
from torch.export import ExportedProgram

from mobiledeploy import models
from mobiledeploy.converters import write
from mobiledeploy.converters.describe import describe
from mobiledeploy.converters.export import export
from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.runtimes.tflite_file import read
from mobiledeploy.runtimes.tflite_session import open_session
from mobiledeploy.source import SourceModel

IMAGES: list[Inputs] = [
    (torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(index)),) for index in range(24)
]


def codes(program: ExportedProgram) -> set[torch.dtype]:
    """Dtypes of all activations that are quantized."""
    return {
        node.args[5]
        for node in program.graph.nodes
        if str(node.target) == "quantized_decomposed.quantize_per_tensor.default"
    }


def ratio(module: nn.Module, program: ExportedProgram) -> float:
    simulation = program.module()
    with torch.no_grad():
        return sqnr([module(*x) for x in IMAGES], [simulation(*x) for x in IMAGES])


def test_sixteen_bits_are_symmetric_and_much_finer(small: nn.Module) -> None:
    program = program_of(small)
    fine = quantize(program, IMAGES, Recipe(activations="int16")).program
    coarse = quantize(program, IMAGES, Recipe()).program
    assert codes(fine) == {torch.int16}
    assert codes(coarse) == {torch.int8}
    for node in fine.graph.nodes:
        if str(node.target) == "quantized_decomposed.quantize_per_tensor.default":
            assert node.args[2:5] == (0, -32767, 32767)
    assert ratio(small, fine) > ratio(small, coarse) + 8


def test_sixteen_bits_clip_nothing(small: nn.Module) -> None:
    report = quantize(program_of(small), IMAGES, Recipe(activations="int16", ranges="entropy")).report
    assert report.ranges
    for item in report.ranges:
        assert item.zero_point == 0
        assert item.scale * 32767 >= max(-item.low, item.high) * 0.9999


def test_biases_beside_sixteen_bits_stay_reals(small: nn.Module) -> None:
    program = quantize(program_of(small), IMAGES, Recipe(activations="int16")).program
    kinds = ("aten.conv2d", "aten.linear")
    layers = [node for node in program.graph.nodes if str(node.target).startswith(kinds)]
    assert len(layers) == 5
    for layer in layers:
        _, weight, bias = layer.all_input_nodes
        assert "dequantize" in str(weight.target)
        assert bias.op == "placeholder"


@pytest.mark.parametrize("name", ["silu", "hardswish", "hardsigmoid", "gelu"])
def test_what_has_no_kernel_of_sixteen_bits_stays_float_and_is_told(name: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return getattr(nn.functional, name)(self.conv(x))

    torch.manual_seed(0)
    program = program_of(Net())
    (told,) = (
        warning
        for warning in quantize(program, IMAGES, Recipe(activations="int16")).report.warnings
        if warning.name == "float-operation"
    )
    assert f"aten.{name}" in told.message
    eight = quantize(program, IMAGES, Recipe()).report.warnings
    assert "float-operation" not in {warning.name for warning in eight}


def int8_file(
    net: nn.Module, images: list[Inputs], path: Path
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Writes the file; gives what network and file make of each image."""
    source = SourceModel(net, images[0])
    program = quantize(export(source), images[:16]).program
    write("tflite", program, describe(source, program, "tflite"), "fp32", path)
    session = open_session(path, threads=1)
    spec, out = session.inputs[0], session.outputs[0]
    assert spec.scale is not None
    assert out.scale is not None
    with torch.no_grad():
        wanted = [net(*x) for x in images]
    got = []
    for (x,) in images:
        stored = np.rint(x.permute(0, 2, 3, 1).numpy() / spec.scale) + (spec.zero_point or 0)
        result = session.run([np.clip(stored, -128, 127).astype(np.int8)])[0].astype(np.float32)
        got.append(torch.from_numpy((result - (out.zero_point or 0)) * out.scale))
    return wanted, got


@pytest.mark.parametrize(
    ("make", "least"),
    [
        (Silu, 25),
        (lambda: Gated(nn.ReLU(), nn.Sigmoid()), 25),
        (lambda: Gated(nn.SiLU(), nn.Sigmoid()), 25),
        (lambda: Gated(nn.Hardswish(), nn.Hardsigmoid()), 25),
        (Shuffled, 25),
    ],
    ids=["silu", "relu gate", "silu gate", "hard-swish gate", "shuffle"],
)
def test_the_file_has_no_float_operation(make: Callable[[], nn.Module], least: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "net.tflite"
    wanted, got = int8_file(settle(make()), IMAGES, path)
    contents = read(path)
    assert [op.kind for op in contents.ops if op.is_float] == []
    assert contents.inputs[0].dtype == contents.outputs[0].dtype == "int8"
    assert sqnr(wanted, got) > least


@pytest.mark.slow
def test_mobilenet_v3_small_is_integer_throughout(tmp_path: Path) -> None:
    net = settled_v3(64)
    images = [
        (torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(index)),) for index in range(20)
    ]
    path = tmp_path / "v3.tflite"
    wanted, got = int8_file(net, images, path)
    contents = read(path)
    assert [op.kind for op in contents.ops if op.is_float] == []
    middle = torch.stack(wanted).mean(0)
    assert sqnr(wanted, got) > 17
    # What tells images apart survives, not only what all have in common.
    assert sqnr([want - middle for want in wanted], [item - middle for item in got]) > 10


def settled_v3(size: int) -> nn.Module:
    torch.manual_seed(0)
    return settle(models.load("mobilenet_v3_small", weights="random").module, size)
