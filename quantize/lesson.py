"""What fine-tuning learns from, and what it learns: the float model's outputs, or anything with a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.fx import GraphModule

from mobiledeploy.quantize.calibration import Inputs
from mobiledeploy.quantize.isolation import outputs_of

# Inputs of the program, and what a loss compares its outputs with.
Example = tuple[Inputs, Any]
Loss = Callable[[Any, Any], torch.Tensor]

# Every so many examples one is kept back.
KEPT_BACK = 5


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
    loss: Loss


def kept_apart(count: int, show: Callable[[Sequence[int]], Iterator[Example]], loss: Loss) -> Lesson:
    """A lesson on examples that are made anew each time: every fifth is kept back.

    Each epoch has its own order, the same in every call.

    Args:
        count: of examples; fewer than five are all learnt from, and judge, too.
        show: makes the examples at some places, one at a time.
        loss: see ``Lesson``.
    """
    places = range(count)
    learnt = [place for place in places if place % KEPT_BACK != KEPT_BACK - 1]

    def epoch(number: int) -> Epoch:
        order = torch.randperm(len(learnt), generator=torch.Generator().manual_seed(number)).tolist()
        return _Shown(show, [learnt[place] for place in order])

    return Lesson(epoch, _Shown(show, places[KEPT_BACK - 1 :: KEPT_BACK] or places), loss)


def like_float(reference: GraphModule, module: GraphModule, inputs: Sequence[Inputs]) -> Lesson:
    """To give the outputs of the float model: no labels are needed.

    The loss is the share of the outputs that is noise, ``sum((float - int8)^2) / sum(float^2)``, scores that
    an output of ranked scores leaves out not counted.

    Args:
        reference: the float graph.
        module: the graph that learns.
        inputs: see ``kept_apart``.
    """

    def show(places: Sequence[int]) -> Iterator[Example]:
        for place in places:
            values = inputs[place]
            with torch.no_grad():
                wanted = reference(*values)
            yield values, wanted

    def noise(outputs: Any, wanted: Any) -> torch.Tensor:
        pairs = zip(outputs_of(module, wanted), outputs_of(module, outputs), strict=True)
        sums = [torch.stack([(want**2).sum(), ((want - got) ** 2).sum()]) for want, got in pairs]
        signal, lost = torch.stack(sums).sum(0)
        share: torch.Tensor = lost / signal.clamp(min=torch.finfo(signal.dtype).tiny)
        return share

    return kept_apart(len(inputs), show, noise)


@dataclass(frozen=True)
class _Shown:
    """Examples at some places, made anew each time they are read."""

    show: Callable[[Sequence[int]], Iterator[Example]]
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Example]:
        return self.show(self.places)
