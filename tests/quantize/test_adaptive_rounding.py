from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.nn import functional

from mobiledeploy.quantize.adaptive_rounding import descend, round_adaptively
from mobiledeploy.quantize.calibration import watch
from mobiledeploy.quantize.graph import tidy
from mobiledeploy.quantize.observers import freeze, quantized_layers
from mobiledeploy.quantize.pt2e import prepare_pt2e
from mobiledeploy.quantize.quantizer import MobileQuantizer
from mobiledeploy.quantize.recipe import Recipe

Inputs = tuple[torch.Tensor, ...]
Export = Callable[..., ExportedProgram]


def cost(change: torch.Tensor, covariance: torch.Tensor) -> float:
    return float(change @ covariance @ change)


def test_the_best_of_all_roundings_is_found() -> None:
    """Two inputs that always move together: their errors must cancel, not each be small."""
    covariance = torch.tensor([[1.0, 0.99], [0.99, 1.0]], dtype=torch.float64)
    weights = torch.tensor([0.4, 0.4], dtype=torch.float64)
    candidates = [torch.tensor(codes, dtype=torch.float64) for codes in itertools.product((0, 1), repeat=2)]
    best = min(cost(codes - weights, covariance) for codes in candidates)
    found = descend(weights[None, None], torch.ones(1, 1, 1, dtype=torch.float64), covariance[None])
    assert cost(found[0, 0] - weights, covariance) == best
    assert best < cost(weights.round() - weights, covariance)


def test_layers_change_less_than_by_rounding_to_the_nearest(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    # Neighbouring pixels of an image are alike, those of noise are not.
    images = [(functional.avg_pool2d(x, 3, 1, 1),) for (x,) in images]
    module = to_program(small).module(check_guards=False)
    tidy(module)
    module = prepare_pt2e(module, MobileQuantizer(Recipe(ranges="minmax")))
    watched = watch(module, images)
    freeze(module)
    round_adaptively(module, watched.sample)
    layer, observer = next(quantized_layers(module))
    assert layer.path == "stem.0"
    rounded = observer.rounded
    assert rounded is not None
    codes = rounded / observer.scale[:, None, None, None]
    assert torch.allclose(codes, codes.round(), atol=1e-3)
    assert codes.abs().max() <= 127.001
    norm, convolution = small.stem[1], small.stem[0]
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    exact = convolution.weight * gain[:, None, None, None]
    step = observer.scale[:, None, None, None]
    nearest = (exact / step).round() * step

    def error(weight: torch.Tensor) -> float:
        change = [functional.conv2d(x, weight - exact, padding=1) for (x,) in images]
        return float(torch.stack(change).var((0, 1, 3, 4)).sum())

    with torch.no_grad():
        assert error(rounded) < 0.9 * error(nearest)
