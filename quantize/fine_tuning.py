"""Quantization-aware fine-tuning: weights and biases learn while the graph rounds as the int8 model does."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch
from torch.fx import GraphModule

from mobiledeploy.errors import InputError
from mobiledeploy.quantize.calibration import Inputs
from mobiledeploy.quantize.graph import Layer, along, parameter, set_parameter
from mobiledeploy.quantize.isolation import outputs_of
from mobiledeploy.quantize.observers import (
    WEIGHT_LIMIT,
    ActivationObserver,
    PerChannelWeightObserver,
    quantized_layers,
    set_stage,
)
from mobiledeploy.quantize.recipe import Recipe
from mobiledeploy.quantize.report import FineTuning

# Inputs of the program, and what a loss compares its outputs with.
Example = tuple[Inputs, Any]
# Called with the steps done and all steps.
Progress = Callable[[int, int], None]

SEED = 0
# Every so many calibration inputs one is kept back.
_KEPT_BACK = 5
# What a bias is the weight of: an input that is always at this share of its largest code.
_BIAS_INPUT = 1 / 8
_BETAS = (0.9, 0.99)


class Epoch(Protocol):
    """Examples in the order in which they are learnt from; a ``torch.utils.data.DataLoader`` is one."""

    def __len__(self) -> int:
        """How many there are."""

    def __iter__(self) -> Iterator[Example]:
        """One at a time."""


@dataclass(frozen=True)
class Lesson:
    """What a program learns.

    Attributes:
        epoch: (number from 0) -> the examples of that epoch.
        kept_back: examples that it does not learn from; they are read before the first epoch and after
            each one, and the state with the least mean loss on them is the result.
        loss: (outputs, truth) -> a scalar, the less the better; outputs as the program gives them.
    """

    epoch: Callable[[int], Epoch]
    kept_back: Iterable[Example]
    loss: Callable[[Any, Any], torch.Tensor]


def fine_tune(
    module: GraphModule, lesson: Lesson, recipe: Recipe, progress: Progress | None = None
) -> FineTuning:
    """Change weights' codes and biases so that the int8 model's loss falls.

    Before: codes and biases as the other steps have chosen them.  After: those of the epoch with the least
    loss on the examples kept back; they stay as they were if no epoch is better.

    The graph computes as the int8 model does.  Gradients pass roundings as if they were not there, and stop
    where an activation is clipped; scales and folded batch norms stay.  Each weight has a real number of
    codes that learns, and counts as the nearest code.  All learn at one rate in steps: of the weight's
    codes, and for a bias as if it were the weight of an input that does not change.  Adam, the rate falls
    along a half cosine; one example at a time goes through the graph, whose shapes may be fixed.

    Source: Jacob et al., arXiv 1712.05877, section 3; Esser et al., arXiv 1902.08153, for the real numbers
    in steps of codes.

    Args:
        module: prepared, calibrated and frozen; it is left in stage ``int8``.
        lesson: what to learn.
        recipe: ``fine_tuning`` epochs, ``learning_rate`` and ``batch`` count.
        progress: called after each step.

    Raises:
        InputError: the loss is no number (names the step), or there are no examples.
    """
    set_stage(module, "int8")
    learner = _Learner(module, lesson.loss, recipe)
    before, count = learner.loss_on(lesson.kept_back)
    if not count:
        raise _no_examples("kept back")
    least, taken, best = before, 0, learner.state()
    for number in range(recipe.fine_tuning):
        epoch = lesson.epoch(number)
        if not len(epoch):
            raise _no_examples("to learn from")
        learner.learn(epoch, recipe.fine_tuning - number, progress)
        after, _ = learner.loss_on(lesson.kept_back)
        if after < least:
            least, taken, best = after, learner.steps, learner.state()
    learner.restore(best)
    return FineTuning(learner.steps, taken, count, before, least)


def like_float(reference: GraphModule, module: GraphModule, inputs: Sequence[Inputs]) -> Lesson:
    """To give the outputs of the float model: no labels are needed.

    The loss is the share of the outputs that is noise, ``sum((float - int8)^2) / sum(float^2)``, scores that
    an output of ranked scores leaves out not counted.

    Args:
        reference: the float graph.
        module: the graph that learns.
        inputs: every fifth is kept back; of fewer than five, none.
    """
    places = range(len(inputs))
    learnt = [place for place in places if place % _KEPT_BACK != _KEPT_BACK - 1]
    generator = torch.Generator().manual_seed(SEED)

    def epoch(_: int) -> Epoch:
        order = torch.randperm(len(learnt), generator=generator).tolist()
        return _Shown(reference, inputs, [learnt[place] for place in order])

    def noise(outputs: Any, wanted: Any) -> torch.Tensor:
        pairs = zip(outputs_of(module, wanted), outputs_of(module, outputs), strict=True)
        sums = [torch.stack([(want**2).sum(), ((want - got) ** 2).sum()]) for want, got in pairs]
        signal, lost = torch.stack(sums).sum(0)
        share: torch.Tensor = lost / signal.clamp(min=torch.finfo(signal.dtype).tiny)
        return share

    return Lesson(epoch, _Shown(reference, inputs, places[_KEPT_BACK - 1 :: _KEPT_BACK] or places), noise)


@dataclass(frozen=True)
class _Shown:
    """Inputs with what the float model makes of them, one at a time each time they are read."""

    reference: GraphModule
    inputs: Sequence[Inputs]
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Example]:
        for place in self.places:
            values = self.inputs[place]
            with torch.no_grad():
                wanted = self.reference(*values)
            yield values, wanted


class _Learner:
    """What learns in a graph, and the optimiser that moves it."""

    def __init__(self, module: GraphModule, loss: Callable[[Any, Any], torch.Tensor], recipe: Recipe) -> None:
        self.steps = 0
        self._module, self._loss, self._recipe = module, loss, recipe
        self._tensors: list[_Codes | _Bias] = []
        module.requires_grad_(False)
        for layer, weights in quantized_layers(module):
            self._tensors += [_Codes(module, layer, weights), _Bias(module, layer, weights)]
        self._optimiser = torch.optim.Adam([item.learnt for item in self._tensors], betas=_BETAS)

    def learn(self, epoch: Epoch, epochs_left: int, progress: Progress | None) -> None:
        """One epoch."""
        stream, batch = iter(epoch), self._recipe.batch
        last = self.steps + epochs_left * math.ceil(len(epoch) / batch)
        while examples := list(islice(stream, batch)):
            for group in self._optimiser.param_groups:
                group["lr"] = self._recipe.learning_rate * (1 + math.cos(math.pi * self.steps / last)) / 2
            self._step(examples)
            if progress:
                progress(self.steps, last)

    def _step(self, examples: Sequence[Example]) -> None:
        self.steps += 1
        for item in self._tensors:
            item.use()
        for inputs, truth in examples:
            with torch.enable_grad():
                loss = self._loss(self._module(*inputs), truth) / len(examples)
                self._check(float(loss.detach()))
                loss.backward()  # type: ignore[no-untyped-call]
        for item in self._tensors:
            gradient = item.used.grad
            item.learnt.grad = None if gradient is None else gradient * item.unit
        self._optimiser.step()
        for item in self._tensors:
            item.learnt.clamp_(-item.limit, item.limit)

    def loss_on(self, examples: Iterable[Example]) -> tuple[float, int]:
        """Mean loss, and how many examples there are."""
        for item in self._tensors:
            item.use()
        total, count = 0.0, 0
        with torch.no_grad():
            for inputs, truth in examples:
                total += float(self._loss(self._module(*inputs), truth))
                count += 1
        self._check(total)
        return total / max(count, 1), count

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise InputError(
                f"fine-tuning diverged: the loss is {loss} at step {self.steps}",
                where="recipe",
                hint="Lower its learning_rate",
            )

    def state(self) -> list[torch.Tensor]:
        """What the graph uses now."""
        return [item.used.detach() for item in self._tensors]

    def restore(self, state: Sequence[torch.Tensor]) -> None:
        """Let the graph use it again."""
        for item, value in zip(self._tensors, state, strict=True):
            item.put(value)


class _Codes:
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


class _Bias:
    """The bias of a layer: what is added to it, in units of the layer's weights.

    Attributes: as of ``_Codes``.
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


def _no_examples(which: str) -> InputError:
    return InputError(f"there are no examples {which}", where="fine-tuning", hint="Give some")
