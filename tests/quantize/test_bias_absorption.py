"""What a channel always has moves into the biases of its readers."""

from __future__ import annotations

import pytest
import torch
from small_nets import SIZE, program_of, sqnr, tidied, unit
from torch import nn
from torch.fx import GraphModule

from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.quantize.bias_absorption import absorb_biases
from mobiledeploy.quantize.graph import layers, parameter
from mobiledeploy.quantize.reach import extremes_of
from mobiledeploy.source import OUTPUT_MOMENTS

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = [(torch.rand(1, 3, SIZE, SIZE, generator=GENERATOR) * 2 - 1,) for _ in range(24)]


def pair(
    activation: nn.Module, second: nn.Module, biases: tuple[float, float] = (20.0, 0.0)
) -> nn.Sequential:
    """A first channel far above 0, a second one around 0."""
    first = nn.Conv2d(3, 2, 1)
    first.weight.data = torch.tensor([[1.0, -1, 1], [1, 0.5, -1]])[:, :, None, None]
    first.bias.data = torch.tensor(biases)
    return nn.Sequential(first, activation, second)


def absorbed(module: nn.Module) -> tuple[GraphModule, list[torch.Tensor]]:
    """The graph, and what each layer's bias gained."""
    graph = tidied(module)
    before = [parameter(graph, layer.bias).clone() for layer in layers(graph)]
    with torch.no_grad():
        absorb_biases(graph, extremes_of(graph, IMAGES))
    after = [parameter(graph, layer.bias) for layer in layers(graph)]
    return graph, [new - old for old, new in zip(before, after, strict=True)]


def untouched(gains: list[torch.Tensor]) -> bool:
    return all(not gain.any() for gain in gains)


@pytest.mark.parametrize(
    "second",
    [
        nn.Conv2d(2, 4, 3),
        nn.Conv2d(2, 4, 1),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 5)),
    ],
)
def test_the_function_stays_and_the_channel_comes_down(second: nn.Module) -> None:
    torch.manual_seed(0)
    net = pair(nn.ReLU(), second)
    graph, (first, *others) = absorbed(net)
    # Values of the first channel are within 20 +- 3 of their own; the margin is a quarter of the range.
    assert -20 < float(first[0]) < -14
    assert float(first[1]) == 0
    assert not untouched(others)
    for x in IMAGES:
        assert torch.allclose(graph(*x), net(*x), rtol=1e-5, atol=1e-4)


def test_known_answer() -> None:
    """A channel of 18..22 in calibration loses 18 - 1; its reader's bias gains 17 times the weights."""
    first = nn.Conv2d(3, 1, 1)
    first.weight.data = torch.tensor([2.0, 0, 0]).reshape(1, 3, 1, 1)
    first.bias.data = torch.tensor([20.0])
    second = nn.Conv2d(1, 1, 2)
    second.weight.data = torch.tensor([[1.0, 2], [3, 4]]).reshape(1, 1, 2, 2)
    extreme = torch.zeros(1, 3, SIZE, SIZE)
    extreme[0, 0, 0, :2] = torch.tensor([-1.0, 1.0])
    graph = tidied(nn.Sequential(first, nn.ReLU(), second))
    (writer, reader) = layers(graph)
    before = parameter(graph, reader.bias).clone()
    absorb_biases(graph, extremes_of(graph, [(extreme,)]))
    assert torch.allclose(parameter(graph, writer.bias), torch.tensor([3.0]))
    assert torch.allclose(parameter(graph, reader.bias) - before, torch.tensor([170.0]))


def test_below_what_calibration_saw_the_margin_still_holds() -> None:
    """Inputs a fifth beyond the calibrated range lose nothing."""
    torch.manual_seed(0)
    net = pair(nn.ReLU(), nn.Conv2d(2, 4, 1))
    graph, _ = absorbed(net)
    for (x,) in IMAGES:
        assert torch.allclose(graph(1.2 * x), net(1.2 * x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "second",
    [
        nn.Conv2d(2, 4, 3, padding=1),
        nn.Conv2d(2, 4, 3, padding="same"),
        nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(2, 4, 3)),
        nn.Conv2d(2, 2, 1, groups=2),
        nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.Conv2d(2, 4, 1)),
    ],
    ids=["padding", "same", "pad", "depthwise", "padded pool"],
)
def test_nothing_is_absorbed_where_readers_see_zeros_or_one_channel(second: nn.Module) -> None:
    assert untouched(absorbed(pair(nn.ReLU(), second))[1])


def test_one_padded_reader_is_enough_to_leave_a_channel_alone() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = pair(nn.ReLU(), nn.Identity())
            self.plain, self.padded = nn.Conv2d(2, 4, 1), nn.Conv2d(2, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            return self.plain(x) + self.padded(x)

    assert untouched(absorbed(Two())[1])


def test_a_sum_or_an_output_keeps_its_channels() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = pair(nn.ReLU(), nn.Identity()), nn.Conv2d(2, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            return x + self.second(x)

    class Shown(Residual):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            return self.second(x), x  # type: ignore[return-value]

    assert untouched(absorbed(Residual())[1])
    assert untouched(absorbed(Shown())[1])


def test_channels_near_an_upper_clip_keep_their_bias() -> None:
    """The first spans about 3.6 +- 0.9 below a clip at 6, the second is cut off by it."""
    torch.manual_seed(0)
    net = pair(nn.ReLU6(), nn.Conv2d(2, 4, 1), (3.6, 5.5))
    net[0].weight.data[0] *= 0.3
    graph, (first, second) = absorbed(net)
    assert float(first[0]) < -1
    assert float(first[1]) == 0
    assert second.any()
    for x in IMAGES:
        assert torch.allclose(graph(*x), net(*x), rtol=1e-5, atol=1e-4)


def test_a_leaky_or_absent_activation_is_left_alone() -> None:
    for activation in (nn.LeakyReLU(0.1), nn.Hardswish(), nn.Identity(), nn.Hardtanh(-1, 6)):
        assert untouched(absorbed(pair(activation, nn.Conv2d(2, 4, 1)))[1])


def test_batch_norm_statistics_move_along() -> None:
    first = unit(3, 2)
    first[1].bias.data = torch.tensor([20.0, 0.0])
    graph, (gain, _) = absorbed(nn.Sequential(first, nn.ReLU(), nn.Conv2d(2, 4, 1)))
    (node,) = (item for item in graph.graph.nodes if OUTPUT_MOMENTS in item.meta)
    mean, deviation = node.meta[OUTPUT_MOMENTS]
    assert torch.allclose(mean, torch.tensor([20.0, 0.0]) + gain)
    assert torch.equal(deviation, torch.ones(2))


def test_a_channel_far_from_zero_is_rounded_more_finely() -> None:
    """The whole way: the range of 0..22 shrinks to 0..8."""
    torch.manual_seed(0)
    net = pair(nn.ReLU(), nn.Conv2d(2, 4, 1), (20.0, 1.0))
    net[2].weight.data[:, 0] *= 0.05
    program = program_of(net)

    def ratio(absorption: bool) -> float:
        recipe = Recipe(
            ranges="minmax", equalisation="off", absorption=absorption, rounding="nearest", float_output=True
        )
        module = quantize(program, IMAGES, recipe).program.module()
        with torch.no_grad():
            wanted = [net(*x) for x in IMAGES]
            middle = torch.stack(wanted).mean((0, 3, 4), keepdim=True)[0]
            return sqnr([want - middle for want in wanted], [module(*x) - middle for x in IMAGES])

    assert ratio(True) > ratio(False) + 5
