"""Networks with parts that MobileNetV2 has not, and the steps up to a prepared graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from mobiledeploy.converters.export import export
from mobiledeploy.quantize.calibration import watch
from mobiledeploy.quantize.graph import tidy
from mobiledeploy.quantize.observers import freeze
from mobiledeploy.quantize.pt2e import prepare_pt2e
from mobiledeploy.quantize.quantizer import MobileQuantizer
from mobiledeploy.quantize.recipe import Recipe
from mobiledeploy.source import SourceModel

SIZE = 16
Inputs = tuple[torch.Tensor, ...]


def unit(inputs: int, outputs: int, kernel: int = 1, groups: int = 1, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


class Shuffled(nn.Module):
    """Group convolutions with a channel shuffle written as views of a static shape between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = unit(3, 8, 3), unit(8, 8, 3, groups=2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        batch, channels, height, width = x.shape
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        x = torch.relu(self.second(x.view(batch, channels, height, width)))
        return self.head(x.mean((2, 3)))


class Gated(nn.Module):
    """Squeeze and excite between two convolutions, with the given activation and gate."""

    def __init__(self, activation: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.stem, self.project = unit(3, 16, 3), unit(16, 8)
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.activation, self.gate = activation, gate
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.activation(self.stem(x))
        pooled = nn.functional.adaptive_avg_pool2d(x, 1)
        x = x * self.gate(self.excite(torch.relu(self.squeeze(pooled))))
        x = self.activation(self.project(x))
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class Silu(nn.Module):
    """An inverted residual with SiLU, without a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.expand = unit(3, 8, 3), unit(8, 16)
        self.depthwise, self.project = unit(16, 16, 3, groups=16), unit(16, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        act = nn.functional.silu
        x = act(self.stem(x))
        x = x + self.project(act(self.depthwise(act(self.expand(x)))))
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


def settle(module: nn.Module, size: int = SIZE) -> nn.Module:
    """In eval mode, with uneven gains and batch norm statistics from random images."""
    torch.manual_seed(1)
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.weight.data.uniform_(0.5, 2)
        norm.bias.data.uniform_(-1, 2)
        norm.momentum = None
    module.train()
    with torch.no_grad():
        for _ in range(4):
            module(torch.randn(4, 3, size, size))
    return module.eval()


def program_of(module: nn.Module, *inputs: torch.Tensor) -> ExportedProgram:
    return export(SourceModel(module.eval(), inputs or (torch.randn(1, 3, SIZE, SIZE),)))


def tidied(module: nn.Module, *inputs: torch.Tensor) -> GraphModule:
    """The graph that the steps before the observers see."""
    graph: GraphModule = program_of(module, *inputs).module(check_guards=False)
    tidy(graph)
    return graph


def frozen(module: nn.Module, recipe: Recipe, inputs: Sequence[Inputs]) -> GraphModule:
    """The graph that the steps behind the observers see: prepared, calibrated and with fixed scales."""
    graph: GraphModule = prepare_pt2e(tidied(module, *inputs[0]), MobileQuantizer(recipe))
    watch(graph, inputs)
    freeze(graph)
    return graph


def sqnr(wanted: Sequence[torch.Tensor], got: Sequence[torch.Tensor]) -> float:
    """Signal to noise over all outputs, dB."""
    signal = sum(float((want.detach() ** 2).sum()) for want in wanted)
    noise = sum(float(((want - item).detach() ** 2).sum()) for want, item in zip(wanted, got, strict=True))
    return 10 * math.log10(signal / noise)
