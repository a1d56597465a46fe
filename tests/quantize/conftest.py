"""Small networks with the units of mobile networks, and their quantization."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

from mobiledeploy.converters.export import export
from mobiledeploy.source import SourceModel

Inputs = tuple[torch.Tensor, ...]
Export = Callable[..., ExportedProgram]


class Small(nn.Module):
    """Stem, inverted residual with ReLU6, pooling and a classifier; batch norms with real statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = block(3, 8, 3, 1, nn.ReLU6())
        self.expand = block(8, 16, 1, 1, nn.ReLU6())
        self.depthwise = block(16, 16, 3, 16, nn.ReLU6())
        self.project = block(16, 8, 1, 1, nn.Identity())
        self.classifier = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.project(self.depthwise(self.expand(x)))
        return self.classifier(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


def block(inputs: int, outputs: int, kernel: int, groups: int, activation: nn.Module) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), activation)


def settled(module: nn.Module) -> nn.Module:
    """In eval mode, with batch norm statistics from random images and uneven gains."""
    torch.manual_seed(1)
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.weight.data.uniform_(0.3, 3)
        norm.bias.data.uniform_(-1, 2)
        norm.momentum = None
    module.train()
    with torch.no_grad():
        for _ in range(4):
            module(torch.randn(4, 3, 16, 16))
    return module.eval()


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(0)
    return settled(Small())


@pytest.fixture
def images() -> list[Inputs]:
    generator = torch.Generator().manual_seed(2)
    return [(torch.randn(1, 3, 16, 16, generator=generator),) for _ in range(24)]


@pytest.fixture
def to_program() -> Export:
    def make(module: nn.Module, *inputs: torch.Tensor) -> ExportedProgram:
        return export(SourceModel(module.eval(), inputs or (torch.randn(1, 3, 16, 16),)))

    return make
