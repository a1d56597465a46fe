"""Empirical bias correction: rounding must not shift a channel's mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from mobiledeploy.quantize.calibration import Inputs
from mobiledeploy.quantize.graph import Layer, along, by_channel, layers, parameter, set_parameter
from mobiledeploy.quantize.observers import set_stage

# Output positions per input and channel that are compared.
_POSITIONS = 512


def correct_biases(module: GraphModule, inputs: Iterable[Inputs]) -> None:
    """Add to every bias what quantization takes from its channel's mean output.

    Before: ``E[clip(y_int8)] = E[clip(y)] - e`` per channel.  After: ``b := b + e / P(not clipped)``.

    ``clip`` is the activation behind the layer: an error on a value that it cuts off does no harm, and
    must not move the values that it lets through.  For the same reason outliers do not count: the
    simulation rounds activations without clipping them to their range, and no error counts for more
    than the mean absolute one.  The layers before are quantized and corrected by what the inputs so
    far have shown, so that one pass over the inputs corrects all layers, each for what the others
    leave over; the estimate moves by 1/n on the n-th input.

    Source: Nagel et al., Data-Free Quantization, arXiv 1906.04721, section 4.2 and appendix D, which
    take the plain mean before the activation and one pass per layer.

    Args:
        module: prepared, calibrated and frozen.
        inputs: a few dozen calibration inputs.
    """
    found = {layer.node: layer for layer in layers(module)}
    reference, corrected = _Reference(module, found), _Corrected(module, found)
    with torch.no_grad():
        for values in inputs:
            set_stage(module, "float")
            reference.run(*values)
            set_stage(module, "rounded")
            corrected.wanted = reference.outputs
            corrected.run(*values)
    for node, shift in corrected.shifts.items():
        bias = found[node].bias
        set_parameter(module, bias, parameter(module, bias) + shift)


class _Reference(Interpreter):
    """Runs the float graph and keeps each layer's output, channels first."""

    def __init__(self, module: GraphModule, found: dict[Node, Layer]) -> None:
        super().__init__(module)
        self.found = found
        self.outputs: dict[Node, torch.Tensor] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n in self.found:
            self.outputs[n] = by_channel(result, self.found[n].channel_axis, _POSITIONS)
        return result


class _Corrected(Interpreter):
    """Runs the int8 graph with every layer's output shifted by the estimate of its error so far."""

    def __init__(self, module: GraphModule, found: dict[Node, Layer]) -> None:
        super().__init__(module)
        self.found = found
        self.wanted: dict[Node, torch.Tensor] = {}
        self.shifts: dict[Node, torch.Tensor] = {}
        self._weights: dict[Node, torch.Tensor] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n not in self.found:
            return result
        layer = self.found[n]
        shift = self._update(layer, self.wanted[n], by_channel(result, layer.channel_axis, _POSITIONS))
        return result + along(shift, result.dim(), layer.channel_axis)

    def _update(self, layer: Layer, wanted: torch.Tensor, got: torch.Tensor) -> torch.Tensor:
        """One step of stochastic approximation towards equal means behind the activation."""
        low, high = layer.clip
        shift = self.shifts.get(layer.node, got.new_zeros(len(got)))
        moved = got + shift[:, None]
        error = wanted.clamp(low, high) - moved.clamp(low, high)
        passed = ((wanted > low) & (wanted < high)) | ((moved > low) & (moved < high))
        here = passed.sum(1)
        limit = (error.abs().sum(1) / here.clamp(min=1))[:, None]
        error = error.clamp(-limit, limit)
        count = self._weights.get(layer.node, 0) + here
        self._weights[layer.node] = count
        self.shifts[layer.node] = shift + error.sum(1) / count.clamp(min=1)
        return self.shifts[layer.node]
