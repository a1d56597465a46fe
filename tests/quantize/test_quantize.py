"""The whole way from a float program to an int8 one."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import Node

from mobiledeploy.errors import InputError
from mobiledeploy.quantize import Recipe, quantize

Inputs = tuple[torch.Tensor, ...]
Export = Callable[..., ExportedProgram]
PLAIN = Recipe(ranges="minmax", equalisation="off", bias_correction="none")


def nodes(program: ExportedProgram, name: str) -> list[Node]:
    return [node for node in program.graph.nodes if name in str(node.target) and node.op == "call_function"]


def noise_ratio(program: ExportedProgram, module: nn.Module, images: list[Inputs]) -> float:
    """Signal to quantization noise of the outputs, dB."""
    quantized = program.module()
    with torch.no_grad():
        pairs = [(module(*x), quantized(*x)) for x in images]
    signal = sum(float((want**2).sum()) for want, _ in pairs)
    noise = sum(float(((want - got) ** 2).sum()) for want, got in pairs)
    return 10 * math.log10(signal / noise)


def state_of(program: ExportedProgram, node: Any) -> torch.Tensor:
    signature = program.graph_signature
    name = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}[node.name]
    return program.state_dict[name]


def test_the_int8_program_computes_what_the_float_one_does(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    for recipe in (PLAIN, Recipe(), Recipe(rounding="adaptive"), Recipe(ranges="mse")):
        result = quantize(to_program(small), images, recipe)
        assert noise_ratio(result.program, small, images) > 20
    assert result.report.inputs == len(images)


def test_units_have_one_range_each(small: nn.Module, images: list[Inputs], to_program: Export) -> None:
    program = quantize(to_program(small), images, PLAIN).program
    for layer in nodes(program, "aten.conv2d") + nodes(program, "aten.linear"):
        data, weight, bias = layer.all_input_nodes
        assert "dequantize_per_tensor" in str(data.target)
        codes, biases = (state_of(program, item.args[0]) for item in (weight, bias))
        assert codes.dtype == torch.int8
        assert codes.abs().flatten(1).amax(1).eq(127).all()
        assert biases.dtype == torch.int32
        step = data.args[1] * state_of(program, weight.args[1])
        assert torch.equal(state_of(program, bias.args[1]), step)
        (reader,) = layer.users
        assert "quantize_per_tensor" in str(reader.target) or "hardtanh" in str(reader.target)
    for clip in nodes(program, "hardtanh"):
        (reader,) = clip.users
        assert str(reader.target).startswith("quantized_decomposed.quantize_per_tensor")
        assert reader.args[2] == -128
    # Flattening keeps the codes of the pooled features.
    (flat,) = nodes(program, "flatten")
    (after,) = flat.users
    assert flat.all_input_nodes[0].args[1:3] == after.args[1:3]
    (output,) = program.graph.find_nodes(op="output")[0].all_input_nodes
    assert "dequantize_per_tensor" in str(output.target)


def test_a_float_output_is_not_rounded(small: nn.Module, images: list[Inputs], to_program: Export) -> None:
    recipe = Recipe(float_output=True)
    program = quantize(to_program(small), images, recipe).program
    (output,) = program.graph.find_nodes(op="output")[0].all_input_nodes
    assert str(output.target) == "aten.linear.default"
    assert all("dequantize" in str(item.target) for item in output.all_input_nodes)


def test_per_tensor_weights_have_one_scale(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    program = quantize(to_program(small), images, Recipe(weights="per-tensor")).program
    assert not nodes(program, "per_channel")
    assert noise_ratio(program, small, images) > 15


def test_the_input_program_is_left_as_it_was(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    program = to_program(small)
    code, before = program.graph_module.code, copy.deepcopy(dict(program.state_dict))
    first = quantize(program, images).program
    assert program.graph_module.code == code
    assert all(torch.equal(value, before[name]) for name, value in program.state_dict.items())
    second = quantize(program, iter(images)).program
    assert first.graph_module.code == second.graph_module.code
    assert all(torch.equal(value, second.state_dict[name]) for name, value in first.state_dict.items())


def test_module_paths_survive(small: nn.Module, images: list[Inputs], to_program: Export) -> None:
    program = quantize(to_program(small), images).program
    (linear,) = nodes(program, "aten.linear")
    assert [path for path, _ in linear.meta["nn_module_stack"].values()][-1].endswith("classifier")


def test_an_exempt_layer_and_its_clip_stay_float(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    result = quantize(to_program(small), images, Recipe(exempt=("depthwise.0",)))
    floats = [node for node in nodes(result.program, "conv2d") if node.all_input_nodes[1].op == "placeholder"]
    assert len(floats) == 1
    (clip,) = floats[0].users
    assert "hardtanh" in str(clip.target)
    assert [warning.where for warning in result.report.warnings if warning.name == "float-operation"][:1] == [
        "depthwise.0"
    ]
    with pytest.raises(InputError, match=r"no layer is called 'depthwise\.9'.*depthwise\.0"):
        quantize(to_program(small), images, Recipe(exempt=("depthwise.9",)))


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([self.left(x), 5 * torch.ones(()) * self.right(x).relu_()], 1)
        return torch.sigmoid(nn.functional.max_pool2d(joined, 2))


def test_concatenation_and_pooling_share_codes_and_sigmoid_has_its_own(
    images: list[Inputs], to_program: Export
) -> None:
    program = quantize(to_program(Branches()), images, PLAIN).program
    (cat,) = nodes(program, "aten.cat")
    (pool,) = nodes(program, "max_pool2d")
    parameters = {item.args[1:3] for item in [*cat.all_input_nodes, *pool.all_input_nodes, *pool.users]}
    assert len(parameters) == 1
    (sigmoid,) = nodes(program, "sigmoid")
    (after,) = sigmoid.users
    assert after.args[1:3] == (1 / 256, -128)


def test_readers_of_a_fixed_range_take_it_as_it_is(images: list[Inputs], to_program: Export) -> None:
    class Swish(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            return torch.cat([x * torch.sigmoid(x).reshape(1, 4, 16, 16), x], 1)

    module = Swish()
    program = quantize(to_program(module), images).program
    (mul,) = nodes(program, "aten.mul")
    assert mul.all_input_nodes[1].args[1:3] == (1 / 256, -128)
    assert not [q for q in nodes(program, "quantized_decomposed.quantize") if "quant" in str(q.args[0])]
    assert noise_ratio(program, module, images) > 25


class Gated(nn.Module):
    """Squeeze and excite with hard-swish, as MobileNetV3 has it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.hardswish(self.conv(x), inplace=True)
        return x * nn.functional.hardsigmoid(self.gate(x.mean((2, 3), keepdim=True)))


def test_gates_are_int8_throughout(images: list[Inputs], to_program: Export) -> None:
    torch.manual_seed(3)
    module = Gated()
    result = quantize(to_program(module), images)
    assert not [w for w in result.report.warnings if w.name == "float-operation"]
    assert noise_ratio(result.program, module, images) > 25


def test_what_has_no_int8_kernel_stays_float_and_is_reported(
    images: list[Inputs], to_program: Export
) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.erf(self.conv(x))

    module = Odd()
    result = quantize(to_program(module), images)
    (warning,) = result.report.warnings
    assert warning.name == "float-operation"
    assert "aten.erf" in warning.message
    assert noise_ratio(result.program, module, images) > 25


def test_a_channel_without_weights_keeps_its_bias(images: list[Inputs], to_program: Export) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    module[0].weight.data[1] = 0
    module[0].bias.data[1] = 3.0
    module[0].weight.data[2] = 1e-20
    module[0].bias.data[2] = 2.0
    result = quantize(to_program(module), images)
    found = {(warning.name, warning.where) for warning in result.report.warnings}
    assert ("zero-weights", "0") in found
    assert ("dead-channel", "1") in found
    assert noise_ratio(result.program, module, images) > 25


def test_bad_calibration(small: nn.Module, images: list[Inputs], to_program: Export) -> None:
    program = to_program(small)
    with pytest.raises(InputError, match="no calibration inputs"):
        quantize(program, [])
    flat = [(torch.full((1, 3, 16, 16), 0.5),), *images[:3]]
    names = {(w.name, w.where) for w in quantize(program, flat).report.warnings}
    assert {("few-inputs", "calibration"), ("constant-input", "input 0")} <= names
    for recipe in (Recipe(), PLAIN):
        with pytest.raises(InputError, match="the model's input: calibration input 1 makes NaN"):
            quantize(program, [images[0], (images[0][0] / 0,)], recipe)
        broken = copy.deepcopy(small)
        broken.project[0].weight.data[0, 0] = float("nan")
        with pytest.raises(InputError, match=r"^project\.0: calibration input 0"):
            quantize(to_program(broken), images, recipe)


def test_a_quantized_program_is_refused(small: nn.Module, images: list[Inputs], to_program: Export) -> None:
    once = quantize(to_program(small), images).program
    with pytest.raises(InputError, match="quantized already"):
        quantize(once, images)


def test_a_quantile_is_no_quantization(images: list[Inputs], to_program: Export) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) - torch.quantile(x, 0.5)

    report = quantize(to_program(Scaled(), images[0][0]), images, PLAIN).report
    assert report.ranges[0].node == "x"
