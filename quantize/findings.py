"""What to tell a user about a model that was calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch.fx import GraphModule, Node

from mobiledeploy.quantize.calibration import Watched
from mobiledeploy.quantize.graph import layers, module_path, parameter, source
from mobiledeploy.quantize.observers import ActivationObserver
from mobiledeploy.quantize.report import QuantizationWarning, TensorRange

# Below, the extremes of a natural image set are not seen.
FEW_INPUTS = 20


def tensor_ranges(module: GraphModule) -> tuple[TensorRange, ...]:
    """Every int8 activation of a prepared and frozen graph, in graph order."""
    return tuple(
        TensorRange(
            node.name,
            module_path(node),
            observer.statistics.low,
            observer.statistics.high,
            observer.scale,
            observer.zero_point,
        )
        for node, observer in watched_nodes(module)
    )


def find_warnings(
    module: GraphModule, float_nodes: Iterable[Node], watched: Watched
) -> tuple[QuantizationWarning, ...]:
    """Everything unusual about the inputs, the weights and the activations."""
    found = [*_about_inputs(watched)]
    found += _about_weights(module)
    found += _about_channels(module)
    found += (
        QuantizationWarning("float-operation", module_path(node), f"{node.target} ({node.name}) stays float")
        for node in float_nodes
    )
    return tuple(found)


def _about_inputs(watched: Watched) -> Iterator[QuantizationWarning]:
    if 0 < watched.count < FEW_INPUTS:
        yield QuantizationWarning(
            "few-inputs", "calibration", f"{watched.count} inputs; ranges settle from about 100 on"
        )
    for index in watched.constant:
        yield QuantizationWarning("constant-input", f"input {index}", "all its values are the same")


def _about_weights(module: GraphModule) -> Iterator[QuantizationWarning]:
    for layer in layers(module):
        weight = parameter(module, layer.weight)
        zero = int((weight.flatten(1) == 0).all(1).sum())
        if zero:
            yield QuantizationWarning(
                "zero-weights", layer.path, f"{zero} of {len(weight)} output channels have only zero weights"
            )


def _about_channels(module: GraphModule) -> Iterator[QuantizationWarning]:
    for node, observer in watched_nodes(module):
        channels = observer.statistics.channels
        if channels is None or node.op == "placeholder":
            continue
        dead = int((channels[0] == channels[1]).sum())
        if dead:
            yield QuantizationWarning(
                "dead-channel", module_path(node), f"{dead} of {channels.shape[1]} channels never change"
            )


def watched_nodes(module: GraphModule) -> Iterator[tuple[Node, ActivationObserver]]:
    """Each activation observer once, with the first node that it watches."""
    seen = set()
    for node in module.graph.find_nodes(op="call_module"):
        observer = module.get_submodule(str(node.target))
        if isinstance(observer, ActivationObserver) and observer not in seen:
            seen.add(observer)
            yield source(node), observer
