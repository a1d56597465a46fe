"""Several attributes of an image, each there or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from mobiledeploy.models.training.objectives.objective import Objective, stack
from mobiledeploy.models.training.settings import Settings
from mobiledeploy.models.training.views import View
from mobiledeploy.source import SourceModel


def attributes(_source: SourceModel, _settings: Settings) -> Objective:
    """Cross-entropy of the sigmoid of logits (N, attributes), over the attributes that are known."""
    return Objective(_known, stack, _loss)


def _known(label: tuple[bool | None, ...], _view: View) -> Any:
    return np.array([np.nan if value is None else value for value in label], np.float32)


def _loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    known = ~targets.isnan()
    each = functional.binary_cross_entropy_with_logits(outputs, targets.nan_to_num(), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
