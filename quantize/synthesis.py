"""Calibration inputs made from batch norm statistics alone, for models whose data is not at hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node
from torch.nn import functional

from mobiledeploy.errors import InputError
from mobiledeploy.quantize.calibration import Inputs, not_finite
from mobiledeploy.quantize.graph import tidy
from mobiledeploy.source import OUTPUT_MOMENTS

SEED = 20170417
# Four batches of eight: two leave MobileNetV2 with half a point less, more steps gain nothing.
_BATCHES, _BATCH, _STEPS = 4, 8, 30
_RATE = 0.15
# How far a class's score counts beside the statistics.
_CLASS_WEIGHT = 0.1
# A statistic of a channel of almost no variance counts no more than this share of the layer's mean.
_LEAST_VARIANCE = 0.01
# One channel that no image can satisfy must not pull at all others.
_MOST = 25.0

Limits = tuple[torch.Tensor, torch.Tensor]
Progress = Callable[[int, int], None]


def synthesise(
    program: ExportedProgram, limits: Limits, *, classes: int = 0, progress: Progress | None = None
) -> list[Inputs]:
    """Inputs on which every layer's output has the mean and deviation that its batch norm knows.

    Smooth noise is moved by gradient descent until, over each batch of inputs, mean and deviation of
    every channel are those of the training data.  A classifier's inputs are drawn towards a random class
    each, too, so that scores become as high as those of photographs.  There are 32 of them, each with its
    mirror image.

    Source: Cai et al., ZeroQ, arXiv 2001.00281, section 3.1; the class term: Yin et al., Dreaming to
    Distill, arXiv 1912.08795, section 3.2.

    Args:
        program: float32 with one image input (NCHW, batch 1), batch norm folded.
        limits: lowest and highest value of the input per channel, (channels,) each.
        classes: how many classes the first output scores; 0 if it does not score classes.
        progress: called as ``progress(steps done, steps in all)``.

    Raises:
        InputError: the program has no batch norm statistics, or makes NaN or infinite activations.
    """
    module = program.module(check_guards=False)
    tidy(module)
    watched = tuple(node for node in module.graph.nodes if OUTPUT_MOMENTS in node.meta)
    if not watched:
        raise InputError(
            "the model has no batch norm statistics to calibrate from",
            where="calibration",
            hint="Calibrate on images",
        )
    for value in module.parameters():
        value.requires_grad_(False)
    shape = tuple(program.example_inputs[0][0].shape)
    low, high = (limit.reshape(1, -1, 1, 1) for limit in limits)
    generator = torch.Generator().manual_seed(SEED)
    result: list[Inputs] = []
    for batch in range(_BATCHES):
        done = batch * _STEPS
        images = low + (high - low) * _smooth_noise(shape, generator)
        wanted = torch.randint(classes, (_BATCH,), generator=generator) if classes else None
        descent = _Descent(module, watched, images, (low, high), wanted)
        for step in range(_STEPS):
            descent.step(step / _STEPS)
            if progress:
                progress(done + step + 1, _BATCHES * _STEPS)
        result += [(image.clone(),) for image in torch.split(descent.images.detach(), 1)]
    return result + [(image.flip(-1),) for (image,) in result]


def _smooth_noise(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """(batch, channels, height, width) in 0..1 with a photograph's spectrum: the coarser, the stronger."""
    noise = torch.zeros(_BATCH, *shape[1:])
    size = 4
    while size < 2 * max(shape[2:]):
        coarse = torch.randn(_BATCH, shape[1], size, size, generator=generator)
        noise += functional.interpolate(coarse, size=shape[2:], mode="bilinear") / math.sqrt(size)
        size *= 2
    return (noise / noise.std() * 0.25 + 0.45).clamp(0, 1)


class _Descent:
    """One batch of inputs on its way to the wanted statistics."""

    def __init__(
        self,
        module: GraphModule,
        watched: tuple[Node, ...],
        images: torch.Tensor,
        limits: Limits,
        wanted: torch.Tensor | None,
    ) -> None:
        self.images = images.requires_grad_(True)
        self._module, self._watched = module, watched
        self._limits, self._wanted = limits, wanted
        self._optimiser = torch.optim.Adam([self.images], betas=(0.5, 0.9))

    def step(self, progress: float) -> None:
        """Move the inputs once; ``progress`` is the share of steps done.

        Raises:
            InputError: NaN or infinite activations (names the layer).
        """
        for group in self._optimiser.param_groups:
            group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * progress))
        with torch.enable_grad():
            self._optimiser.zero_grad()
            loss = self._loss()
            if not torch.isfinite(loss):
                raise not_finite(self._module, (self.images[:1].detach(),), 0)
            loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        with torch.no_grad():
            self.images.clamp_(*self._limits)

    def _loss(self) -> torch.Tensor:
        # One input at a time as far as the graph is concerned, whose shapes are fixed.
        scores, sums = torch.vmap(self._run)(self.images.unsqueeze(1))
        distances = [
            _distance(each.mean(0), squares.mean(0), *node.meta[OUTPUT_MOMENTS])
            for node, (each, squares) in zip(self._watched, sums, strict=True)
        ]
        loss = torch.stack(distances).mean()
        if self._wanted is not None:
            loss = loss + _CLASS_WEIGHT * functional.cross_entropy(scores.flatten(1), self._wanted)
        return loss

    def _run(self, image: torch.Tensor) -> tuple[torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
        runner = _Sums(self._module, self._watched)
        return runner.first_output(image), [runner.sums[node] for node in self._watched]


class _Sums(Interpreter):
    """Runs a graph and keeps the mean and mean square of each watched layer's channels."""

    def __init__(self, module: GraphModule, watched: tuple[Node, ...]) -> None:
        super().__init__(module)
        self._watched = frozenset(watched)
        self.sums: dict[Node, tuple[torch.Tensor, torch.Tensor]] = {}

    def first_output(self, image: torch.Tensor) -> torch.Tensor:
        """The first of the graph's outputs."""
        result: Any = self.run(image)
        first: torch.Tensor = torch.utils._pytree.tree_leaves(result)[0]
        return first

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n in self._watched:
            axes = [0, *range(2, result.dim())]
            self.sums[n] = (result.mean(axes), (result * result).mean(axes))
        return result


def _distance(
    mean: torch.Tensor, square: torch.Tensor, wanted_mean: torch.Tensor, wanted_deviation: torch.Tensor
) -> torch.Tensor:
    """Of a layer's statistics from its batch norm's, in deviations, averaged over channels."""
    deviation = (square - mean * mean).clamp(min=1e-8).sqrt()
    variance = wanted_deviation**2
    weight = 1 / (variance + _LEAST_VARIANCE * variance.mean() + 1e-12)
    off = ((mean - wanted_mean) ** 2 + (deviation - wanted_deviation) ** 2) * weight
    return off.clamp(max=_MOST).mean()
