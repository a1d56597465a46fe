"""What the zoo knows about a model.  Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mobiledeploy.contract import Anchors, Preprocessing, Task
from mobiledeploy.models.labels import imagenet_labels
from mobiledeploy.models.weights import WeightsFile

if TYPE_CHECKING:
    import torch
    from torch import nn

    Build = Callable[[float, int], nn.Module]


def rows_of_the_last_matrix(state: Mapping[str, torch.Tensor]) -> int | None:
    """Outputs of a head that is one matrix."""
    rows = [value.shape[0] for value in state.values() if value.ndim == 2]
    return rows[-1] if rows else None


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """A model known by name.

    Attributes:
        name: what a user types.
        description: one line.
        build: (width multiplier, number of outputs) -> module.
        preprocessing: what its published weights expect, at the resolution they were trained at.
        weights: its published ImageNet weights, None where the maker has none for PyTorch.
        top1: published ImageNet-1k top-1 of ``weights`` (of the paper where there are none), percent; None
            for another data set.
        source: where ``top1`` or the model is published.
        task: what its outputs are for.
        outputs: how many there are, where no weights say otherwise.
        labels: gives the outputs' names; none where they depend on the data.
        anchors: of a detector, at a resolution.
        count: number of outputs in a state dict, None if it does not tell.
    """

    name: str
    description: str
    build: Build
    preprocessing: Preprocessing
    weights: WeightsFile | None
    top1: float | None
    source: str
    task: Task = "image-classification"
    outputs: int = 1000
    labels: Callable[[], tuple[str, ...]] = imagenet_labels
    anchors: Callable[[int], Anchors | None] = lambda _: None
    count: Callable[[Mapping[str, torch.Tensor]], int | None] = rows_of_the_last_matrix

    def preprocessing_at(self, resolution: int) -> Preprocessing:
        """Its preprocessing for another input size."""
        return at_resolution(self.preprocessing, resolution)


def at_resolution(rule: Preprocessing, resolution: int) -> Preprocessing:
    """The same preprocessing for another input size: the resize keeps its ratio to the crop."""
    resize_to = round(resolution * rule.resize_to / rule.height)
    return replace(rule, height=resolution, width=resolution, resize_to=resize_to)


def no_labels() -> tuple[str, ...]:
    """The outputs' names are not known before the data is."""
    return ()
