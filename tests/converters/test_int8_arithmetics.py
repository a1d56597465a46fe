"""Weights-only, dynamic-range and 16-bit activations: each target computes the simulation, or refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mobiledeploy.contract import Precision, Target
from mobiledeploy.converters import write
from mobiledeploy.converters.describe import describe
from mobiledeploy.converters.export import export
from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.quantize.dynamic import dynamic
from mobiledeploy.runtimes.formats import FORMATS, open_session, read_artifact
from mobiledeploy.source import SourceModel


class Net(nn.Module):
    """A padded stem, a depthwise layer, a residual sum and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 8, 3, 2), nn.ReLU6())
        self.branch = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU6(), nn.Conv2d(8, 8, 1))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head((x + self.branch(x)).mean((2, 3)))


CASES: list[tuple[Precision, str, Target, str, float]] = [
    ("int16x8", "int16", "tflite", "int16x8", 1e-3),
    ("int8-dynamic", "float", "tflite", "dynamic-range", 2e-2),
    ("int8-dynamic", "float", "onnx", "dynamic-range", 2e-2),
    ("int8-weights", "float", "tflite", "weights-only", 1e-5),
    ("int8-weights", "float", "onnx", "weights-only", 1e-5),
    ("int8-weights", "float", "coreml", "weights-only", 1e-5),
]


@pytest.mark.parametrize(("precision", "activations", "target", "word", "share"), CASES)
def test_the_file_computes_the_simulation(
    precision: Precision, activations: str, target: Target, word: str, share: float, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    images = [torch.randn(1, 3, 16, 16) for _ in range(24)]
    source = SourceModel(Net().eval(), (images[0],))
    recipe = Recipe(activations=activations)  # type: ignore[arg-type]
    program = quantize(export(source), [(image,) for image in images[:16]], recipe).program
    path = tmp_path / f"net{FORMATS[target].suffix}"
    write(target, program, describe(source, program, target), precision, path)
    assert read_artifact(path).census.arithmetic == word
    module = program.module()
    simulation = dynamic(module) if precision == "int8-dynamic" else module
    session = open_session(path, threads=1)
    (spec,), (out,) = session.inputs, session.outputs
    for image in images[16:]:
        pixels = image.permute(0, 2, 3, 1).numpy() if target == "tflite" else image.numpy()
        if spec.scale is not None:
            limits = np.iinfo(spec.dtype)
            pixels = np.clip(np.rint(pixels / spec.scale), limits.min, limits.max)
        got = session.run([pixels.astype(spec.dtype)])[0].astype(np.float32) * (out.scale or 1)
        wanted = simulation(image).detach().numpy()
        assert np.abs(got - wanted).max() < share * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("mode", "value", "folds"), [("constant", 0.0, True), ("constant", 1.0, False), ("reflect", 0.0, False)]
)
def test_zero_padding_becomes_the_convolutions_own(
    mode: str, value: float, folds: bool, tmp_path: Path
) -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            options = {"value": value} if mode == "constant" else {}
            return self.conv(nn.functional.pad(x, (0, 1, 2, 3), mode, **options))  # type: ignore[arg-type]

    torch.manual_seed(0)
    image = torch.randn(1, 3, 12, 12)
    source = SourceModel(Padded().eval(), (image,))
    program = export(source)
    path = tmp_path / "net.onnx"
    write("onnx", program, describe(source, program, "onnx"), "fp32", path)
    kinds = [op.kind for op in read_artifact(path).contents.ops]
    assert ("Pad" not in kinds) == folds
    (got,) = open_session(path, threads=1).run([image.numpy()])
    assert np.allclose(got, source.module(image).detach().numpy(), atol=1e-5)


def test_a_pad_with_another_reader_stays(tmp_path: Path) -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = nn.functional.pad(x, (1, 1, 1, 1))
            return self.conv(x) + x

    torch.manual_seed(0)
    image = torch.randn(1, 3, 8, 8)
    source = SourceModel(Shared().eval(), (image,))
    program = export(source)
    path = tmp_path / "net.onnx"
    write("onnx", program, describe(source, program, "onnx"), "fp32", path)
    (got,) = open_session(path, threads=1).run([image.numpy()])
    assert np.allclose(got, source.module(image).detach().numpy(), atol=1e-5)
