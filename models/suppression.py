"""Decoding and non-maximum suppression as part of a detector's graph.

The one operation that torch lacks is kept by ``torch.export`` as ``mobiledeploy::non_max_suppression``; each
format has an operation of its own for it.
"""

from __future__ import annotations

import torch
from torch import nn

from mobiledeploy.contract import Anchors, Suppression
from mobiledeploy.detection import anchor_boxes, suppress
from mobiledeploy.errors import InputError
from mobiledeploy.models.boxes import decode
from mobiledeploy.source import SourceModel


@torch.library.custom_op("mobiledeploy::non_max_suppression", mutates_args=())
def non_max_suppression(
    boxes: torch.Tensor, scores: torch.Tensor, threshold: float, overlap: float, largest: int
) -> torch.Tensor:
    """Scores of the boxes that stay, 0 for the others; see ``mobiledeploy.detection.suppress``.

    Args:
        boxes: (classes, boxes, 4), or (1, boxes, 4) for all classes.
        scores: (classes, boxes), above 0.
        threshold, overlap: of ``Suppression``.
        largest: number of boxes of a class that stay.

    Returns:
        (classes, boxes).
    """
    kept = torch.zeros_like(scores)
    corners, certain = boxes.detach().cpu().numpy(), scores.detach().cpu().numpy()
    for index, row in enumerate(certain):
        stay = suppress(corners[index % len(corners)], row, threshold, overlap, largest)
        kept[index, stay] = scores[index, stay]
    return kept


@non_max_suppression.register_fake
def _shape(boxes: torch.Tensor, scores: torch.Tensor, *limits: float) -> torch.Tensor:  # noqa: ARG001
    return torch.empty_like(scores)


class AnchorDecoding(nn.Module):
    """Raw heads of an SSD -> corners and scores.

    Args:
        anchors: of the detector.
    """

    origins: torch.Tensor
    scales: torch.Tensor

    def __init__(self, anchors: Anchors) -> None:
        super().__init__()
        self.register_buffer("origins", torch.from_numpy(anchor_boxes(anchors)).float())
        self.register_buffer("scales", torch.tensor(anchors.scales))

    def forward(self, coded: torch.Tensor, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of one image: boxes (1, anchors, 4) within it, scores (classes, anchors)."""
        boxes = decode(coded, self.origins, self.scales).clamp(0, 1)
        return boxes, torch.sigmoid(logits[0, :, 1:]).t()


class Objects(nn.Module):
    """The objects in a detector's raw outputs, the most certain first.

    Args:
        decoding: makes boxes (1 or classes, boxes, 4) and scores (classes, boxes) of the raw outputs.
        rule: what stays.
    """

    def __init__(self, decoding: nn.Module, rule: Suppression) -> None:
        super().__init__()
        self.decoding, self.rule = decoding, rule

    def forward(self, *raw: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of one image: boxes (1, largest, 4), scores and classes (1, largest), count (1,)."""
        boxes, scores = self.decoding(*raw)
        rule = self.rule
        kept = non_max_suppression(boxes, scores, rule.threshold, rule.overlap, rule.largest)
        classes, count = scores.shape
        # Box by box, as ``mobiledeploy.detection.decode`` orders equal scores.
        best, places = kept.t().reshape(-1).topk(min(rule.largest, classes * count))
        found = (best > 0).to(torch.int32)
        rows, kinds = places // classes, places % classes
        if len(boxes) == 1:
            chosen = boxes[0].index_select(0, rows)
        else:
            chosen = boxes.reshape(-1, 4).index_select(0, kinds * count + rows)
        return {
            "boxes": (chosen * found[:, None])[None],
            "scores": best[None],
            "classes": (kinds.to(torch.int32) * found)[None],
            "count": found.sum(dim=0, keepdim=True, dtype=torch.int32),
        }


def objects_of(source: SourceModel, rule: Suppression) -> Objects:
    """The step behind a detector with raw heads that decodes them and suppresses all but the best boxes.

    Raises:
        InputError: the model is no detector with raw heads, or the rule makes no sense.
    """
    from mobiledeploy.models.faster_rcnn import FasterRCNN, ProposalDecoding

    of_proposals = isinstance(source.module, FasterRCNN)
    if source.task != "object-detection" or (source.anchors is None and not of_proposals):
        raise InputError(
            "non-maximum suppression is for detectors with raw heads and anchors",
            where=source.provenance.model,
            hint="Leave it out, or choose a detector such as ssd_mobilenet_v1",
        )
    if not 0 < rule.threshold < 1 or not 0 < rule.overlap < 1 or rule.largest < 1:
        raise InputError(
            f"threshold {rule.threshold:g}, overlap {rule.overlap:g}, {rule.largest} objects: no such rule",
            where="non-maximum suppression",
            hint="Threshold and overlap lie between 0 and 1, for example 0.3 and 0.6",
        )
    decoding = AnchorDecoding(source.anchors) if source.anchors else ProposalDecoding()
    return Objects(decoding, rule).eval()
