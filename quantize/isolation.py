"""One unit of a model in int8 and the rest in reals: the noise that it alone puts into the outputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node
from torch.utils._pytree import tree_leaves

from mobiledeploy.quantize.calibration import Inputs
from mobiledeploy.quantize.findings import watched_nodes
from mobiledeploy.quantize.graph import CLIPS, EVERYTHING, LAYERS, Layer, along, by_channel, module_path
from mobiledeploy.quantize.observers import (
    ActivationObserver,
    PerChannelWeightObserver,
    quantized_layers,
    set_stage,
)

# Per channel, shaped for its node's result.
Shifts = Mapping[Node, torch.Tensor]
# Output positions per input and channel that go into a mean.
_POSITIONS = 1024


@dataclass(frozen=True, slots=True)
class Unit:
    """Something with int8 weights or a result of its own.

    Attributes:
        end: the node that makes its result, the clip behind a layer included.
        operation, path: what it is and where.
        layer, weights: of a layer with int8 weights.
        result: rounds its result; None if that stays float.
    """

    end: Node
    operation: str
    path: str
    layer: Layer | None
    weights: PerChannelWeightObserver | None
    result: ActivationObserver | None


def units_of(module: GraphModule) -> tuple[Unit, ...]:
    """Every unit of a prepared graph, in order."""
    return tuple(_units(module))


def _units(module: GraphModule) -> Iterator[Unit]:
    results = dict(watched_nodes(module))
    found = {}
    for layer, weights in quantized_layers(module):
        reader = next(iter(layer.node.users))
        end = reader if len(layer.node.users) == 1 and str(reader.target) in CLIPS else layer.node
        found[end] = Unit(end, str(layer.node.target), layer.path, layer, weights, results.get(end))
    for node in module.graph.nodes:
        if node in found:
            yield found[node]
        elif node in results:
            operation = "input" if node.op == "placeholder" else str(node.target)
            yield Unit(node, operation, module_path(node), None, None, results[node])


def that_counts(observer: ActivationObserver | None, values: torch.Tensor) -> torch.Tensor:
    """The values without what an output of ranked scores leaves out by design, see ``Recipe``."""
    if observer is None or not observer.is_output or not observer.recipe.ranked_output:
        return values
    return values.clamp(min=(observer.quant_min - observer.zero_point) * observer.scale)


def outputs_of(module: GraphModule, result: Any) -> list[torch.Tensor]:
    """Of the graph's result: the tensors in order, as far as they count."""
    (output,) = module.graph.find_nodes(op="output")
    leaves = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
    nodes = [node for node in tree_leaves(output.args[0]) if isinstance(node, Node)]
    return [that_counts(_observer(module, node), leaf) for node, leaf in zip(nodes, leaves, strict=True)]


def isolated_noise(
    module: GraphModule, units: Collection[Unit], inputs: Iterable[Inputs], shifts: Shifts
) -> list[tuple[float, float, float]]:
    """Relative noise of the outputs with each unit alone, its weights alone, its result alone in int8.

    The float results of an input are computed once; each measurement runs only what depends on the unit.

    Args:
        module: prepared, calibrated and frozen; it is left in stage ``float``.
        units: of the module.
        inputs: what to measure on.
        shifts: added to a layer's output where its weights are rounded, and to an observer's result
            where that rounds: bias correction.
    """
    set_stage(module, "float")
    runs = [_runs(module, unit, shifts) for unit in units]
    sums = [[0.0] * len(each) for each in runs]
    signal = 0.0
    for values in inputs:
        whole = _Partial(module)
        wanted = outputs_of(module, whole.run(*values))
        signal += sum(float((want**2).sum()) for want in wanted)
        for noise, each in zip(sums, runs, strict=True):
            for index, run in enumerate(each):
                got = outputs_of(module, run.outputs(values, whole.env))
                pairs = zip(wanted, got, strict=True)
                noise[index] += sum(float(((want - result) ** 2).sum()) for want, result in pairs)
    return [
        _three(unit, [noise / signal if signal else 0.0 for noise in noises])
        for unit, noises in zip(units, sums, strict=True)
    ]


def shifts_of_means(module: GraphModule, units: Iterable[Unit], inputs: Iterable[Inputs]) -> Shifts:
    """What empirical bias correction gives back for each unit alone.

    For rounded weights: what, added before the clip, makes ``E[clip(y)]`` and ``E[clip(y_int8)]`` equal per
    output channel, found by the steps of ``correct_biases``.  For a rounded result: ``E[x - x_int8]`` per
    channel without the outliers' share, as the biases of the layers that read it make up for it; nothing
    where no layer does.

    Args:
        module: prepared, calibrated and frozen; it is left in stage ``float``.
        units: of the module.
        inputs: some calibration inputs.
    """
    set_stage(module, "float")
    means = _Means(module, {unit.layer.node: unit for unit in units if unit.layer is not None})
    for values in inputs:
        means.run(*values)
    return means.shifts()


def _three(unit: Unit, noises: list[float]) -> tuple[float, float, float]:
    if len(noises) == 3:
        return noises[0], noises[1], noises[2]
    (only,) = noises
    return (only, only, 0.0) if unit.weights is not None else (only, 0.0, only)


def _runs(module: GraphModule, unit: Unit, shifts: Shifts) -> list[_Alone]:
    """Weights and result, weights, result; only one of them if the unit has no more."""
    both = [observer for observer in (unit.weights, unit.result) if observer is not None]
    chosen = [both] if len(both) < 2 else [both, both[:1], both[1:]]
    return [_Alone(module, unit, observers, shifts) for observers in chosen]


def _observer(module: GraphModule, node: Node) -> ActivationObserver | None:
    """The node's, if it is one."""
    found = module.get_submodule(str(node.target)) if node.op == "call_module" else None
    return found if isinstance(found, ActivationObserver) else None


class _Partial(Interpreter):
    """Keeps all results, and adds shifts to some."""

    def __init__(self, module: GraphModule, shifts: Shifts | None = None) -> None:
        super().__init__(module, garbage_collect_values=False)
        self._shifts = shifts or {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        return result + self._shifts[n] if n in self._shifts else result


class _Alone:
    """Some observers of one unit in int8."""

    def __init__(
        self,
        module: GraphModule,
        unit: Unit,
        observers: list[ActivationObserver | PerChannelWeightObserver],
        shifts: Shifts,
    ) -> None:
        self._module, self._observers = module, observers
        rounding = {
            node
            for node in module.graph.find_nodes(op="call_module")
            if any(module.get_submodule(str(node.target)) is observer for observer in observers)
        }
        shifted = rounding | ({unit.layer.node} if unit.layer and unit.weights in observers else set())
        self._shifts = {node: shifts[node] for node in shifted if node in shifts}
        self._changed: set[Node] = set()
        for node in module.graph.nodes:
            if node in rounding or not self._changed.isdisjoint(node.all_input_nodes):
                self._changed.add(node)

    def outputs(self, values: Inputs, known: Mapping[Node, Any]) -> Any:
        """The graph's result, from the results of the float graph."""
        kept = {node: result for node, result in known.items() if node not in self._changed}
        for observer in self._observers:
            observer.stage = "int8"
        result = _Partial(self._module, self._shifts).run(*values, initial_env=kept)
        for observer in self._observers:
            observer.stage = "float"
        return result


class _Means(Interpreter):
    """Runs the float graph and follows what rounding would do to each channel's mean."""

    def __init__(self, module: GraphModule, found: Mapping[Node, Unit]) -> None:
        super().__init__(module)
        self._layers = found
        self._read = _read_by_layers(module)
        calls = module.graph.find_nodes(op="call_module")
        self._observers = {node: item for node in calls if (item := _observer(module, node)) is not None}
        # Per channel: the shift so far, and the number of values that it rests on.
        self._means: dict[Node, tuple[torch.Tensor, torch.Tensor | int]] = {}
        # How many dimensions a node's result has, and which one holds the channels.
        self._places: dict[Node, tuple[int, int]] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n in self._layers:
            unit = self._layers[n]
            (data, weight, *others), options = self.fetch_args_kwargs_from_env(n)
            function: Any = n.target
            if unit.layer is not None and unit.weights is not None:
                rounded = function(data, unit.weights.round(weight), *others, **options)
                self._add(n, result, rounded, unit.layer.channel_axis, unit.layer.clip)
        elif n in self._observers and n in self._read:
            observer = self._observers[n]
            observer.stage = "rounded"
            self._add(n, result, observer(result), 1 if result.dim() == 4 else -1, EVERYTHING)
            observer.stage = "float"
        return result

    def shifts(self) -> Shifts:
        """What to add to each node's result."""
        return {node: along(shift, *self._places[node]) for node, (shift, _) in self._means.items()}

    def _add(
        self, node: Node, want: torch.Tensor, got: torch.Tensor, axis: int, clip: tuple[float, float]
    ) -> None:
        """One step of stochastic approximation; a running mean where nothing is clipped."""
        self._places[node] = want.dim(), axis
        want, got = (by_channel(values, axis, _POSITIONS) for values in (want, got))
        low, high = clip
        shift, count = self._means.get(node, (got.new_zeros(len(got)), 0))
        moved = got + shift[:, None]
        error = (want.clamp(low, high) - moved.clamp(low, high)).sum(1)
        passed = ((want > low) & (want < high)) | ((moved > low) & (moved < high))
        count = count + passed.sum(1)
        self._means[node] = shift + error / count.clamp(min=1), count


def _read_by_layers(module: GraphModule) -> set[Node]:
    """Nodes that a layer depends on."""
    read: set[Node] = set()
    for node in reversed(module.graph.nodes):
        if str(node.target) in LAYERS or node in read:
            read.update(node.all_input_nodes)
    return read
