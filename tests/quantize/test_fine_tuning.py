"""Weights and biases learn in the int8 simulation, and only what proves itself on other inputs is kept."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, overload

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

from mobiledeploy.errors import InputError
from mobiledeploy.quantize import Lesson, Quantized, Recipe, quantize
from mobiledeploy.quantize.calibration import KEPT
from mobiledeploy.quantize.straight_through import straight_through

Inputs = tuple[torch.Tensor, ...]
Export = Callable[..., ExportedProgram]
COARSE: dict[str, Any] = {
    "weights": "per-tensor",
    "ranges": "minmax",
    "rounding": "nearest",
    "equalisation": "off",
    "bias_correction": "none",
    "float_output": True,
}
PLAIN = Recipe(**COARSE)
TUNED = Recipe(**COARSE, fine_tuning=3, learning_rate=0.1, batch=4)


def noise(quantized: Quantized, module: nn.Module, images: Sequence[Inputs]) -> float:
    """Share of the outputs that is noise."""
    graph = quantized.program.module()
    with torch.no_grad():
        pairs = [(module(*x), graph(*x)) for x in images]
    return sum(float(((a - b) ** 2).sum()) for a, b in pairs) / sum(float((a**2).sum()) for a, _ in pairs)


def state(quantized: Quantized) -> dict[str, torch.Tensor]:
    return {**quantized.program.state_dict, **quantized.program.constants}


def same(one: Quantized, other: Quantized) -> bool:
    ours, theirs = state(one), state(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_gradients_pass_roundings_and_stop_at_clips() -> None:
    x = torch.tensor([-2.0, -0.61, 0.0, 0.26, 1.26, 9.0], requires_grad=True)
    rounded = straight_through(x, 0.5, -1, -3, 2)
    assert rounded.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.5, 1.5]
    (rounded * torch.arange(1.0, 7.0)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 5.0, 0.0]


def test_the_outputs_come_closer_to_the_float_ones_on_new_inputs(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    program = to_program(small)
    generator = torch.Generator().manual_seed(3)
    others = [(torch.randn(1, 3, 16, 16, generator=generator),) for _ in range(12)]
    plain, tuned = quantize(program, images, PLAIN), quantize(program, images, TUNED)
    assert noise(tuned, small, others) < 0.6 * noise(plain, small, others)
    done = tuned.report.fine_tuning
    assert done is not None
    # 20 of 24 inputs in batches of 4, three times.
    assert (done.steps, done.kept_back) == (15, 4)
    assert done.taken in {5, 10, 15}
    assert done.after < done.before
    assert f"step {done.taken} of 15" in tuned.report.choices
    assert plain.report.fine_tuning is None
    moved = [
        name
        for name, value in state(tuned).items()
        if value.dtype == torch.int8 and not torch.equal(value, state(plain)[name])
    ]
    assert moved


def test_equal_inputs_give_equal_programs(small: nn.Module, images: list[Inputs], to_program: Export) -> None:
    program = to_program(small)
    first, second = quantize(program, images, TUNED), quantize(program, images, TUNED)
    assert same(first, second)
    assert first.report == second.report
    assert not same(first, quantize(program, images, PLAIN))


class Examples:
    """The same in each epoch."""

    def __init__(self, examples: list[tuple[Inputs, Any]]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[tuple[Inputs, Any]]:
        return iter(self.examples)


def square(outputs: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return ((outputs - truth) ** 2).mean()


def test_what_is_worse_on_inputs_kept_back_is_dropped(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    """The examples teach nonsense; the ones kept back know better."""
    with torch.no_grad():
        wrong = Examples([(x, small(*x) + 10) for x in images])
        right = [(x, small(*x)) for x in images[:4]]
    program = to_program(small)
    taught = quantize(program, images, TUNED, lesson=Lesson(lambda _: wrong, right, square))
    assert same(taught, quantize(program, images, PLAIN))
    done = taught.report.fine_tuning
    assert done is not None
    assert (done.taken, done.steps) == (0, 18)
    assert done.after == done.before
    assert "none of 18 steps" in str(done)


def test_labels_can_be_learnt(small: nn.Module, images: list[Inputs], to_program: Export) -> None:
    """All images get one class."""
    labelled = [(x, torch.tensor([3])) for x in images]
    asked: list[int] = []
    shown: list[tuple[int, int]] = []

    def epoch(number: int) -> Examples:
        asked.append(number)
        return Examples(labelled[:20])

    tuned = quantize(
        to_program(small),
        images,
        replace(TUNED, learning_rate=0.3),
        lesson=Lesson(epoch, labelled[20:], nn.functional.cross_entropy),
        progress=lambda done, total: shown.append((done, total)),
    )
    assert asked == [0, 1, 2]
    assert shown == [(step, 15) for step in range(1, 16)]
    done = tuned.report.fine_tuning
    assert done is not None
    assert done.after < 0.7 * done.before
    graph = tuned.program.module()
    loss = sum(float(nn.functional.cross_entropy(graph(*x), truth)) for x, truth in labelled[20:]) / 4
    # Biases are rounded when the program is made.
    assert loss == pytest.approx(done.after, rel=1e-2)


def test_exempt_layers_do_not_learn(small: nn.Module, images: list[Inputs], to_program: Export) -> None:
    program = to_program(small)
    tuned = quantize(program, images, Recipe(**COARSE, fine_tuning=2, exempt=("classifier",)))
    kept = [value for value in state(tuned).values() if value.shape == (5, 8)]
    assert len(kept) == 1
    assert torch.equal(kept[0], small.classifier.weight.detach())


@pytest.mark.parametrize("activations", ["int16", "float"])
def test_other_arithmetics(
    activations: Any, small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    program = to_program(small)
    fields = {**COARSE, "activations": activations}
    plain = quantize(program, images, Recipe(**fields))
    tuned = quantize(program, images, Recipe(**fields, fine_tuning=3, learning_rate=0.03))
    assert noise(tuned, small, images) < noise(plain, small, images)


def test_ranked_scores_below_the_lowest_code_do_not_count(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    """An output that is all below 0 is all at the lowest code, and right."""
    small.classifier.bias.data[:4] -= 100
    ranked = Recipe(**{**COARSE, "float_output": False}, ranked_output=True, fine_tuning=1)
    done = quantize(to_program(small), images, ranked).report.fine_tuning
    assert done is not None
    assert done.before < 0.01


@pytest.mark.parametrize(("calls", "step"), [(4, 0), (4 + 3, 1), (4 + 20, 5), (4 + 20 + 1, 5)])
def test_a_loss_that_is_no_number_names_the_step(
    calls: int, step: int, small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    """4 examples are measured, 20 are learnt from in batches of 4, 4 are measured again."""
    seen = 0

    def loss(outputs: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += 1
        return square(outputs, truth) * (math.nan if seen == calls else 1)

    with torch.no_grad():
        examples = [(x, small(*x)) for x in images]
    lesson = Lesson(lambda _: Examples(examples[:20]), examples[20:], loss)
    with pytest.raises(InputError, match=f"diverged: the loss is nan at step {step}") as caught:
        quantize(to_program(small), images, TUNED, lesson=lesson)
    assert "learning_rate" in str(caught.value)


def test_what_cannot_be_learnt_from_is_refused(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    program = to_program(small)
    with pytest.raises(InputError, match="reads inputs again"):
        quantize(program, iter(images), TUNED)
    with torch.no_grad():
        examples = [(x, small(*x)) for x in images]
    lesson = Lesson(lambda _: Examples(examples), examples, square)
    with pytest.raises(InputError, match="no epoch"):
        quantize(program, images, PLAIN, lesson=lesson)
    with pytest.raises(InputError, match="no examples kept back"):
        quantize(program, images, TUNED, lesson=Lesson(lambda _: Examples(examples), [], square))
    with pytest.raises(InputError, match="no examples to learn from"):
        quantize(program, images, TUNED, lesson=Lesson(lambda _: Examples([]), examples, square))


class Made(Sequence[Inputs]):
    """Inputs that are made when they are read; knows how many are there at once."""

    def __init__(self, count: int) -> None:
        self.count, self.most = count, 0
        self._alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()

    def __len__(self) -> int:
        return self.count

    @overload
    def __getitem__(self, place: int) -> Inputs: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Inputs]: ...

    def __getitem__(self, place: int | slice) -> Inputs | Sequence[Inputs]:
        if isinstance(place, slice):
            raise NotImplementedError
        if place >= self.count:
            raise IndexError
        made = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(place))
        self._alive.add(made)
        self.most = max(self.most, len(self._alive))
        return (made,)


def test_memory_does_not_grow_with_the_inputs(to_program: Export) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    inputs = Made(4 * KEPT)
    recipe = Recipe(**COARSE, fine_tuning=1, batch=4)
    done = quantize(to_program(net, torch.zeros(1, 3, 4, 4)), inputs, recipe).report.fine_tuning
    assert done is not None
    assert (done.kept_back, done.steps) == (102, 103)
    # The first and an even spread are kept for calibration; then there is a batch, and the next one.
    assert inputs.most <= 2 * KEPT + 4 + 1
