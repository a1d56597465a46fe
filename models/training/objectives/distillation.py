"""A student learns what a teacher says of images that nobody labelled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from mobiledeploy.contract import Task
from mobiledeploy.errors import UnsupportedError
from mobiledeploy.models.training.objectives.classes import first_right
from mobiledeploy.models.training.objectives.objective import Loss, Objective
from mobiledeploy.models.training.settings import Settings
from mobiledeploy.models.training.views import View
from mobiledeploy.source import SourceModel


def distillation(source: SourceModel, teacher: torch.nn.Module, settings: Settings) -> Objective:
    """What the teacher says takes the place of labels (arXiv 1704.04861, sections 4.5 and 4.7).

    Classifiers learn its probabilities (arXiv 1503.02531), attributes each on its own, embeddings by the
    squared difference to its own.

    Args:
        source: the student.
        teacher: in eval mode, on the device of the training; its outputs are shaped as the student's.
        settings: give the temperature.

    Raises:
        UnsupportedError: the task's outputs are no single tensor.
    """
    soft_classes = partial(_soft_classes, temperature=settings.temperature)
    losses: dict[Task, tuple[Loss, str]] = {
        "image-classification": (soft_classes, "agreement"),
        "geolocation": (soft_classes, "agreement"),
        "multi-label-classification": (_soft_attributes, ""),
        "embedding": (_squared_difference, ""),
    }
    if source.task not in losses:
        raise UnsupportedError(
            f"a model for the task {source.task} cannot be distilled",
            where=source.provenance.model,
            hint="Train it with labels, without a teacher",
        )

    def ask(_targets: Sequence[Any], inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        with torch.no_grad():
            said: torch.Tensor = teacher(inputs[-1])
        return said

    loss, figure = losses[source.task]
    return Objective(_nothing, ask, loss, figure=figure, right=_same_first)


def _nothing(_label: object, _view: View) -> Any:
    return None


def _same_first(outputs: torch.Tensor, said: torch.Tensor) -> int:
    return first_right(outputs, said.argmax(dim=1))


def _soft_classes(outputs: torch.Tensor, said: torch.Tensor, temperature: float) -> torch.Tensor:
    """Divergence from the teacher's probabilities; times T^2, so that gradients keep their size."""
    logs = (outputs / temperature).log_softmax(dim=1)
    wanted = (said / temperature).log_softmax(dim=1)
    return functional.kl_div(logs, wanted, reduction="batchmean", log_target=True) * temperature**2


def _soft_attributes(outputs: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(outputs, said.sigmoid())


def _squared_difference(outputs: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
    return (outputs - said).square().sum(dim=1).mean()
