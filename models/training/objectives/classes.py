"""One class for each image."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.nn import functional

from mobiledeploy.models.training.objectives.objective import Objective, stack
from mobiledeploy.models.training.settings import Settings
from mobiledeploy.models.training.views import View
from mobiledeploy.source import SourceModel


def classes(_source: SourceModel, settings: Settings) -> Objective:
    """Cross-entropy of the softmax of logits (N, classes) with class indices."""
    loss = partial(_loss, smoothing=settings.label_smoothing)
    return Objective(_index, stack, loss, figure="top-1", right=first_right)


def first_right(outputs: torch.Tensor, targets: torch.Tensor) -> int:
    """Images whose class has the highest score."""
    return int((outputs.argmax(dim=1) == targets).sum())


def _index(label: int, _view: View) -> Any:
    return label


def _loss(outputs: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    return functional.cross_entropy(outputs, targets, label_smoothing=smoothing)
