"""Rounding to half precision keeps each layer's mean output."""

from __future__ import annotations

import torch
from torch import nn

from mobiledeploy.contract import Preprocessing
from mobiledeploy.converters.export import export
from mobiledeploy.converters.half_weights import round_to_half
from mobiledeploy.source import SourceModel


def weights(module: nn.Module, x: torch.Tensor) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    program = export(SourceModel(module.eval(), (x,)))
    rounded = round_to_half(program, Preprocessing(x.shape[2], x.shape[3]) if x.dim() == 4 else None)
    return dict(program.state_dict), dict(rounded.state_dict)


def test_every_weight_is_a_half_and_a_neighbour_of_what_it_was() -> None:
    torch.manual_seed(0)
    before, after = weights(nn.Conv2d(3, 8, 3), torch.randn(1, 3, 16, 16))
    weight, rounded = before["weight"], after["weight"]
    assert torch.equal(rounded, rounded.half().float())
    step = (
        torch.nextafter(weight.half().abs(), torch.tensor(torch.inf).half()).float()
        - weight.half().abs().float()
    )
    assert bool(((rounded - weight).abs() <= step).all())
    assert before["weight"].data_ptr() != after["weight"].data_ptr()


def test_known_answer_a_shared_error_is_given_back() -> None:
    """Ten equal weights a third of a step above a half: three of ten go up, and the sum is kept."""
    layer = nn.Linear(10, 1)
    nn.init.constant_(layer.weight, 1 + 2**-10 / 3)
    nn.init.zeros_(layer.bias)
    program = export(SourceModel(layer.eval(), (torch.ones(1, 10),)))
    from mobiledeploy.converters import half_weights

    weight = program.state_dict["weight"].detach()
    rounded = half_weights._rounded(weight, torch.ones(1, 10, dtype=torch.float64), torch.zeros(1))
    assert int((rounded > 1).sum()) == 3


def test_the_mean_output_stays_on_images_it_has_not_seen() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 1), nn.ReLU(), nn.Conv2d(64, 32, 1))
    image = torch.rand(1, 3, 32, 32) * 255
    exact, rounded = weights(net, image)
    nearest = {name: tensor.half().float() for name, tensor in exact.items()}

    def offset(state: dict[str, torch.Tensor]) -> float:
        with torch.no_grad():
            change = torch.func.functional_call(net, state, image) - torch.func.functional_call(
                net, exact, image
            )
        return float(change.mean((2, 3)).abs().mean())

    assert offset(rounded) < 0.5 * offset(nearest)
