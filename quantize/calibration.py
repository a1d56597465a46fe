"""Calibration inputs streamed through a prepared graph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from mobiledeploy.errors import InputError
from mobiledeploy.quantize.graph import module_path
from mobiledeploy.quantize.observers import set_stage

Inputs = tuple[torch.Tensor, ...]

# Inputs that later steps see again: enough for means per channel, few enough for any memory.
KEPT = 128


@dataclass
class Watched:
    """What a stream of calibration inputs leaves behind; memory does not grow with it.

    Attributes:
        count: how many there were.
        sample: at most 128 of them, evenly spread over the stream.
        constant: numbers of those whose values are all the same (the first 128 of them).
    """

    count: int = 0
    sample: list[Inputs] = field(default_factory=list)
    constant: list[int] = field(default_factory=list)
    _step: int = 1

    def add(self, inputs: Inputs) -> None:
        """Take note of the next inputs."""
        if self.count % self._step == 0:
            self.sample.append(inputs)
        if len(self.sample) > KEPT:
            self.sample = self.sample[::2]
            self._step *= 2
        if len(self.constant) < KEPT and all(tensor.min() == tensor.max() for tensor in inputs):
            self.constant.append(self.count)
        self.count += 1


def watch(module: GraphModule, calibration: Iterable[Inputs]) -> Watched:
    """Run the inputs through the graph, so that its observers see every tensor.

    Raises:
        InputError: an activation with NaN or an infinity (names the layer).
    """
    set_stage(module, "watch")
    watched = Watched()
    with torch.no_grad():
        for inputs in calibration:
            try:
                module(*inputs)
            except FloatingPointError as error:
                raise not_finite(module, inputs, watched.count) from error
            watched.add(inputs)
    return watched


def not_finite(module: GraphModule, inputs: Inputs, index: int) -> InputError:
    """The error that names the first layer whose result on the inputs is not finite."""
    finder = _FirstNotFinite(module)
    set_stage(module, "float")
    finder.run(*inputs)
    return InputError(
        f"calibration input {index} makes NaN or infinite values",
        where=finder.found,
        hint="Check the weights of this layer and the preprocessing of the images",
    )


class _FirstNotFinite(Interpreter):
    """Runs a graph and finds the first layer whose result is not finite."""

    found = ""

    def run_node(self, n: Node) -> Any:
        result: Any = super().run_node(n)
        is_activation = n.op in {"placeholder", "call_function"} and isinstance(result, torch.Tensor)
        if is_activation and not self.found and not torch.isfinite(result).all():
            self.found = "the model's input" if n.op == "placeholder" else module_path(n) or n.name
        return result
