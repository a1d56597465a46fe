"""Weights rounded to half precision so that each layer's mean output stays where it was."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch.export.graph_signature import InputKind

from mobiledeploy.converters.nodes import operand

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

    from mobiledeploy.contract import Preprocessing

_LAYERS = frozenset({"aten.conv2d.default", "aten.conv2d.padding", "aten.linear.default"})
# Sides of the grids that noise images are enlarged from: coarse as skies, fine as grass.
_GRIDS = (4, 7, 8, 14, 16, 28, 32, 56)
_SEED = 20170417


def round_to_half(program: ExportedProgram, rule: Preprocessing | None) -> ExportedProgram:
    """The program with layer weights and biases that float16 holds exactly.

    Rounding each weight to its nearest neighbour leaves every output channel with an offset,
    ``sum(error * mean input) + bias error``, which adds up through the network.  Here the weights
    whose rounding was the closest call go to their other neighbour until the offset is nearly gone
    (the bias correction of arXiv 1906.04721, section 4.2, done in the rounding itself).  Mean inputs
    are measured on seeded noise, so no data is needed.

    A layer whose weights exceed float16 is left alone; the writers refuse it by name.

    Args:
        rule: how the model's image input is normalised; None if it takes no image.

    Returns:
        A copy; the program given is not changed.
    """
    result = copy.copy(program)
    result._state_dict = dict(program.state_dict)
    parameters = program.graph_signature.inputs_to_parameters
    for layer, mean in _mean_inputs(program, rule).items():
        weight_node = operand(layer, 1)
        owned = [weight_node, *([operand(layer, 2)] if len(layer.args) > 2 and layer.args[2] else [])]
        if any(node.name not in parameters or len(node.users) != 1 for node in owned):
            continue
        names = [parameters[node.name] for node in owned]
        tensors = [result._state_dict[name].detach() for name in names]
        if any(not bool(tensor.half().isfinite().all()) for tensor in tensors):
            continue
        bias = tensors[1].double() if len(tensors) == 2 else torch.zeros(len(tensors[0]), dtype=torch.float64)
        rounded = _rounded(tensors[0], mean, bias.half().double() - bias)
        for name, tensor in zip(names, (rounded, bias.half().float()), strict=False):
            result._state_dict[name] = torch.nn.Parameter(tensor, requires_grad=False)
    return result


def _rounded(weight: torch.Tensor, mean: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """Weights (O, I, ...) on float16's grid with ``sum((rounded - weight) * mean) + offset`` near 0.

    Args:
        mean: mean input of each weight of an output channel, broadcastable to (O, I * ...).
        offset: what the sum has to make up for, (O,).
    """
    exact = weight.double().flatten(1)
    nearest = exact.half()
    error = nearest.double() - exact
    upwards = torch.full_like(nearest, torch.inf)
    other = torch.nextafter(nearest, torch.where(error > 0, -upwards, upwards)).double()
    gain = (other - nearest.double()) * mean
    total = (error * mean).sum(1, keepdim=True) + offset[:, None]
    # Only moves that take the total down, the closest calls first.
    useful = (gain * total < 0) & other.isfinite()
    cost = torch.where(useful, ((other - exact).abs() - error.abs()) / gain.abs(), torch.inf)
    ranked = cost.argsort(dim=1, stable=True)
    running = total + torch.where(useful, gain, 0).gather(1, ranked).cumsum(1)
    path = torch.cat([total, running], 1).abs()
    moves = path.argmin(1, keepdim=True)
    chosen = torch.zeros_like(useful).scatter(1, ranked, torch.arange(exact.shape[1]) < moves)
    result: torch.Tensor = torch.where(chosen & useful, other, nearest.double()).float().reshape(weight.shape)
    return result


class _Means(torch.fx.Interpreter):
    """Runs a program and adds up the mean input of each weight."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module)
        self.sums: dict[Node, torch.Tensor] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n.op == "call_function" and str(n.target) in _LAYERS:
            mean = _mean_per_weight(self.env[operand(n, 0)], self.env[operand(n, 1)])
            self.sums[n] = self.sums.get(n, 0) + mean
        return result


def _mean_per_weight(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(O or 1, I * taps): the mean of the channel that each weight multiplies."""
    if weight.dim() == 2:
        return x.double().flatten(0, -2).mean(0)[None]
    channels = x.double().mean((0, 2, 3))
    groups = len(channels) // weight.shape[1]
    taps = weight.shape[2] * weight.shape[3]
    by_group = channels.reshape(groups, weight.shape[1]).repeat_interleave(weight.shape[0] // groups, 0)
    return by_group.repeat_interleave(taps, 1)


def _mean_inputs(program: ExportedProgram, rule: Preprocessing | None) -> dict[Node, torch.Tensor]:
    """Layer node -> mean input of each of its weights, over noise images."""
    interpreter = _Means(program.graph_module)
    constants = {**program.state_dict, **program.constants}
    specs = program.graph_signature.input_specs
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    with torch.inference_mode():
        for grid in _GRIDS:
            noise = torch.Generator().manual_seed(_SEED + grid)
            values = [
                _noise(node.meta["val"], rule, grid, noise)
                if spec.kind == InputKind.USER_INPUT
                else constants[str(spec.target)]
                for node, spec in zip(placeholders, specs, strict=True)
            ]
            interpreter.run(*values)
    return {layer: total / len(_GRIDS) for layer, total in interpreter.sums.items()}


def _noise(
    meta: torch.Tensor, rule: Preprocessing | None, grid: int, generator: torch.Generator
) -> torch.Tensor:
    """One input: a noise image as the model takes images, else standard normal noise."""
    shape = tuple(int(size) for size in meta.shape)
    if rule is None or len(shape) != 4 or shape[1] != len(rule.mean):
        return torch.randn(shape, generator=generator).to(meta.dtype)
    coarse = torch.rand((shape[0], shape[1], grid, grid), generator=generator) * 255
    pixels = torch.nn.functional.interpolate(coarse, shape[2:], mode="bilinear")
    mean, deviation = (torch.tensor(values).reshape(1, -1, 1, 1) for values in (rule.mean, rule.std))
    return ((pixels - mean) / deviation).to(meta.dtype)
