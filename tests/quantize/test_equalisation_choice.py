"""Equalisation is taken where it helps on inputs that calibration has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule, symbolic_trace

from mobiledeploy.errors import InputError
from mobiledeploy.quantize import EqualisationChoice, Recipe, diagnose, quantize
from mobiledeploy.quantize.equalisation_choice import choose_equalisation
from mobiledeploy.quantize.pipeline import simulate

Inputs = tuple[torch.Tensor, ...]
Export = Callable[..., ExportedProgram]
GENERATOR = torch.Generator().manual_seed(0)
# What the second channel of the input is multiplied with, in two inputs that calibrate and one that measures.
STEADY, GROWING = (1.0, 1.0, 1.0), (0.05, 0.05, 1.0)


def two_channels(first: float) -> nn.Sequential:
    """Two channels on separate ways; the first is that much larger between the layers, and no more after."""
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1))
    net[0].weight.data = torch.tensor([[first, 0], [0, 1.0]])[:, :, None, None]
    net[2].weight.data = torch.tensor([[1 / first, 0], [0, 1.0]])[:, :, None, None]
    for layer in (net[0], net[2]):
        layer.bias.data.zero_()
    return net


def inputs(sizes: tuple[float, float, float], count: int = 30) -> list[Inputs]:
    images = torch.rand(count, 1, 2, 8, 8, generator=GENERATOR)
    for place, image in enumerate(images):
        image[0, 1] *= sizes[place % 3]
    return [(image,) for image in images]


def choice(program: ExportedProgram, images: list[Inputs], **fields: object) -> EqualisationChoice:
    recipe = Recipe(ranges="minmax", **fields)  # type: ignore[arg-type]
    found = simulate(program, images, recipe).report.equalisation
    assert found is not None
    return found


def test_a_channel_that_has_no_codes_wants_equalisation(to_program: Export) -> None:
    """The second channel has 2 of 255 codes; evened out it has nearly all, 6 bits more."""
    net = two_channels(100)
    found = choice(to_program(net, torch.zeros(1, 2, 8, 8)), inputs(STEADY))
    assert found.taken == "on"
    assert found.on > 40
    assert found.off < 20


def test_a_channel_that_grows_does_not_want_it(to_program: Export) -> None:
    """Evened out, the second channel fills sqrt(1/20) of the range: all that is above is cut off."""
    net = two_channels(1)
    found = choice(to_program(net, torch.zeros(1, 2, 8, 8)), inputs(GROWING))
    assert found.taken == "off"
    assert found.off > 40
    # Of values from 0 to 1 that are cut off at c, (1 - c)^3 / 3 is lost; the two channels have 1/3 each.
    lost = (1 - math.sqrt(GROWING[0])) ** 3 / 3
    assert found.on == pytest.approx(-10 * math.log10(lost / (2 / 3)), abs=0.3)


class Off(nn.Module):
    """Outputs that differ from the inputs by a known share."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (1 + self.share)


@pytest.mark.parametrize(("on", "off"), [(0.01, 0.1), (0.1, 0.01), (0.1, 0.1)])
def test_the_ratio_decides_and_is_measured_on_other_inputs(on: float, off: float) -> None:
    images = [(torch.full((1, 2), float(place)),) for place in range(1, 101)]
    shown: list[list[float]] = []

    def fake(inputs: Sequence[Inputs], recipe: Recipe) -> GraphModule:
        shown.append([float(x[0, 0]) for (x,) in inputs])
        assert (recipe.rounding, recipe.float_output, recipe.ranges) == ("nearest", True, "entropy")
        return symbolic_trace(Off(on if recipe.equalisation == "on" else off))

    recipe = Recipe(ranges="entropy", ranked_output=True)
    found = choose_equalisation(symbolic_trace(Off(0)), images, recipe, fake)
    assert (found.on, found.off) == pytest.approx(
        (20 if on == 0.1 else 40, 20 if off == 0.1 else 40), abs=1e-3
    )
    assert found.taken == ("off" if off < on else "on")
    assert shown == [[float(place) for place in range(1, 101) if place % 3]] * 2


def test_a_difference_by_chance_changes_nothing() -> None:
    assert EqualisationChoice(on=20.0, off=20.2).taken == "on"
    assert EqualisationChoice(on=20.0, off=20.3).taken == "off"


def test_what_is_measured_was_not_calibrated_on() -> None:
    """The int8 model knows its calibration inputs, and is wrong on all others."""
    images = [(torch.full((1, 1), float(place)),) for place in range(1, 21)]

    class Knows(nn.Module):
        def __init__(self, known: set[float]) -> None:
            super().__init__()
            self.known = known

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x) in self.known else 2 * x

    def fake(inputs: Sequence[Inputs], recipe: Recipe) -> nn.Module:
        return Knows({float(x) for (x,) in inputs})

    found = choose_equalisation(symbolic_trace(Off(0)), images, Recipe(), fake)  # type: ignore[arg-type]
    assert found.on == pytest.approx(0)


def test_the_choice_is_what_is_done_and_said(to_program: Export) -> None:
    program, images = to_program(two_channels(100), torch.zeros(1, 2, 8, 8)), inputs(STEADY)
    auto, again = quantize(program, images), quantize(program, iter(images))
    fixed = quantize(program, images, Recipe(equalisation="on"))
    assert auto.recipe == Recipe(equalisation="on")
    for other in (again.program, fixed.program):
        assert other.graph_module.code == auto.program.graph_module.code
        assert all(
            torch.equal(value, other.state_dict[name]) for name, value in auto.program.state_dict.items()
        )
    assert fixed.report.equalisation is None
    assert again.report == auto.report
    found = diagnose(program, images)
    assert found.equalisation == auto.report.equalisation
    assert str(found.equalisation).startswith("equalisation on: ")


def test_one_input_calibrates_and_measures(to_program: Export) -> None:
    program = to_program(two_channels(100), torch.zeros(1, 2, 8, 8))
    assert choice(program, inputs(STEADY, 1)).taken == "on"


def test_an_input_that_is_not_finite_is_named_by_its_place(to_program: Export) -> None:
    program, images = to_program(two_channels(100), torch.zeros(1, 2, 8, 8)), inputs(STEADY, 100)
    images[40][0][0, 0, 0, 0] = torch.inf
    with pytest.raises(InputError, match="calibration input 40 "):
        quantize(program, images)
