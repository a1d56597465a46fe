"""The modules that PT2E puts on every quantized tensor: they watch, then they simulate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch.fx import GraphModule

from mobiledeploy.quantize.graph import Layer, layers, parameter, set_parameter
from mobiledeploy.quantize.pt2e import ObserverBase
from mobiledeploy.quantize.ranges import Codes, choose_range, output_range, parameters
from mobiledeploy.quantize.recipe import Recipe
from mobiledeploy.quantize.statistics import TensorStatistics
from mobiledeploy.quantize.straight_through import straight_through

# ``watch`` collects statistics, ``float`` does nothing, ``int8`` rounds and clips as the int8 model
# does, ``rounded`` rounds in the same steps and clips no activation.
Stage = Literal["watch", "float", "rounded", "int8"]

_UNCLIPPED = 2**20

WEIGHT_LIMIT = 127
# Share of int32 that a bias may fill; the products of its layer add to it.
_BIAS_LIMIT = 2.0**30
# A channel's scale relative to the largest one: below, its products vanish in the output's step, and
# kernels refuse the multiplier.
_LEAST_RELATIVE_SCALE = 2.0**-16


class ActivationObserver(ObserverBase):  # type: ignore[misc]
    """One range per tensor (or group of tensors that share it)."""

    def __init__(self, recipe: Recipe, codes: Codes, is_output: bool, **_: Any) -> None:
        super().__init__(dtype=codes.dtype)
        self.quant_min, self.quant_max = codes.lowest, codes.highest
        self.qscheme = torch.per_tensor_affine
        self.recipe, self.codes, self.is_output = recipe, codes, is_output
        self.statistics = TensorStatistics()
        self.scale, self.zero_point = 1.0, 0
        self.stage: Stage = "watch"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The tensor as the stage has it."""
        match self.stage:
            case "watch":
                self.statistics.add(x)
                return x
            case "float":
                return x
            case "rounded":
                low, high = -_UNCLIPPED, _UNCLIPPED
            case "int8":
                low, high = self.quant_min, self.quant_max
        return straight_through(x, self.scale, self.zero_point, low, high)

    def freeze(self) -> None:
        """Fix scale and zero point from what was seen."""
        rule = output_range if self.is_output else choose_range
        self.scale, self.zero_point = parameters(*rule(self.statistics, self.recipe), self.codes)

    def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and zero point as PT2E asks for them."""
        return torch.tensor(self.scale), torch.tensor(self.zero_point)


class PerChannelWeightObserver(ObserverBase):  # type: ignore[misc]
    """Symmetric int8 weights; PT2E passes the axis to classes with PerChannel in their name."""

    def __init__(self, per_channel: bool, **spec: Any) -> None:
        super().__init__(dtype=torch.int8)
        self.quant_min, self.quant_max = spec["quant_min"], spec["quant_max"]
        self.qscheme, self.ch_axis = spec["qscheme"], spec["ch_axis"]
        self.per_channel = per_channel
        self.scale = torch.ones(1)
        self.rounded: torch.Tensor | None = None
        self.stage: Stage = "watch"

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight as the stage has it."""
        return weight if self.stage in {"watch", "float"} else self.round(weight)

    def round(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight at its codes: the nearest ones, unless a step has chosen others."""
        if self.rounded is None:
            self.rounded = self._nearest(weight)
        return self.rounded

    def _nearest(self, weight: torch.Tensor) -> torch.Tensor:
        zeros = torch.zeros(len(self.scale), dtype=torch.int32)
        if not self.per_channel:
            return torch.fake_quantize_per_tensor_affine(
                weight, self.scale, zeros, self.quant_min, self.quant_max
            )
        return torch.fake_quantize_per_channel_affine(
            weight, self.scale, zeros, self.ch_axis, self.quant_min, self.quant_max
        )

    def freeze(self, weight: torch.Tensor, least: torch.Tensor) -> None:
        """Fix the scales so that the largest weight gets the largest code.

        Args:
            weight: output channels first.
            least: (channels,) scale below which the layer's int32 bias would overflow.
        """
        largest = weight.detach().abs().flatten(1).amax(1)
        if not self.per_channel:
            largest, least = largest.amax(0, keepdim=True), least.amax(0, keepdim=True)
        scale = largest / WEIGHT_LIMIT
        floor = scale.amax() * _LEAST_RELATIVE_SCALE
        self.scale = torch.maximum(scale, torch.maximum(least, floor))
        self.scale[self.scale == 0] = 1.0 / WEIGHT_LIMIT

    def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scales and zero points (all 0) as PT2E asks for them."""
        return self.scale, torch.zeros(len(self.scale), dtype=torch.int64)


def set_stage(module: GraphModule, stage: Stage) -> None:
    """Switch every observer of a prepared graph."""
    for observer in module.modules():
        if isinstance(observer, ActivationObserver | PerChannelWeightObserver):
            observer.stage = stage


def freeze(module: GraphModule) -> None:
    """Fix every scale of a prepared graph, activations first: they bound the biases' steps."""
    for observer in module.modules():
        if isinstance(observer, ActivationObserver):
            observer.freeze()
    for layer, weights in quantized_layers(module):
        bias = parameter(module, layer.bias)
        weights.freeze(
            parameter(module, layer.weight), bias.abs() / (_BIAS_LIMIT * _data_scale(module, layer))
        )


def _data_scale(module: GraphModule, layer: Layer) -> float:
    """Of a layer's input where its bias becomes an int32 in steps of it; infinite elsewhere."""
    data, _, bias = layer.node.all_input_nodes
    if bias.op != "call_module":
        return math.inf
    observer: Any = module.get_submodule(str(data.target))
    scale, _ = observer.calculate_qparams()
    return float(scale)


def quantized_layers(module: GraphModule) -> Iterator[tuple[Layer, PerChannelWeightObserver]]:
    """The layers of a prepared graph that have int8 weights, with what rounds these."""
    for layer in layers(module):
        operand = layer.node.all_input_nodes[1]
        observer = module.get_submodule(str(operand.target)) if operand.op == "call_module" else None
        if isinstance(observer, PerChannelWeightObserver):
            yield layer, observer


def keep_rounded(module: GraphModule) -> None:
    """Put the rounded weights in the place of the float ones."""
    for layer, weights in quantized_layers(module):
        set_parameter(module, layer.weight, weights(parameter(module, layer.weight)))
