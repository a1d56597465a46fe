"""Mult-adds and parameters counted from exported graphs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mobiledeploy.converters.export import export
from mobiledeploy.layer_cost import FULLY_CONNECTED, MATRIX_PRODUCT, OTHER, Cost, LayerCost, convolution_kind
from mobiledeploy.models.cost import program_cost
from mobiledeploy.source import SourceModel


def cost(module: nn.Module, *inputs: torch.Tensor) -> Cost:
    return program_cost(export(SourceModel(module.eval(), inputs)))


@pytest.mark.parametrize(
    ("module", "shape", "kind", "mult_adds", "weights", "biases"),
    [
        (nn.Conv2d(4, 6, 3, padding=1), (1, 4, 5, 7), "Conv 3x3", 5 * 7 * 6 * 4 * 9, 6 * 4 * 9, 6),
        (nn.Conv2d(4, 4, (3, 5), groups=4, bias=False), (1, 4, 5, 7), "Conv dw 3x5", 3 * 3 * 4 * 15, 60, 0),
        (nn.Conv2d(4, 6, 1, groups=2), (1, 4, 5, 7), "Conv grouped 1x1", 5 * 7 * 6 * 2, 12, 6),
        (nn.Conv1d(3, 2, 3), (1, 3, 8), "Conv 3", 6 * 2 * 9, 18, 2),
        (nn.ConvTranspose2d(4, 6, 2, 2), (1, 4, 3, 3), "Transposed conv 2x2", 9 * 4 * 6 * 4, 96, 6),
        (nn.Linear(7, 5), (2, 3, 7), FULLY_CONNECTED, 6 * 35, 35, 5),
    ],
)
def test_one_layer(module, shape, kind, mult_adds, weights, biases):
    (layer,) = cost(nn.Sequential(module), torch.zeros(shape)).layers
    assert layer == LayerCost("0", kind, mult_adds, weights, biases)


def test_a_batch_norm_behind_a_layer_is_its_bias():
    net = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    (layer,) = cost(net, torch.zeros(1, 3, 4, 4)).layers
    assert (layer.weights, layer.biases, layer.parameters) == (24, 8, 32)


def test_parameters_that_nothing_multiplies_by_are_other():
    net = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.PReLU(3))
    found = cost(net, torch.zeros(1, 3, 4, 4))
    assert [(layer.name, layer.kind, layer.parameters) for layer in found.layers] == [
        ("1", OTHER, 6),
        ("2", OTHER, 3),
    ]
    assert found.mult_adds == 0


def test_shared_weights_count_once_and_their_work_twice():
    layer = nn.Linear(4, 4)
    found = cost(nn.Sequential(layer, nn.ReLU(), layer), torch.zeros(1, 4))
    assert (found.mult_adds, found.parameters) == (32, 20)


class Products(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.matmul(x, x.transpose(1, 2))
        y = torch.einsum("bij,bjk->bik", y, y)
        return nn.functional.scaled_dot_product_attention(y, y, y)


class Factors(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.ones(4, 3)), nn.Parameter(torch.ones(5, 6))
        self.bias = nn.Parameter(torch.ones(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, torch.matmul(self.first, x), self.second)


def test_either_factor_may_be_weights():
    first, second = cost(Factors(), torch.zeros(3, 5)).layers
    assert (first.kind, first.mult_adds, first.weights, first.biases) == (FULLY_CONNECTED, 4 * 5 * 3, 12, 0)
    assert (second.kind, second.mult_adds, second.weights, second.biases) == (FULLY_CONNECTED, 24 * 5, 30, 6)


def test_products_of_activations():
    found = cost(Products(), torch.zeros(2, 3, 5))
    assert [layer.mult_adds for layer in found.layers] == [2 * 9 * 5, 2 * 27, 2 * 3 * 3 * 6]
    assert {layer.kind for layer in found.layers} == {MATRIX_PRODUCT}
    assert found.parameters == 0


def test_a_program_with_quantize_nodes_counts_as_its_float_twin():
    from mobiledeploy.quantize import quantize

    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 5)).eval()
    images = [(torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(i)),) for i in range(8)]
    source = SourceModel(net, images[0])
    program = export(source)
    expected = program_cost(program)
    found = program_cost(quantize(program, images).program)
    assert [(x.kind, x.mult_adds, x.weights, x.biases) for x in found.layers] == [
        (x.kind, x.mult_adds, x.weights, x.biases) for x in expected.layers
    ]


def test_kinds_are_sums_and_the_dearest_comes_first():
    a, b = LayerCost("a", "Conv 1x1", 5, 3, 1), LayerCost("b", "Conv 3x3", 7, 4, 0)
    found = Cost((a, b, a))
    assert [(k.kind, k.layers, k.mult_adds, k.parameters) for k in found.kinds] == [
        ("Conv 1x1", 2, 10, 8),
        ("Conv 3x3", 1, 7, 4),
    ]
    assert (found.mult_adds, found.weights, found.parameters) == (17, 10, 12)


def test_one_group_of_one_channel_is_no_depthwise_convolution():
    assert convolution_kind((3, 3), 1, 1) == "Conv 3x3"
