"""Embeddings that lie together for images of one identity."""

from __future__ import annotations

from typing import Any

import torch

from mobiledeploy.models.training.objectives.objective import Objective, stack
from mobiledeploy.models.training.settings import Settings
from mobiledeploy.models.training.views import View
from mobiledeploy.source import SourceModel

_TEMPERATURE = 0.1


def identities(_source: SourceModel, _settings: Settings) -> Objective:
    """Supervised contrastive loss (arXiv 2004.11362) of embeddings (N, size) of length 1.

    The paper's embeddings come from a teacher (see ``distillation``); this is for those who have labels
    and none.
    """
    return Objective(_identity, stack, contrastive)


def contrastive(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Of each image with others of its identity in the batch: how little they stand out among all.

    Args:
        outputs: (N, size), of length 1.
        targets: (N,) identities.

    Returns:
        The mean; 0 if no identity is there twice.
    """
    others = ~torch.eye(len(outputs), dtype=torch.bool, device=outputs.device)
    likeness = (outputs @ outputs.T / _TEMPERATURE).masked_fill(~others, float("-inf"))
    logs = likeness - likeness.logsumexp(dim=1, keepdim=True)
    same = (targets[:, None] == targets[None, :]) & others
    counts = same.sum(dim=1)
    each = -logs.masked_fill(~same, 0.0).sum(dim=1) / counts.clamp(min=1)
    return each.sum() / (counts > 0).sum().clamp(min=1)


def _identity(label: int, _view: View) -> Any:
    return label
