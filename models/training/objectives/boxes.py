"""Boxes of objects around the anchors of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from mobiledeploy.contract import Anchors
from mobiledeploy.errors import UnsupportedError
from mobiledeploy.models.detection_losses import Truth, ssd_loss
from mobiledeploy.models.faster_rcnn import FasterRCNN
from mobiledeploy.models.faster_rcnn_loss import faster_rcnn_loss
from mobiledeploy.models.training.objectives.objective import Objective
from mobiledeploy.models.training.settings import Settings
from mobiledeploy.models.training.views import View
from mobiledeploy.source import SourceModel
from mobiledeploy.truth.boxes import Boxes


def boxes(source: SourceModel, _settings: Settings) -> Objective:
    """The loss of an SSD, or of both stages of Faster R-CNN; boxes around many objects are no one's truth.

    Raises:
        UnsupportedError: the model's boxes are relative to no anchors.
    """
    if isinstance(source.module, FasterRCNN):
        return Objective(_seen, _gather, lambda loss, _targets: loss, _two_stages)
    if source.anchors is None:
        raise UnsupportedError(
            "the detector has no anchors, so that its loss is not known",
            where=source.provenance.model,
            hint="Train a detector of the zoo",
        )
    return Objective(_seen, _gather, partial(_loss, anchors=source.anchors))


def _seen(label: Boxes, view: View) -> tuple[np.ndarray, np.ndarray]:
    kept = view.shows(label.boxes) & ~label.crowd
    return view.place(label.boxes[kept]), label.classes[kept]


def _gather(targets: Sequence[Any], _inputs: Sequence[torch.Tensor]) -> list[Truth]:
    return [(torch.from_numpy(boxes), torch.from_numpy(classes)) for boxes, classes in targets]


def _two_stages(module: nn.Module, inputs: torch.Tensor, targets: list[Truth]) -> torch.Tensor:
    """Its second stage is shown proposals that the targets have a say in: what it computes is the loss."""
    return faster_rcnn_loss(cast(FasterRCNN, module), inputs, targets)


def _loss(outputs: dict[str, torch.Tensor], targets: list[Truth], anchors: Anchors) -> torch.Tensor:
    return ssd_loss((outputs["boxes"], outputs["classes"]), targets, anchors)
