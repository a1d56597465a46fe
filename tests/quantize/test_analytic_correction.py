"""Biases give back what rounding adds to a mean that batch norms know."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_nets import SIZE, frozen, program_of, unit
from torch import nn
from torch.fx import GraphModule

from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.quantize.analytic_correction import correct_biases_analytically
from mobiledeploy.quantize.graph import layers, parameter

PLAIN = Recipe(ranges="minmax", rounding="nearest", equalisation="off", bias_correction="none")
IMAGES = [
    (torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(index)),) for index in range(8)
]


def first(means: list[float]) -> nn.Sequential:
    """A layer whose output has these means, and hardly any deviation, as its batch norm says."""
    layer = unit(3, len(means))
    layer[1].bias.data = torch.tensor(means)
    layer[1].weight.data = torch.full((len(means),), 1e-6)
    return layer


def biases(graph: GraphModule) -> list[torch.Tensor]:
    return [parameter(graph, layer.bias).clone() for layer in layers(graph)]


def shifts(module: nn.Module) -> list[torch.Tensor]:
    """What correction adds to the bias of each layer."""
    graph = frozen(module, PLAIN, IMAGES)
    before = biases(graph)
    with torch.no_grad():
        correct_biases_analytically(graph)
    return [after - old for old, after in zip(before, biases(graph), strict=True)]


def test_known_answer_of_a_dense_layer() -> None:
    """Codes of step 1: 10.3 rounds down by 0.3 and meets 2, 4.6 rounds up by 0.4 and meets 5."""
    second = nn.Conv2d(3, 2, 1)
    second.weight.data = torch.tensor([[127.0, 10.3, 4.6], [127.0, -10.3, 0.0]])[:, :, None, None]
    at_first, at_second = shifts(nn.Sequential(first([1.0, 2.0, 5.0]), nn.ReLU(), second))
    # Nothing is known of the image.
    assert torch.equal(at_first, torch.zeros(3))
    assert torch.allclose(at_second, torch.tensor([0.3 * 2 - 0.4 * 5, -0.3 * 2]), atol=1e-3)


def test_known_answer_of_a_depthwise_layer() -> None:
    """Each channel by its own mean; all nine places of a kernel count."""
    second = nn.Conv2d(2, 2, 3, groups=2)
    second.weight.data.fill_(10.3)
    second.weight.data[:, 0, 0, 0] = 127.0
    _, got = shifts(nn.Sequential(first([2.0, 5.0]), nn.ReLU(), second))
    assert torch.allclose(got, torch.tensor([8 * 0.3 * 2, 8 * 0.3 * 5]), atol=1e-2)


def test_known_answer_of_a_group_convolution() -> None:
    second = nn.Conv2d(4, 2, 1, groups=2)
    second.weight.data = torch.tensor([[127.0, 10.3], [127.0, 10.4]])[:, :, None, None]
    _, got = shifts(nn.Sequential(first([1.0, 2.0, 3.0, 5.0]), nn.ReLU(), second))
    assert torch.allclose(got, torch.tensor([0.3 * 2, 0.4 * 5]), atol=1e-3)


def test_known_answer_of_a_linear_layer_behind_pooling() -> None:
    head = nn.Linear(2, 1)
    head.weight.data = torch.tensor([[127.0, 10.3]])
    net = nn.Sequential(first([1.0, 2.0]), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    assert torch.allclose(shifts(net)[1], torch.tensor([0.3 * 2]), atol=1e-3)


def test_channels_that_occur_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = first([2.0]), nn.Conv2d(2, 1, 1)
            self.second.weight.data = torch.tensor([[127.0, 10.3]])[:, :, None, None]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.first(x))
            return self.second(torch.cat([x, x], 1))

    assert torch.allclose(shifts(Twice())[1], torch.tensor([0.3 * 2]), atol=1e-3)


def test_a_channel_that_is_clipped_away_has_no_mean() -> None:
    second = nn.Conv2d(2, 1, 1)
    second.weight.data = torch.tensor([[127.0, 10.3]])[:, :, None, None]
    _, got = shifts(nn.Sequential(first([1.0, -2.0]), nn.ReLU(), second))
    assert torch.allclose(got, torch.zeros(1), atol=1e-4)


@pytest.mark.parametrize("recipe", [PLAIN, Recipe(weights="per-tensor", rounding="nearest")])
def test_outputs_lose_most_of_their_shift(small: nn.Module, recipe: Recipe) -> None:
    # Coarse weights: one outlier per channel takes nearly all codes.
    for name in ("expand", "project"):
        getattr(small, name)[0].weight.data[:, 0] *= 20
    program = program_of(small)

    def shift(correction: str) -> float:
        chosen = replace(recipe, bias_correction=correction, float_output=True)
        module = quantize(program, IMAGES, chosen).program.module()
        with torch.no_grad():
            return float(torch.stack([module(*x) - small(*x) for x in IMAGES]).mean(0).abs().sum())

    assert shift("analytic") < 0.7 * shift("none")
