from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from mobiledeploy.quantize.equalisation import equalise
from mobiledeploy.quantize.graph import layers, parameter, tidy
from mobiledeploy.quantize.reach import Extremes, extremes_of

Inputs = tuple[torch.Tensor, ...]
Export = Callable[..., ExportedProgram]


def tidied(program: ExportedProgram) -> GraphModule:
    module = program.module(check_guards=False)
    tidy(module)
    return module


def weights(module: GraphModule) -> list[torch.Tensor]:
    return [parameter(module, layer.weight) for layer in layers(module)]


def pair(activation: nn.Module) -> nn.Sequential:
    """Channel weights 4 and 1 written, 1 and 4 read: s = 2 and 1/2 makes all of them 2."""
    module = nn.Sequential(nn.Conv2d(3, 2, 1), activation, nn.Conv2d(2, 2, 1))
    module[0].weight.data = torch.tensor([[4.0, 1, 1], [1, 0.5, 1]])[:, :, None, None]
    module[2].weight.data = torch.tensor([[1.0, 4], [0.5, 2]])[:, :, None, None]
    return module


def test_known_answer_behind_relu(images: list[Inputs], to_program: Export) -> None:
    source = pair(nn.ReLU())
    module = tidied(to_program(source))
    equalise(module, extremes_of(module, images), "per-tensor")
    first, second = weights(module)
    assert torch.allclose(first.abs().amax((1, 2, 3)), torch.tensor([2.0, 2.0]) * first.abs().amax() / 2)
    assert torch.allclose(second.abs().amax((0, 2, 3)), second.abs().amax().expand(2))
    assert torch.allclose(first[0] / source[0].weight[0], first[0, 0] / 4)
    assert torch.allclose(module(*images[0]), source(*images[0]), rtol=1e-4, atol=1e-5)


def test_channels_that_reach_the_upper_clip_keep_their_size(images: list[Inputs], to_program: Export) -> None:
    source = pair(nn.ReLU6())
    source[0].bias.data = torch.tensor([20.0, -4.0])
    module = tidied(to_program(source))
    equalise(module, extremes_of(module, images), "per-tensor")
    first, *_ = weights(module)
    assert torch.equal(first[0], source[0].weight[0])
    assert not torch.allclose(first[1], source[0].weight[1])
    for x in images:
        assert torch.allclose(module(*x), source(*x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("granularity", ["per-tensor", "per-channel"])
def test_residual_blocks_are_one_space(
    granularity: str, small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    # Without the clip behind the stem, the sum's channels may be scaled through both of its operands.
    small.stem[2] = nn.Identity()
    small.project[1].weight.data[0] *= 50
    module = tidied(to_program(small))
    before = weights(module)
    reach = extremes_of(module, images)
    equalise(module, reach, granularity)  # type: ignore[arg-type]
    changed = [not torch.allclose(old, new) for old, new in zip(before, weights(module), strict=True)]
    assert all(changed)
    for x in images:
        assert torch.allclose(module(*x), small(*x), rtol=1e-3, atol=1e-3)

    def spread(found: dict[torch.fx.Node, Extremes]) -> float:
        ((low, high),) = (values for node, values in found.items() if node.name == "add")
        total = torch.maximum(high, -low)
        return float(total.amax() / total.amin())

    if granularity == "per-channel":
        assert spread(extremes_of(module, images)) < spread(reach)


def test_channels_that_never_fire_get_no_weights(images: list[Inputs], to_program: Export) -> None:
    source = pair(nn.ReLU())
    source[0].weight.data[1] *= 1000
    source[0].bias.data[1] = -1e6
    module = tidied(to_program(source))
    equalise(module, extremes_of(module, images), "per-tensor")
    assert float(weights(module)[0].abs().amax()) < 10
    assert torch.allclose(module(*images[0]), source(*images[0]), rtol=1e-4, atol=1e-5)
