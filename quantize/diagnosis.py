"""Which layer costs what: signal to quantization noise, layer by layer."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node

from mobiledeploy.errors import InputError
from mobiledeploy.quantize.calibration import Inputs
from mobiledeploy.quantize.graph import along, layers, parameter
from mobiledeploy.quantize.isolation import (
    Shifts,
    Unit,
    isolated_noise,
    outputs_of,
    shifts_of_means,
    that_counts,
    units_of,
)
from mobiledeploy.quantize.noise import NoiseSums, decibel
from mobiledeploy.quantize.observers import ActivationObserver, set_stage
from mobiledeploy.quantize.pipeline import correct, quietly, rounded
from mobiledeploy.quantize.recipe import Recipe
from mobiledeploy.quantize.report import EqualisationChoice
from mobiledeploy.quantize.verdict import verdict

# Inputs that are measured: the figures differ by tenths of a dB beyond.
_MEASURED = 8
# Inputs for a channel's mean; a classifier has one value per channel and input.
_AVERAGED = 32


@dataclass(frozen=True, slots=True)
class LayerNoise:
    """What one layer (or other operation with a range of its own) costs, in dB: higher is better.

    Attributes:
        module: PyTorch module path; empty for the model's input and operations at the top.
        operation: ATen operation, ``input`` for the model's input.
        isolated: SQNR of the model's outputs with this layer alone in int8 (weights and result).
        weights_only: the same with its weights alone; infinite for operations without int8 weights.
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
        layers: one row each; a layer that stays float has none, unless its result is rounded.
        total: SQNR of the outputs of the int8 model, dB.
        verdict: one or two sentences: who makes the noise, of which kind it is, and what to do next.
        equalisation: what was chosen; None if the recipe left no choice.
    """

    layers: tuple[LayerNoise, ...]
    total: float
    verdict: str
    equalisation: EqualisationChoice | None = None


def diagnose(
    program: ExportedProgram, calibration: Iterable[Inputs], recipe: Recipe | None = None
) -> Diagnosis:
    """Quantize as ``quantize`` does without fine-tuning, and measure each layer on up to 8 of the inputs.

    SQNR is ``10 log10(sum(float^2) / sum((float - int8)^2))`` over all outputs.  Scores below an output of
    ranked scores' lowest code count as that code, in float too.

    The isolated figures are what the recipe's bias correction leaves over, made for the layer alone:
    empirical correction as the mean per channel that its rounded weights, or its rounded result, take
    on up to 32 inputs (see ``isolation.shifts_of_means``; the result's mean is given back by the layers
    that read it, here exactly, in the real one up to their padding), analytic correction as it is.

    Args:
        program, calibration, recipe: as for ``quantize``.

    Raises:
        InputError: as ``quantize`` does, and no calibration inputs whatever the recipe needs.
    """
    recipe = recipe or Recipe()
    simulation = rounded(program, calibration, recipe)
    module, sample = simulation.module, simulation.sample
    if not sample:
        raise InputError("there are no calibration inputs", where="calibration", hint="Give some")
    inputs = _spread(sample, _MEASURED)
    units = units_of(module)
    with quietly():
        corrected = copy.deepcopy(module)
        correct(corrected, sample, recipe)
        shifts = _shifts(module, corrected, units, _spread(sample, _AVERAGED), recipe)
        isolated = isolated_noise(module, units, inputs, shifts)
        set_stage(corrected, "int8")
        cumulative, total = _cumulative(module, corrected, inputs)
    rows = tuple(
        LayerNoise(
            unit.path,
            unit.operation,
            decibel(both),
            decibel(weights),
            decibel(result),
            decibel(cumulative[unit.end.name]),
        )
        for unit, (both, weights, result) in zip(units, isolated, strict=True)
    )
    said = verdict(rows, decibel(total), recipe)
    return Diagnosis(rows, decibel(total), said, simulation.report.equalisation)


def _spread(sample: list[Inputs], most: int) -> list[Inputs]:
    return sample[:: -(-len(sample) // most)]


def _shifts(
    module: GraphModule, corrected: GraphModule, units: Sequence[Unit], inputs: list[Inputs], recipe: Recipe
) -> Shifts:
    """What the recipe's bias correction adds for each unit alone."""
    if recipe.bias_correction == "empirical":
        return shifts_of_means(module, units, inputs)
    shifts = {}
    for layer in layers(module):
        change = parameter(corrected, layer.bias) - parameter(module, layer.bias)
        shifts[layer.node] = along(change, layer.node.meta["val"].dim(), layer.channel_axis)
    return shifts


def _cumulative(
    reference: GraphModule, module: GraphModule, inputs: list[Inputs]
) -> tuple[dict[str, float], float]:
    """Relative noise of every unit's result in the int8 model, by node name; and of the outputs."""
    ends = {unit.end.name: unit.result for unit in units_of(module)}
    sums, whole = {name: NoiseSums() for name in ends}, NoiseSums()
    for values in inputs:
        exact, rounded = _Results(reference, ends), _Results(module, ends)
        wanted, got = exact.run(*values), rounded.run(*values)
        for pair in zip(outputs_of(reference, wanted), outputs_of(module, got), strict=True):
            whole.add(*pair)
        for name, observer in ends.items():
            sums[name].add(that_counts(observer, exact.found[name]), _rounded(observer, rounded.found[name]))
    return {name: ratio.share for name, ratio in sums.items()}, whole.share


def _rounded(observer: ActivationObserver | None, values: torch.Tensor) -> torch.Tensor:
    rounded: torch.Tensor = values if observer is None else observer(values)
    return rounded


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
