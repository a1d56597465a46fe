"""Which layer costs what: signal to quantization noise, layer by layer."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node
from torch.utils._pytree import tree_leaves

from mobiledeploy.quantize.bias_correction import correct_biases
from mobiledeploy.quantize.calibration import Inputs
from mobiledeploy.quantize.findings import watched_nodes
from mobiledeploy.quantize.graph import CLIPS, module_path
from mobiledeploy.quantize.observers import (
    ActivationObserver,
    PerChannelWeightObserver,
    quantized_layers,
    set_stage,
)
from mobiledeploy.quantize.pipeline import quietly, simulate
from mobiledeploy.quantize.recipe import Recipe

# Inputs that are measured: the figures differ by tenths of a dB beyond.
_MEASURED = 8
_NAMED = 3


@dataclass(frozen=True, slots=True)
class LayerNoise:
    """What one layer (or other operation with a range of its own) costs, in dB: higher is better.

    Attributes:
        module: PyTorch module path; empty for the model's input and operations at the top.
        operation: ATen operation, ``input`` for the model's input.
        isolated: SQNR of the model's outputs with this layer alone in int8 (weights and result).
        weights_only: the same with its weights alone; infinite for operations without weights.
        activations_only: the same with its result alone; infinite if that stays float.
        cumulative: SQNR of this layer's result, in int8 with everything before it.
    """

    module: str
    operation: str
    isolated: float
    weights_only: float
    activations_only: float
    cumulative: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Every layer in graph order, and the whole.

    Attributes:
        layers: one row each.
        total: SQNR of the outputs of the int8 model, dB.
        verdict: one or two sentences: who makes most of the noise, and of which kind it is.
    """

    layers: tuple[LayerNoise, ...]
    total: float
    verdict: str


def diagnose(
    program: ExportedProgram, calibration: Iterable[Inputs], recipe: Recipe | None = None
) -> Diagnosis:
    """Quantize as ``quantize`` does and measure each layer on up to 8 of the calibration inputs.

    SQNR is ``10 log10(sum(float^2) / sum((float - int8)^2))``.  The isolated figures leave out bias
    correction, which is made for all layers together.

    Args:
        program, calibration, recipe: as for ``quantize``.

    Raises:
        InputError: as ``quantize`` does.
    """
    recipe = recipe or Recipe()
    simulation = simulate(program, calibration, replace(recipe, bias_correction="none"))
    module, inputs = simulation.module, simulation.sample[:: -(-len(simulation.sample) // _MEASURED)]
    units = tuple(_units(module))
    with quietly():
        set_stage(module, "float")
        reference = copy.deepcopy(module)
        wanted = _outputs(module, inputs)
        isolated = [_isolated(module, unit, inputs, wanted) for unit in units]
        if recipe.bias_correction == "empirical":
            correct_biases(module, simulation.sample)
        set_stage(module, "int8")
        cumulative = _cumulative(reference, module, units, inputs)
        total = _decibel(_noise(wanted, _outputs(module, inputs)))
    rows = tuple(
        LayerNoise(
            unit.path,
            unit.operation,
            _decibel(both),
            _decibel(weights),
            _decibel(result),
            _decibel(cumulative[unit.end.name]),
        )
        for unit, (both, weights, result) in zip(units, isolated, strict=True)
    )
    return Diagnosis(rows, total, _verdict(rows, total))


@dataclass(frozen=True, slots=True)
class _Unit:
    """Something with a result of its own: ``end`` makes it, clip included."""

    end: Node
    operation: str
    path: str
    weights: PerChannelWeightObserver | None
    result: ActivationObserver | None


def _units(module: GraphModule) -> Iterator[_Unit]:
    results = dict(watched_nodes(module))
    layers = {}
    for layer, weights in quantized_layers(module):
        reader = next(iter(layer.node.users))
        end = reader if len(layer.node.users) == 1 and str(reader.target) in CLIPS else layer.node
        layers[end] = _Unit(end, str(layer.node.target), layer.path, weights, results.get(end))
    for node in module.graph.nodes:
        if node in layers:
            yield layers[node]
        elif node in results:
            operation = "input" if node.op == "placeholder" else str(node.target)
            yield _Unit(node, operation, module_path(node), None, results[node])


def _isolated(
    module: GraphModule, unit: _Unit, inputs: list[Inputs], wanted: list[torch.Tensor]
) -> tuple[float, float, float]:
    """Relative noise of the outputs with the unit, its weights, its result in int8."""
    observers = (unit.weights, unit.result)
    noise = []
    for chosen in (observers, observers[:1], observers[1:]):
        set_stage(module, "float")
        for observer in chosen:
            if observer is not None:
                observer.stage = "int8"
        noise.append(_noise(wanted, _outputs(module, inputs)) if any(chosen) else 0.0)
    return noise[0], noise[1], noise[2]


def _outputs(module: GraphModule, inputs: list[Inputs]) -> list[torch.Tensor]:
    return [leaf for values in inputs for leaf in tree_leaves(module(*values))]


def _cumulative(
    reference: GraphModule, module: GraphModule, units: tuple[_Unit, ...], inputs: list[Inputs]
) -> dict[str, float]:
    """Relative noise of every unit's result in the int8 model, by node name."""
    ends = {unit.end.name: unit.result for unit in units}
    sums = dict.fromkeys(ends, (0.0, 0.0))
    for values in inputs:
        exact, rounded = _Results(reference, ends), _Results(module, ends)
        exact.run(*values)
        rounded.run(*values)
        for name, observer in ends.items():
            want, got = exact.found[name], rounded.found[name]
            got = got if observer is None else observer(got)
            signal, noise = sums[name]
            sums[name] = signal + float((want**2).sum()), noise + float(((want - got) ** 2).sum())
    return {name: noise / signal if signal else 0.0 for name, (signal, noise) in sums.items()}


class _Results(Interpreter):
    """Runs a graph and keeps the results of the named nodes."""

    def __init__(self, module: GraphModule, names: Iterable[str]) -> None:
        super().__init__(module)
        self.names = frozenset(names)
        self.found: dict[str, torch.Tensor] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n.name in self.names:
            self.found[n.name] = result
        return result


def _noise(wanted: list[torch.Tensor], got: list[torch.Tensor]) -> float:
    signal = sum(float((want**2).sum()) for want in wanted)
    noise = sum(float(((want - result) ** 2).sum()) for want, result in zip(wanted, got, strict=True))
    return noise / signal if signal else 0.0


def _decibel(relative_noise: float) -> float:
    return -10 * math.log10(relative_noise) if relative_noise else math.inf


def _verdict(rows: tuple[LayerNoise, ...], total: float) -> str:
    def noise(decibel: float) -> float:
        return 10 ** (-decibel / 10)

    whole = sum(noise(row.isolated) for row in rows)
    if not whole:
        return "int8 changes nothing"
    worst = sorted(rows, key=lambda row: row.isolated)[:_NAMED]
    named = ", ".join(
        f"{row.module or row.operation} {100 * noise(row.isolated) / whole:.0f}%" for row in worst
    )
    weights, results = (
        sum(noise(getattr(row, kind)) for row in rows) for kind in ("weights_only", "activations_only")
    )
    source = "weights" if weights > results else "activations"
    share = 100 * max(weights, results) / (weights + results)
    return f"{total:.1f} dB in all; most of the noise comes from {named}; {share:.0f}% of it from {source}"
