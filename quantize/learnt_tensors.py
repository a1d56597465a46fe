"""What learns in fine-tuning: codes of weights, and biases, each in steps of its own size."""

from __future__ import annotations

import math
import operator

import torch
from torch.fx import GraphModule

from mobiledeploy.quantize.graph import Layer, along, parameter, set_parameter
from mobiledeploy.quantize.observers import WEIGHT_LIMIT, ActivationObserver, PerChannelWeightObserver

# What a bias is the weight of: an input that is always at this share of its largest code.
_BIAS_INPUT = 1 / 8


class Codes:
    """The weights of a layer: real numbers of codes, of which the graph uses the nearest codes.

    Attributes:
        learnt: the real numbers.
        unit: what one code is.
        limit: of the codes.
    """

    limit = float(WEIGHT_LIMIT)

    def __init__(self, module: GraphModule, layer: Layer, observer: PerChannelWeightObserver) -> None:
        weight = parameter(module, layer.weight)
        self._observer = observer
        self.unit = along(observer.scale.expand(len(weight)), weight.dim(), 0)
        self.learnt = (observer.round(weight) / self.unit).round()

    @property
    def used(self) -> torch.Tensor:
        """The rounded weights in the graph."""
        return self._observer.round(self.learnt)

    def use(self) -> None:
        """Put the nearest codes into the graph."""
        self.put((self.learnt.round() * self.unit).requires_grad_())

    def put(self, value: torch.Tensor) -> None:
        """Let the graph use rounded weights."""
        self._observer.rounded = value


class Bias:
    """The bias of a layer: what is added to it, in units of the layer's weights.

    Attributes: as of ``Codes``.
    """

    limit = math.inf

    def __init__(self, module: GraphModule, layer: Layer, observer: PerChannelWeightObserver) -> None:
        self._module, self._name = module, layer.bias
        self._start = parameter(module, layer.bias)
        self.unit = observer.scale.expand(len(self._start)) * _usual_input(module, layer)
        self.learnt = torch.zeros_like(self._start)

    @property
    def used(self) -> torch.Tensor:
        """The bias in the graph."""
        bias: torch.Tensor = operator.attrgetter(self._name)(self._module)
        return bias

    def use(self) -> None:
        """Put what was learnt into the graph."""
        self.put(self._start + self.learnt * self.unit)
        self.used.requires_grad_()

    def put(self, value: torch.Tensor) -> None:
        """Let the graph use a bias."""
        set_parameter(self._module, self._name, value)


def _usual_input(module: GraphModule, layer: Layer) -> float:
    """Of a layer, in reals; 1 where it is not quantized."""
    data = layer.node.all_input_nodes[0]
    observer = module.get_submodule(str(data.target)) if data.op == "call_module" else None
    if not isinstance(observer, ActivationObserver):
        return 1.0
    return _BIAS_INPUT * observer.quant_max * observer.scale
