"""What a detector in training should have answered, and how far it is from that."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch.nn import functional

from mobiledeploy.contract import Anchors
from mobiledeploy.detection import anchor_boxes
from mobiledeploy.models.boxes import encode, from_centres, overlaps

# An anchor is an object's from this overlap on (arXiv 1512.02325, section 2.2).
MATCHED = 0.5
# Background anchors that count, for each anchor with an object (ibid.); of an image without any, as for one.
NEGATIVES = 3

# Objects of one image: boxes (n, 4), top, left, bottom, right as shares of the image, and classes (n,), the
# background not counted.
Truth = tuple[torch.Tensor, torch.Tensor]


def match(truths: torch.Tensor, boxes: torch.Tensor, least: float = MATCHED) -> torch.Tensor:
    """Which object each box should find: (boxes,), its index, -1 for the background.

    A box takes the object that it overlaps most, if by ``least``; each object takes the box that overlaps it
    most, whatever the overlap.

    Args:
        truths: (objects, 4).
        boxes: (boxes, 4): anchors or proposals.
        least: intersection over union.
    """
    if not len(truths):
        return torch.full((len(boxes),), -1, device=boxes.device)
    shares = overlaps(truths, boxes)
    best = shares.max(dim=1)
    # Above all others, and still in the order of the overlaps where two objects want one box.
    shares[torch.arange(len(truths), device=boxes.device), best.indices] += (best.values > 0) * 2.0
    most = shares.max(dim=0)
    return torch.where(most.values >= least, most.indices, -1)


def ssd_loss(
    outputs: tuple[torch.Tensor, torch.Tensor], truths: Sequence[Truth], anchors: Anchors
) -> torch.Tensor:
    """The loss of an SSD (arXiv 1512.02325, section 2.2), per matched anchor of the batch.

    Smooth L1 of the offsets of matched anchors, and cross-entropy of the classes at these and at the hardest
    of the others, three for each one matched.  The cross-entropy is that of a sigmoid for each column, the
    background's too, because ``mobiledeploy.detection.decode`` takes a sigmoid for the score.

    Args:
        outputs: ``boxes`` (images, anchors, 4) and ``classes`` (images, anchors, 1 + classes) of the model.
        truths: of each image; boxes without an area are left out.
        anchors: of the model at this resolution.

    Returns:
        A scalar.
    """
    coded, logits = outputs
    origins = _origins(anchors, coded.device)
    corners = from_centres(origins)
    places, cost = coded.new_zeros(()), coded.new_zeros(())
    matches = 0
    for offsets, rows, truth in zip(coded, logits, truths, strict=True):
        boxes, classes = with_area(truth, coded.device)
        found = match(boxes, corners)
        matched = found >= 0
        own = found[matched]
        wanted = encode(boxes[own], origins[matched], coded.new_tensor(anchors.scales))
        places = places + functional.smooth_l1_loss(offsets[matched], wanted, reduction="sum")
        each = class_costs(rows, classes[own] + 1, matched)
        cost = cost + each[matched].sum() + _hardest(each[~matched], NEGATIVES * max(len(own), 1)).sum()
        matches += len(own)
    return (places + cost) / max(matches, 1)


def with_area(truth: Truth, device: torch.device) -> Truth:
    """The objects that have an area, on the device, as float32 and int64."""
    boxes, classes = truth[0].to(device, torch.float32), truth[1].to(device, torch.int64)
    some = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    return boxes[some], classes[some]


def class_costs(logits: torch.Tensor, columns: torch.Tensor, matched: torch.Tensor) -> torch.Tensor:
    """(rows,): sigmoid cross-entropy, summed over the columns.

    Args:
        logits: (rows, columns), the background first.
        columns: of the matched rows; the others are background.
        matched: (rows,), whether a row has an object.
    """
    wanted = torch.zeros_like(logits)
    wanted[matched, columns] = 1
    wanted[~matched, 0] = 1
    return functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(dim=1)


def _hardest(costs: torch.Tensor, count: int) -> torch.Tensor:
    return costs.topk(min(count, len(costs))).values


@cache
def _origins(anchors: Anchors, device: torch.device) -> torch.Tensor:
    """(anchors, 4): centre y, centre x, height, width."""
    return torch.from_numpy(anchor_boxes(anchors)).to(device, torch.float32)
