"""Quantization-aware fine-tuning: weights and biases learn while the graph rounds as the int8 model does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import torch
from torch.fx import GraphModule

from mobiledeploy.errors import InputError
from mobiledeploy.quantize.learnt_tensors import Bias, Codes
from mobiledeploy.quantize.lesson import Epoch, Example, Lesson, Loss
from mobiledeploy.quantize.observers import quantized_layers, set_stage
from mobiledeploy.quantize.recipe import Recipe
from mobiledeploy.quantize.report import FineTuning

# Called with the steps done and all steps.
Progress = Callable[[int, int], None]

_BETAS = (0.9, 0.99)


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


class _Learner:
    """What learns in a graph, and the optimiser that moves it."""

    def __init__(self, module: GraphModule, loss: Loss, recipe: Recipe) -> None:
        self.steps = 0
        self._module, self._loss, self._recipe = module, loss, recipe
        self._tensors: list[Codes | Bias] = []
        module.requires_grad_(False)
        for layer, weights in quantized_layers(module):
            self._tensors += [Codes(module, layer, weights), Bias(module, layer, weights)]
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


def _no_examples(which: str) -> InputError:
    return InputError(f"there are no examples {which}", where="fine-tuning", hint="Give some")
