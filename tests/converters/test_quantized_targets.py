"""One int8 program, three files: each computes what PyTorch's simulation of it computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mobiledeploy.contract import TARGETS, Target
from mobiledeploy.converters import write
from mobiledeploy.converters.describe import describe
from mobiledeploy.converters.export import export
from mobiledeploy.quantize import quantize
from mobiledeploy.runtimes.formats import FORMATS, open_session
from mobiledeploy.source import SourceModel


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.branch = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU6(), nn.Conv2d(8, 8, 1))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head((x + self.branch(x)).mean((2, 3)))


@pytest.mark.parametrize("target", TARGETS)
def test_the_file_computes_the_simulation(target: Target, tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = [torch.randn(1, 3, 16, 16) for _ in range(24)]
    source = SourceModel(Net().eval(), (images[0],))
    program = quantize(export(source), [(image,) for image in images[:16]]).program
    before = {name: tensor.clone() for name, tensor in program.state_dict.items()}
    path = tmp_path / f"net{FORMATS[target].suffix}"
    write(target, program, describe(source, program, target), "fp32", path)
    session = open_session(path, threads=1)
    simulation = program.module()
    errors = []
    for image in images[16:]:
        spec, out = session.inputs[0], session.outputs[0]
        pixels = image.permute(0, 2, 3, 1).numpy() if target == "tflite" else image.numpy()
        if spec.scale is not None:
            pixels = np.clip(np.rint(pixels / spec.scale) + (spec.zero_point or 0), -128, 127)
        got = session.run([pixels.astype(spec.dtype)])[0].astype(np.float32)
        if out.scale is not None:
            got = (got - (out.zero_point or 0)) * out.scale
        errors.append(got - simulation(image).detach().numpy())
    step = max(float(simulation(image).detach().abs().max()) for image in images) / 127
    assert np.abs(errors).max() < 2.5 * step
    assert np.abs(errors).mean() < 0.5 * step
    # The caller's program is as it was: the next format is made from it.
    assert all(torch.equal(before[name], tensor) for name, tensor in program.state_dict.items())
