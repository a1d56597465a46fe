"""The program that every target lowers."""

from __future__ import annotations

import torch
from torch import nn

from mobiledeploy.converters.export import export
from mobiledeploy.source import SourceModel


def operations(module: nn.Module, *inputs: torch.Tensor) -> tuple[list[str], float]:
    """ATen names of the exported program, and its difference from the module."""
    program = export(SourceModel(module.eval(), inputs))
    names = [str(node.target).split(".")[1] for node in program.graph.nodes if node.op == "call_function"]
    with torch.no_grad():
        return names, float((program.module()(*inputs) - module(*inputs)).abs().max())


def test_batch_norm_is_folded_and_the_module_left_alone() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    module[1].running_mean.normal_()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    names, error = operations(module, torch.randn(1, 3, 8, 8))
    assert names == ["conv2d", "relu"]
    assert error < 1e-5
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_a_shared_convolution_keeps_its_batch_norms() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.one, self.two = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
            self.two.running_mean.fill_(3.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.one(self.conv(x)) + self.two(self.conv(x * 2))

    names, error = operations(Shared(), torch.randn(1, 3, 8, 8))
    assert names.count("batch_norm") == 2
    assert error < 1e-5


def test_later_readers_see_what_was_written_in_place() -> None:
    class InPlace(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x + 1
            torch.relu_(y)
            return y * 2

    _, error = operations(InPlace(), torch.randn(1, 3))
    assert error == 0


def test_views_written_in_place_are_functionalised() -> None:
    class Patch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x + 1
            y[:, 1:].mul_(3)
            return y * 2

    names, error = operations(Patch(), torch.randn(1, 3))
    assert error == 0
    assert not any(name.endswith("_") for name in names)


def test_no_grad_and_autocast_regions_are_part_of_the_graph() -> None:
    class Regions(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", enabled=False):
                y = x * 2
            with torch.no_grad():
                return y + 1

    names, error = operations(Regions(), torch.randn(1, 3))
    assert names == ["mul", "add"]
    assert error == 0
