"""Bias correction from batch norm statistics: no input is needed."""

from __future__ import annotations

from torch.fx import GraphModule

from mobiledeploy.quantize.graph import parameter, set_parameter, source
from mobiledeploy.quantize.moments import expected_moments
from mobiledeploy.quantize.observers import quantized_layers


def correct_biases_analytically(module: GraphModule) -> None:
    """Take from every bias what the rounding of its layer's weights adds to its channel's mean output.

    Before: ``E[W' x + b] = E[W x + b] + (W' - W) E[x]``.  After: ``b := b - (W' - W) E[x]``, with ``E[x]``
    per input channel from the batch norms before.  A layer of whose input they say nothing, as the
    first one's, keeps its bias.

    Source: Nagel et al., Data-Free Quantization, arXiv 1906.04721, section 4.2.

    Args:
        module: prepared and frozen.
    """
    moments = expected_moments(module)
    for layer, observer in quantized_layers(module):
        data = moments.get(source(layer.node.args[0]))
        if data is None:
            continue
        weight = parameter(module, layer.weight)
        # Kernel positions all see the same mean: (outputs, inputs of a group).
        error = (observer.round(weight) - weight).reshape(*weight.shape[:2], -1).sum(2)
        groups = len(data.mean) // error.shape[1]
        shift = error.reshape(groups, -1, error.shape[1]) @ data.mean.reshape(groups, -1, 1)
        set_parameter(module, layer.bias, parameter(module, layer.bias) - shift.flatten())
