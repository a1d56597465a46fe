"""The losses of Faster R-CNN's two stages (arXiv 1506.01497, sections 3.1.2 and 3.1.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from mobiledeploy.detection import PROPOSAL_SCALES
from mobiledeploy.models.boxes import encode, from_centres, overlaps, to_centres
from mobiledeploy.models.detection_losses import Truth, match, with_area
from mobiledeploy.models.faster_rcnn import FasterRCNN, propose

# Overlap with an object from which an anchor is its, and below which it is background; those between count
# for nothing.
ANCHOR, BACKGROUND = 0.7, 0.3
PROPOSAL = 0.5  # overlap from which a proposal is an object's
# Anchors and proposals of an image that count, and the largest share of them with an object.  These and the
# weight of boxes are those of the TensorFlow object detection models.
ANCHORS_SAMPLED, ANCHORS_WITH_OBJECT = 256, 0.5
PROPOSALS_SAMPLED, PROPOSALS_WITH_OBJECT = 64, 0.25
BOX_WEIGHT = 2.0


def faster_rcnn_loss(model: FasterRCNN, images: torch.Tensor, truths: Sequence[Truth]) -> torch.Tensor:
    """The sum of both stages' losses, the mean over the images.

    Of each stage the cross-entropy of the classes and smooth L1 of the boxes with an object, over a random
    sample (torch's own generator).  The second stage is shown the first one's proposals and the objects
    themselves; no gradient runs through the boxes' places.

    Args:
        model: in training or eval mode.
        images: (images, 3, H, W).
        truths: of each image; boxes without an area are left out.

    Returns:
        A scalar.
    """
    features = model.body(images)
    coded, logits = model.first_stage(features)
    origins = model.origins(images, features)
    losses = []
    for index, truth in enumerate(truths):
        boxes, classes = with_area(truth, images.device)
        first = _anchor_loss(coded[index], logits[index], origins, boxes)
        with torch.no_grad():
            found = propose(coded[index], logits[index], origins)
            found = torch.cat([boxes, found[(found[:, 2:] > found[:, :2]).all(dim=1)]])
            own = match(boxes, found, PROPOSAL)
            chosen = _sample(own >= 0, own < 0, PROPOSALS_SAMPLED, PROPOSALS_WITH_OBJECT)
            found, own = found[chosen], own[chosen]
        answers = model.second_stage(features[index : index + 1], found)
        losses.append(first + _proposal_loss(*answers, found, own, boxes, classes))
    return torch.stack(losses).mean()


def _anchor_loss(
    coded: torch.Tensor, logits: torch.Tensor, origins: torch.Tensor, boxes: torch.Tensor
) -> torch.Tensor:
    corners = from_centres(origins)
    own = match(boxes, corners, ANCHOR)
    matched, background = own >= 0, own < 0
    if len(boxes):
        background &= overlaps(boxes, corners).max(dim=0).values < BACKGROUND
    chosen = _sample(matched, background, ANCHORS_SAMPLED, ANCHORS_WITH_OBJECT)
    objectness = functional.cross_entropy(logits[chosen], matched[chosen].long())
    places = chosen[matched[chosen]]
    wanted = encode(boxes[own[places]], origins[places], coded.new_tensor(PROPOSAL_SCALES))
    return objectness + _box_loss(coded[places], wanted, len(chosen))


def _proposal_loss(
    coded: torch.Tensor,
    logits: torch.Tensor,
    proposals: torch.Tensor,
    own: torch.Tensor,
    boxes: torch.Tensor,
    classes: torch.Tensor,
) -> torch.Tensor:
    """Of the sampled proposals; a box counts where its class is the object's."""
    matched = own >= 0
    columns = torch.zeros_like(own)
    columns[matched] = classes[own[matched]] + 1
    wanted = encode(boxes[own[matched]], to_centres(proposals[matched]), coded.new_tensor(PROPOSAL_SCALES))
    answers = coded.reshape(len(coded), -1, 4)[matched, classes[own[matched]]]
    return functional.cross_entropy(logits, columns) + _box_loss(answers, wanted, len(own))


def _box_loss(answers: torch.Tensor, wanted: torch.Tensor, count: int) -> torch.Tensor:
    return BOX_WEIGHT * functional.smooth_l1_loss(answers, wanted, reduction="sum") / max(count, 1)


def _sample(matched: torch.Tensor, background: torch.Tensor, count: int, share: float) -> torch.Tensor:
    """Indices of rows with an object, and of background to fill up."""
    some, others = matched.nonzero().flatten(), background.nonzero().flatten()
    some = some[torch.randperm(len(some), device=some.device)][: int(count * share)]
    others = others[torch.randperm(len(others), device=others.device)][: count - len(some)]
    return torch.cat([some, others])
