"""Mean and deviation of activations from batch norm statistics, against formulas and random images."""

from __future__ import annotations

import math

import pytest
import torch
from small_nets import Gated, settle, tidied, unit
from torch import nn
from torch.fx import GraphModule, Node

from mobiledeploy.quantize.moments import Moments, expected_moments
from mobiledeploy.source import OUTPUT_MOMENTS

MEANS = torch.tensor([-2.0, -0.5, 0.0, 0.3, 1.0, 4.0, 9.0])
DEVIATIONS = torch.tensor([1.0, 0.2, 1.0, 2.0, 0.5, 3.0, 1.0])


def normal(mean: torch.Tensor, deviation: torch.Tensor) -> nn.Sequential:
    """A convolution whose batch norm promises this mean and deviation."""
    layer = unit(3, len(mean))
    layer[1].bias.data, layer[1].weight.data = mean.clone(), deviation.clone()
    return layer


def clipped_mean(mean: float, deviation: float, low: float, high: float) -> float:
    """E[clip(x, low, high)] of a normal x: arXiv 1906.04721, appendix C, equation 40."""

    def density(at: float) -> float:
        return math.exp(-(at**2) / 2) / math.sqrt(2 * math.pi)

    def below(at: float) -> float:
        return 0.5 * (1 + math.erf(at / math.sqrt(2)))

    a, b = (low - mean) / deviation, (high - mean) / deviation
    upper = 0.0 if math.isinf(high) else high * (1 - below(b))
    top = 0.0 if math.isinf(high) else density(b)
    inside = 1.0 if math.isinf(high) else below(b)
    return deviation * (density(a) - top) + mean * (inside - below(a)) + low * below(a) + upper


def of(graph: GraphModule, name: str) -> Moments | None:
    """Moments of the last node whose operation has this in its name."""
    found = expected_moments(graph)
    nodes: list[Node] = [node for node in graph.graph.nodes if name in str(node.target)]
    return found.get(nodes[-1])


def known(graph: GraphModule, name: str) -> Moments:
    moments = of(graph, name)
    assert moments is not None
    return moments


@pytest.mark.parametrize(
    ("activation", "high"), [(nn.ReLU(), math.inf), (nn.ReLU6(), 6.0), (nn.Hardtanh(0, 1), 1.0)]
)
def test_a_clipped_normal_has_the_mean_of_the_closed_formula(activation: nn.Module, high: float) -> None:
    graph = tidied(nn.Sequential(normal(MEANS, DEVIATIONS), activation))
    got = known(graph, "relu" if math.isinf(high) else "hardtanh").mean
    wanted = torch.tensor(
        [
            clipped_mean(mean, deviation, 0.0, high)
            for mean, deviation in zip(MEANS.tolist(), DEVIATIONS.tolist(), strict=True)
        ]
    )
    # One percent of what the value varies by, or of itself.
    assert ((got - wanted).abs() <= 0.01 * torch.maximum(wanted, DEVIATIONS * 0.5)).all()


@pytest.mark.parametrize("activation", [nn.Hardswish(), nn.SiLU(), nn.Hardsigmoid(), nn.LeakyReLU(0.1)])
def test_other_activations_against_drawn_values(activation: nn.Module) -> None:
    graph = tidied(nn.Sequential(normal(MEANS, DEVIATIONS), activation))
    (node,) = (item for item in graph.graph.nodes if item.op == "output")
    got = expected_moments(graph)[node.all_input_nodes[0]]
    generator = torch.Generator().manual_seed(0)
    values = activation(torch.randn(200_000, len(MEANS), generator=generator) * DEVIATIONS + MEANS)
    assert torch.allclose(got.mean, values.mean(0), atol=0.02)
    assert torch.allclose(got.deviation, values.std(0), rtol=0.05, atol=0.02)


class Sum(nn.Module):
    def __init__(self, join: str) -> None:
        super().__init__()
        self.left = normal(torch.tensor([1.0, -2.0]), torch.tensor([3.0, 0.5]))
        self.right = normal(torch.tensor([0.5, 1.0]), torch.tensor([4.0, 1.2]))
        self.join = join

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.left(x), self.right(x)
        match self.join:
            case "add":
                return left + right
            case "sub":
                return left - right
            case "mul":
                return left * right
            case "cat":
                return torch.cat([left, right], 1)
            case "cat twice":
                return torch.cat([left, right, left], 1)
            case "alpha":
                return torch.add(left, right, alpha=2)
        raise ValueError(self.join)


@pytest.mark.parametrize(
    ("join", "mean", "deviation"),
    [
        ("add", [1.5, -1.0], [5.0, 1.3]),
        ("sub", [0.5, -3.0], [5.0, 1.3]),
        # Var[xy] = (m1^2 + s1^2)(m2^2 + s2^2) - m1^2 m2^2.
        ("mul", [0.5, -2.0], [math.sqrt(10 * 16.25 - 0.25), math.sqrt(4.25 * 2.44 - 4)]),
        ("cat", [1.0, -2.0, 0.5, 1.0], [3.0, 0.5, 4.0, 1.2]),
        ("cat twice", [1.0, -2.0, 0.5, 1.0, 1.0, -2.0], [3.0, 0.5, 4.0, 1.2, 3.0, 0.5]),
    ],
)
def test_where_branches_meet(join: str, mean: list[float], deviation: list[float]) -> None:
    name = {"cat twice": "cat"}.get(join, join)
    got = known(tidied(Sum(join)), f"aten.{name}")
    assert torch.allclose(got.mean, torch.tensor(mean))
    assert torch.allclose(got.deviation, torch.tensor(deviation))


def test_a_scaled_sum_is_not_taken_for_a_plain_one() -> None:
    assert of(tidied(Sum("alpha")), "aten.add") is None


def test_a_depthwise_layer_has_its_own_batch_norms() -> None:
    first, second = normal(MEANS, DEVIATIONS), unit(7, 7, 3, groups=7)
    second[1].bias.data, second[1].weight.data = DEVIATIONS.clone(), -MEANS.clone()
    got = known(tidied(nn.Sequential(first, nn.ReLU(), second)), "conv2d")
    assert torch.equal(got.mean, DEVIATIONS)
    assert torch.equal(got.deviation, MEANS.abs())


def test_a_squeeze_and_excite_product_is_near_what_images_show() -> None:
    torch.manual_seed(0)
    net = settle(Gated(nn.ReLU(), nn.Hardsigmoid()))
    # The gate's own layers have no batch norm: nothing is known of them, nor of the product.
    assert of(tidied(net), "aten.mul") is None
    for name in ("squeeze", "excite"):
        layer = getattr(net, name)
        layer.bias = None
        setattr(net, name, nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels)))
    graph = tidied(settle(net))
    got = known(graph, "aten.mul").mean
    (product,) = (node for node in graph.graph.nodes if "aten.mul" in str(node.target))
    seen = torch.zeros(16)
    runner = torch.fx.Interpreter(graph)

    def keep(node: Node) -> torch.Tensor:
        result: torch.Tensor = torch.fx.Interpreter.run_node(runner, node)
        if node is product:
            seen.add_(result.mean((0, 2, 3)) / 24)
        return result

    runner.run_node = keep  # type: ignore[method-assign]
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _ in range(24):
            runner.run(torch.randn(1, 3, 16, 16, generator=generator))
    assert float((got - seen).abs().mean()) < 0.25 * float(seen.abs().mean())


def test_averages_keep_the_mean_and_other_shapes_say_nothing() -> None:
    pooled = nn.Sequential(normal(MEANS, DEVIATIONS), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert torch.equal(known(tidied(pooled), "flatten").mean, MEANS)
    # Flattening a map mixes channels and places.
    assert of(tidied(nn.Sequential(normal(MEANS, DEVIATIONS), nn.Flatten())), "flatten") is None
    # The largest of several values is above their mean.
    assert of(tidied(nn.Sequential(normal(MEANS, DEVIATIONS), nn.MaxPool2d(2))), "max_pool2d") is None


def test_a_branch_without_batch_norm_ends_what_is_known() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = normal(MEANS, DEVIATIONS), nn.Conv2d(3, 7, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.left(x) + self.right(x))

    graph = tidied(Half())
    assert of(graph, "aten.add") is None
    assert of(graph, "aten.relu") is None
    assert sum(OUTPUT_MOMENTS in node.meta for node in graph.graph.nodes) == 1
