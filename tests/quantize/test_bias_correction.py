from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from mobiledeploy.quantize.bias_correction import correct_biases
from mobiledeploy.quantize.calibration import watch
from mobiledeploy.quantize.graph import layers, parameter, tidy
from mobiledeploy.quantize.observers import freeze, set_stage
from mobiledeploy.quantize.pt2e import prepare_pt2e
from mobiledeploy.quantize.quantizer import MobileQuantizer
from mobiledeploy.quantize.recipe import Recipe

Inputs = tuple[torch.Tensor, ...]
Export = Callable[..., ExportedProgram]
RECIPE = Recipe(ranges="minmax", float_output=True)


def prepared(program: ExportedProgram, images: list[Inputs]) -> GraphModule:
    module = program.module(check_guards=False)
    tidy(module)
    module = prepare_pt2e(module, MobileQuantizer(RECIPE))
    watch(module, images)
    freeze(module)
    return module


def test_known_answer_for_one_layer(to_program: Export) -> None:
    """Inputs of 1 and a weight that rounds down by 0.3 steps: the bias gains 0.3 steps."""
    layer = nn.Linear(2, 1)
    layer.weight.data = torch.tensor([[127.0, 10.3]])
    layer.bias.data = torch.tensor([5.0])
    ones = [(torch.ones(1, 2),)] * 4
    module = prepared(to_program(layer, *ones[0]), ones)
    correct_biases(module, ones)
    (found,) = layers(module)
    assert torch.allclose(parameter(module, found.bias), torch.tensor([5.3]), atol=1e-3)


def test_values_that_the_activation_cuts_off_do_not_count(to_program: Export) -> None:
    """The same layer behind a clip at 6: nothing of its error comes through."""
    module = nn.Sequential(nn.Linear(2, 1), nn.ReLU6())
    module[0].weight.data = torch.tensor([[127.0, 10.3]])
    ones = [(torch.ones(1, 2),)] * 4
    graph = prepared(to_program(module, *ones[0]), ones)
    (found,) = layers(graph)
    before = parameter(graph, found.bias).clone()
    correct_biases(graph, ones)
    assert torch.equal(parameter(graph, found.bias), before)


def test_outputs_lose_their_shift(small: nn.Module, images: list[Inputs], to_program: Export) -> None:
    # Coarse weights: one outlier per channel takes nearly all codes.
    for name in ("expand", "project"):
        convolution = getattr(small, name)[0]
        convolution.weight.data[:, 0] *= 20
    module = prepared(to_program(small), images)

    def shift() -> torch.Tensor:
        with torch.no_grad():
            return torch.stack([module(*x) - small(*x) for x in images]).mean(0).abs()

    set_stage(module, "int8")
    before = shift()
    correct_biases(module, images)
    set_stage(module, "int8")
    assert float(shift().sum()) < 0.5 * float(before.sum())
