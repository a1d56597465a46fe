"""Weights alone become int8; layers quantize their inputs as they run, or compute in reals."""

from __future__ import annotations

import pytest
import torch
from small_nets import SIZE, Gated, Shuffled, program_of, settle, sqnr
from torch import nn
from torch.export import ExportedProgram

from mobiledeploy.errors import InputError
from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.quantize.dynamic import dynamic

WEIGHTS_ONLY = Recipe(activations="float").without_inputs()
IMAGES = [
    (torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(index)),) for index in range(8)
]


def quantized_names(program: ExportedProgram) -> list[str]:
    return [str(node.target) for node in program.graph.nodes if "quantized_decomposed" in str(node.target)]


def dtypes_of_weights(program: ExportedProgram) -> list[torch.dtype]:
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    found = []
    for node in program.graph.nodes:
        if str(node.target) in {"aten.conv2d.default", "aten.linear.default"}:
            weight = node.all_input_nodes[1]
            weight = weight.all_input_nodes[0] if weight.op == "call_function" else weight
            found.append(program.state_dict[names[weight.name]].dtype)
    return found


def test_every_layer_has_int8_weights_and_nothing_else_is_rounded(small: nn.Module) -> None:
    result = quantize(program_of(small), [], WEIGHTS_ONLY)
    names = quantized_names(result.program)
    assert set(names) == {"quantized_decomposed.dequantize_per_channel.default"}
    assert dtypes_of_weights(result.program) == [torch.int8] * 5
    assert result.report.ranges == ()
    with torch.no_grad():
        assert sqnr([small(*x) for x in IMAGES], [result.program.module()(*x) for x in IMAGES]) > 32


def test_few_inputs_are_no_finding_where_none_are_needed(small: nn.Module) -> None:
    names = {warning.name for warning in quantize(program_of(small), [], WEIGHTS_ONLY).report.warnings}
    assert "few-inputs" not in names


def test_steps_that_look_at_inputs_ask_for_them(small: nn.Module) -> None:
    assert not WEIGHTS_ONLY.needs_inputs
    for recipe in (
        Recipe(activations="float"),
        Recipe(activations="float", equalisation="off", rounding="nearest"),
        Recipe(activations="float", equalisation="off", bias_correction="none"),
        Recipe(activations="int16", equalisation="off", rounding="nearest", bias_correction="none"),
    ):
        assert recipe.needs_inputs
        with pytest.raises(InputError, match="no calibration inputs"):
            quantize(program_of(small), [], recipe)


def test_adaptive_rounding_of_weights_alone_is_nearer_than_the_nearest(small: nn.Module) -> None:
    coarse = [small.expand[0], small.project[0]]
    for layer in coarse:
        layer.weight.data[:, 0] *= 20

    def ratio(recipe: Recipe) -> float:
        module = quantize(program_of(small), IMAGES, recipe).program.module()
        with torch.no_grad():
            return sqnr([small(*x) for x in IMAGES], [module(*x) for x in IMAGES])

    nearest = Recipe(activations="float", rounding="nearest", bias_correction="none", equalisation="off")
    assert ratio(Recipe(activations="float", equalisation="off")) > ratio(nearest) + 2


def test_an_exempt_layer_keeps_its_reals(small: nn.Module) -> None:
    recipe = Recipe(activations="float", exempt=("depthwise",)).without_inputs()
    assert dtypes_of_weights(quantize(program_of(small), [], recipe).program) == [
        torch.int8,
        torch.int8,
        torch.float32,
        torch.int8,
        torch.int8,
    ]


def test_known_answer_of_an_input_quantized_as_it_comes() -> None:
    """The largest value 12.7 gets code 127: steps of 0.1, so that 0.26 becomes 0.3 and -0.04 becomes 0."""
    layer = nn.Linear(3, 1)
    layer.weight.data = torch.tensor([[1.0, 127.0, 64.0]])
    layer.bias.data = torch.tensor([0.5])
    program = quantize(program_of(layer, torch.ones(1, 3)), [], WEIGHTS_ONLY).program
    x = torch.tensor([[12.7, 0.26, -0.04]])
    exact = 12.7 + 127 * 0.26 - 64 * 0.04 + 0.5
    assert program.module()(x).item() == pytest.approx(exact, abs=1e-4)
    assert dynamic(program.module())(x).item() == pytest.approx(12.7 + 127 * 0.3 + 0.5, abs=1e-4)


def test_an_input_of_zeros_stays_zeros() -> None:
    layer = nn.Conv2d(3, 2, 3)
    program = quantize(program_of(layer), [], WEIGHTS_ONLY).program
    result = dynamic(program.module())(torch.zeros(1, 3, SIZE, SIZE))
    assert torch.allclose(result, layer.bias.reshape(1, 2, 1, 1).expand_as(result))


def test_every_input_has_its_own_scale() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3)
    layer.bias.data.zero_()
    module = dynamic(quantize(program_of(layer), [], WEIGHTS_ONLY).program.module())
    (x,) = IMAGES[0]
    assert torch.allclose(module(1000 * x), 1000 * module(x), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("make", [Shuffled, lambda: Gated(nn.SiLU(), nn.Sigmoid())], ids=["shuffle", "gate"])
def test_other_networks(make: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net = settle(make())
    program = quantize(program_of(net), [], WEIGHTS_ONLY).program
    with torch.no_grad():
        wanted = [net(*x) for x in IMAGES]
        reals = sqnr(wanted, [program.module()(*x) for x in IMAGES])
        integers = sqnr(wanted, [dynamic(program.module())(*x) for x in IMAGES])
    assert reals > 30
    assert 25 < integers < reals


def test_only_programs_are_taken() -> None:
    with pytest.raises(TypeError):
        dynamic(nn.Linear(2, 2))
