from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram
from torch.utils._pytree import tree_leaves

from mobiledeploy.errors import InputError
from mobiledeploy.quantize import LayerNoise, Recipe, diagnose
from mobiledeploy.quantize.isolation import isolated_noise, shifts_of_means, units_of
from mobiledeploy.quantize.observers import set_stage
from mobiledeploy.quantize.pipeline import simulate
from mobiledeploy.quantize.verdict import verdict

Inputs = tuple[torch.Tensor, ...]
Export = Callable[..., ExportedProgram]
PLAIN = Recipe(ranges="minmax", rounding="nearest", equalisation="off", bias_correction="none")


def decibel(signal: float | torch.Tensor, noise: float | torch.Tensor) -> float:
    return 10 * math.log10(float(signal) / float(noise))


def test_the_layer_that_was_spoilt_is_named(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    # One weight per channel takes all the codes; it meets a channel of the input that is always 0.
    images = [(x * torch.tensor([1.0, 1, 0]).reshape(1, 3, 1, 1),) for (x,) in images]
    small.stem[0].weight.data[:, 2] = 10
    found = diagnose(to_program(small), images, PLAIN)
    worst = min(found.layers, key=lambda row: row.isolated)
    assert worst.module == "stem.0"
    assert worst.weights_only < worst.activations_only
    assert "stem.0" in found.verdict
    assert "weights" in found.verdict
    assert worst.isolated == pytest.approx(found.total, abs=3)


def test_rows_are_the_layers_and_whatever_has_a_range(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    found = diagnose(to_program(small), images, Recipe(float_output=True))
    operations = [row.operation for row in found.layers]
    assert operations[0] == "input"
    assert "aten.add.Tensor" in operations
    paths = [row.module for row in found.layers if "conv2d" in row.operation]
    assert paths == ["stem.0", "expand.0", "depthwise.0", "project.0"]
    assert found.layers[-1].module == "classifier"
    assert math.isinf(found.layers[-1].activations_only)
    assert found.layers[-1].cumulative == pytest.approx(found.total)
    without_weights = [row for row in found.layers if row.operation in {"input", "aten.add.Tensor"}]
    assert all(math.isinf(row.weights_only) for row in without_weights)


@pytest.mark.parametrize("correction", ["none", "empirical"])
def test_a_mean_that_bias_correction_gives_back_costs_nothing(correction: Any, to_program: Export) -> None:
    """The second weight is 10.4 codes: rounding takes 0.4 of a code of what it is multiplied with."""
    net = nn.Conv2d(2, 1, 1)
    net.weight.data = torch.tensor([1.0, 10.4 / 127]).reshape(1, 2, 1, 1)
    generator = torch.Generator().manual_seed(0)
    offset = torch.tensor([0.0, 4.0]).reshape(1, 2, 1, 1)
    images = [(torch.randn(1, 2, 8, 8, generator=generator) * 0.5 + offset,) for _ in range(24)]
    recipe = replace(PLAIN, bias_correction=correction, float_output=True)
    found = diagnose(to_program(net, images[0][0]), images, recipe)
    second = torch.stack([x[0, 1] for (x,) in images])
    lost = 0.4 / 127 * (second - (second.mean() if correction == "empirical" else 0))
    with torch.no_grad():
        signal = torch.stack([net(x) for (x,) in images[::3]]).square().sum()
    wanted = decibel(signal, lost[::3].square().sum())
    (layer,) = [row for row in found.layers if row.module == ""][-1:]
    assert layer.operation == "aten.conv2d.default"
    assert layer.weights_only == pytest.approx(wanted, abs=0.05)
    assert layer.isolated == layer.weights_only


def test_a_shift_as_large_as_the_values_is_found_behind_a_clip(to_program: Export) -> None:
    """Rounding lowers all values by 0.126, nearly all of them below 0: one step from there finds 0.05."""
    net = nn.Conv2d(2, 1, 1)
    net.weight.data = torch.tensor([1.0, 10.4 / 127]).reshape(1, 2, 1, 1)
    net.bias.data = torch.tensor([0.02 - 40 * 10.4 / 127])
    generator = torch.Generator().manual_seed(0)
    pairs = torch.tensor([0.0, 40.0]).reshape(1, 2, 1, 1).expand(1, 2, 16, 16)
    images = [
        (
            pairs
            + torch.tensor([0.05, 0.0]).reshape(1, 2, 1, 1) * torch.randn(1, 2, 16, 16, generator=generator),
        )
        for _ in range(24)
    ]
    module = simulate(to_program(nn.Sequential(net, nn.ReLU6()), images[0][0]), images, PLAIN).module
    units = units_of(module)
    (layer,) = [unit.layer for unit in units if unit.layer is not None]
    with torch.no_grad():
        shift = shifts_of_means(module, units, images)[layer.node]
    assert shift.shape == (1, 1, 1, 1)
    assert float(shift) == pytest.approx(0.4 / 127 * 40, rel=0.1)


def test_a_result_that_rounds_away_is_given_back_by_its_reader(to_program: Export) -> None:
    """Steps of 1: the first channel is all codes, the second is 0.4 and becomes 0."""
    first, second = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, 1)
    first.weight.data, first.bias.data = (
        torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1),
        torch.tensor([0.0, 0.4]),
    )
    second.weight.data, second.bias.data = torch.ones(1, 2, 1, 1), torch.zeros(1)
    ramp = torch.arange(256.0).reshape(1, 1, 16, 16)
    program = to_program(nn.Sequential(first, nn.ReLU(), second), ramp)
    wanted = decibel((ramp + 0.4).square().mean(), 0.4**2)
    for correction, figure in (("none", wanted), ("empirical", math.inf), ("analytic", wanted)):
        recipe = replace(PLAIN, bias_correction=correction, float_output=True)
        rows = {row.module: row for row in diagnose(program, [(ramp,)] * 8, recipe).layers}
        assert rows["0"].activations_only == pytest.approx(figure, abs=0.05) or (
            math.isinf(figure) and rows["0"].activations_only > 100
        )


def test_partial_runs_measure_what_whole_runs_do(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    simulation = simulate(to_program(small), images, PLAIN)
    module, units = simulation.module, units_of(simulation.module)
    with torch.no_grad():
        found = isolated_noise(module, units, images[:2], {})
        wanted = [module(*x) for x in images[:2]]
        signal = sum(float(leaf.square().sum()) for leaf in tree_leaves(wanted))
        for unit, figures in zip(units, found, strict=True):
            both = (unit.weights, unit.result)
            for chosen, figure in zip((both, both[:1], both[1:]), figures, strict=True):
                set_stage(module, "float")
                for observer in chosen:
                    if observer is not None:
                        observer.stage = "int8"
                got = [module(*x) for x in images[:2]]
                pairs = zip(tree_leaves(wanted), tree_leaves(got), strict=True)
                noise = sum(float((a - b).square().sum()) for a, b in pairs)
                assert figure == pytest.approx(noise / signal, rel=1e-5)


@pytest.mark.parametrize("correction", ["none", "empirical", "analytic"])
@pytest.mark.parametrize("activations", ["int8", "int16", "float"])
def test_the_total_is_that_of_the_whole_simulation(
    activations: Any, correction: Any, small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    recipe = Recipe(activations=activations, bias_correction=correction, float_output=True)
    program = to_program(small)
    found = diagnose(program, images, recipe)
    module = simulate(program, images, recipe).module
    with torch.no_grad():
        wanted = torch.cat([small(*x) for x in images[::3]])
        got = torch.cat([module(*x) for x in images[::3]])
    total = decibel(wanted.square().sum(), (wanted - got).square().sum())
    assert found.total == pytest.approx(total, abs=1e-3)
    layers = [row for row in found.layers if row.operation in {"aten.conv2d.default", "aten.linear.default"}]
    assert len(layers) == 5
    assert all(math.isfinite(row.weights_only) for row in layers)
    if activations == "float":
        assert found.layers == tuple(layers)
        assert all(math.isinf(row.activations_only) for row in layers)
    if activations == "int16":
        assert all(row.activations_only > row.weights_only + 20 for row in layers[:-1])


def test_an_exempt_layer_has_its_rounded_result_only(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    program = to_program(small)
    rows = {row.module: row for row in diagnose(program, images, Recipe(exempt=("expand",))).layers}
    clip = rows["expand.2"]
    assert "expand.0" not in rows
    assert math.isinf(clip.weights_only)
    assert math.isfinite(clip.activations_only)
    weights_only = Recipe(activations="float", exempt=("expand", "stem"))
    paths = [row.module for row in diagnose(program, images, weights_only).layers]
    assert paths == ["depthwise.0", "project.0", "classifier"]


def test_scores_that_saturate_by_design_are_no_noise(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    small.classifier.bias.data = torch.tensor([4.0, 3.0, -9.0, -9.0, -9.0])
    program = to_program(small)
    found = diagnose(program, images, replace(PLAIN, ranked_output=True))
    plain = diagnose(program, images, PLAIN)
    assert found.layers[-1].activations_only > 25
    assert found.layers[-1].cumulative == pytest.approx(found.total, abs=0.01)
    assert abs(found.total - plain.total) < 10


def test_something_to_measure_on_is_needed(small: nn.Module, to_program: Export) -> None:
    with pytest.raises(InputError, match="no calibration inputs"):
        diagnose(to_program(small), [], Recipe(activations="float").without_inputs())
    with pytest.raises(InputError, match="no layer is called 'expnd'"):
        diagnose(to_program(small), [], Recipe(exempt=("expnd",)))


def rows_of(*figures: tuple[str, float, float]) -> tuple[LayerNoise, ...]:
    """Of (path, weights, activations); the isolated figure is the sum of both noises."""
    return tuple(
        LayerNoise(
            path,
            "aten.conv2d.default",
            -10 * math.log10(10 ** (-weights / 10) + 10 ** (-results / 10)),
            weights,
            results,
            20.0,
        )
        for path, weights, results in figures
    )


BAD = rows_of(("a", 18, 50), ("b", 32, 50), ("c", 33, 50), ("d", 34, 50), ("e", 34, 50))
EVEN = rows_of(*((f"layer.{index}", 30.0, 40.0) for index in range(10)))
NOISY_RESULTS = rows_of(*((f"layer.{index}", 40.0, 30.0) for index in range(10)))


@pytest.mark.parametrize(
    ("rows", "recipe", "said"),
    [
        (BAD, Recipe(), ("most of the noise is from a (8", "Keep a float with the recipe's exempt")),
        (BAD, Recipe(rounding="nearest"), ("Try the recipe's rounding adaptive.",)),
        (BAD, Recipe(weights="per-tensor"), ("weights per-channel",)),
        (EVEN, Recipe(), ("spread over the layers", "No few layers are to blame")),
        (NOISY_RESULTS, Recipe(), ("from activations", "--precision int16x8")),
        (NOISY_RESULTS, Recipe(ranges="minmax"), ("ranges mse",)),
    ],
)
def test_the_verdict_says_what_the_figures_do(
    rows: tuple[LayerNoise, ...], recipe: Recipe, said: tuple[str, ...]
) -> None:
    text = verdict(rows, 17.5, recipe)
    assert text.startswith("17.5 dB in all")
    assert all(part in text for part in said)
    assert "Nothing needs to be done" in verdict(rows, 35.0, recipe)


def test_without_noise_there_is_nothing_to_say() -> None:
    exact = LayerNoise("a", "aten.conv2d.default", math.inf, math.inf, math.inf, math.inf)
    assert verdict((exact,), math.inf, Recipe()) == "Quantization changes nothing."


def test_keeping_the_named_layer_float_gives_what_was_promised(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    images = [(x * torch.tensor([1.0, 1, 0]).reshape(1, 3, 1, 1),) for (x,) in images]
    small.stem[0].weight.data[:, 2] = 60
    program = to_program(small)
    # Steps that even out the spoilt weight are counted as made.
    found = diagnose(program, images, PLAIN)
    promised = verdict(found.layers, found.total, Recipe())
    assert "Keep stem.0 float" in promised
    after = diagnose(program, images, replace(PLAIN, exempt=("stem",)))
    whole = sum(10 ** (-row.isolated / 10) for row in found.layers)
    gone = 10 ** (-found.layers[1].weights_only / 10) / whole
    assert after.total > found.total - 10 * math.log10(max(1 - gone, 0.01)) - 3
