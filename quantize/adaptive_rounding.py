"""Rounding of weights that keeps each layer's output, rather than each weight, close to the float one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node
from torch.nn import functional

from mobiledeploy.quantize.calibration import Inputs
from mobiledeploy.quantize.graph import parameter
from mobiledeploy.quantize.observers import WEIGHT_LIMIT, quantized_layers, set_stage

_SWEEPS = 3
# Output positions per input and layer that go into the covariance.
_POSITIONS = 1024
# Added to the covariance's diagonal, relative to its mean: inputs that calibration never varied still count.
_DAMPING = 0.01


def round_adaptively(module: GraphModule, inputs: Sequence[Inputs]) -> None:
    """Choose the codes of every layer's weights together.

    Before: each weight at its nearest code.  After: codes that make ``d C d'`` small per output channel,
    where ``d`` is the change of its weights and ``C`` the covariance of its inputs.  The mean is left to
    bias correction, which has to follow.

    The objective is that of Nagel et al., "Up or Down? Adaptive Rounding for Post-Training
    Quantization", arXiv 2004.10568, section 3.2.  It is solved by coordinate descent over the weights of
    a channel (Behdin et al., QuantEase, arXiv 2309.01885, section 3) in place of their relaxation.

    Args:
        module: prepared, calibrated and frozen; its weights' observers get the result.
        inputs: calibration inputs.
    """
    found = {layer.node: (layer, weights) for layer, weights in quantized_layers(module)}
    moments = _Moments(module, set(found))
    set_stage(module, "float")
    with torch.no_grad():
        for values in inputs:
            moments.run(*values)
    for node, (layer, observer) in found.items():
        weight, covariance = parameter(module, layer.weight), moments.covariance(node)
        rows = weight.double().reshape(len(covariance), -1, weight[0].numel())
        scales = observer.scale.double().expand(len(weight)).reshape(*rows.shape[:2], 1)
        rounded = descend(rows, scales, covariance)
        observer.rounded = rounded.reshape(weight.shape).to(weight.dtype)


def descend(weights: torch.Tensor, scales: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """Weights on the grid ``scale * (-127..127)`` with a small output error.

    Args:
        weights: (groups, channels, inputs).
        scales: (groups, channels, 1).
        covariance: (groups, inputs, inputs) of the inputs that a group of channels shares.

    Returns:
        Like ``weights``.
    """
    damped = covariance.clone()
    diagonal = damped.diagonal(dim1=1, dim2=2)
    diagonal += _DAMPING * diagonal.mean(1, keepdim=True) + 1e-12
    rounded = (weights / scales).round().clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT) * scales
    pull = (rounded - weights) @ damped
    for _ in range(_SWEEPS):
        for index in range(weights.shape[2]):
            here = rounded[:, :, index]
            best = here - pull[:, :, index] / diagonal[:, None, index]
            codes = (best / scales[:, :, 0]).round().clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT)
            step = codes * scales[:, :, 0] - here
            rounded[:, :, index] += step
            pull += step[:, :, None] * damped[:, None, index]
    return rounded


class _Moments(Interpreter):
    """Runs a graph and sums up first and second moments of every layer's inputs, per group."""

    def __init__(self, module: GraphModule, found: set[Node]) -> None:
        super().__init__(module)
        self.found = found
        self._sums: dict[Node, tuple[int, torch.Tensor, torch.Tensor]] = {}

    def run_node(self, n: Node) -> Any:
        if n in self.found:
            (data, weight, *_), _ = self.fetch_args_kwargs_from_env(n)
            patches = _patches(n, data, weight)
            count, first, second = self._sums.get(n, (0, torch.zeros(()), torch.zeros(())))
            first = first + patches.sum(2).double()
            second = second + (patches @ patches.transpose(1, 2)).double()
            self._sums[n] = (count + patches.shape[2], first, second)
        return super().run_node(n)

    def covariance(self, node: Node) -> torch.Tensor:
        """(groups, inputs, inputs)."""
        count, first, second = self._sums[node]
        mean = first / count
        return second / count - mean[:, :, None] * mean[:, None, :]


def _patches(layer: Node, data: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """What a sample of the output values is computed from: (groups, inputs, positions)."""
    if str(layer.target) == "aten.linear.default":
        return data.reshape(1, -1, data.shape[-1]).transpose(1, 2)
    given: list[Any] = list(layer.args[3:])
    stride, padding, dilation, groups = given + [[1, 1], [0, 0], [1, 1], 1][len(given) :]
    kernel = weight.shape[2:]
    if isinstance(padding, str):
        extra = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)]
        data = functional.pad(data, [extra[1] // 2, -(-extra[1] // 2), extra[0] // 2, -(-extra[0] // 2)])
        padding = [0, 0]
    # Crops of one image come as a batch.
    columns = functional.unfold(data, kernel, dilation, padding, stride).transpose(0, 1).flatten(1)
    # An odd step does not walk down one column of the image.
    step = columns.shape[1] // _POSITIONS | 1
    return columns.reshape(groups, -1, columns.shape[1])[:, :, ::step]
