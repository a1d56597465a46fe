"""Faster R-CNN (arXiv 1506.01497) on the MobileNet V1 body, as one static graph.

Structure and sizes are those of the TensorFlow object detection models.  Where the MobileNets paper is silent
(arXiv 1704.04861, Table 13), they are what gives its mult-adds and parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from mobiledeploy.contract import AnchorGrid, Anchors
from mobiledeploy.detection import PROPOSAL_SCALES, anchor_boxes
from mobiledeploy.models.boxes import decode, to_centres
from mobiledeploy.models.layers import initialise
from mobiledeploy.models.mobilenet_v1 import MobileNetV1, scaled, separable
from mobiledeploy.models.suppression import non_max_suppression

# Side of an anchor of ratio 1, pixels, and the anchors' ratios of width to height.
SIDES = (64, 128, 256, 512)
RATIOS = (0.5, 1.0, 2.0)
ANCHORS = len(SIDES) * len(RATIOS)
PROPOSALS = 300  # or all anchors of an input so small that it has fewer
OVERLAP = 0.7  # of two proposals
CROP = 14  # points in each direction, of which the greatest of four is taken
RPN_CHANNELS, CROP_CHANNELS = 512, 1024


class FasterRCNN(nn.Module):
    """Proposals, and for each its classes and a box per class.

    Input (1, 3, H, W); returns ``proposals`` (1, 300, 4), corners as shares of the image and zeros where
    there are fewer, ``boxes`` (1, 300, 4 * classes), offsets to the proposal for each class, and ``classes``
    (1, 300, 1 + classes), logits with the background first; ``mobiledeploy.detection`` decodes them.

    Args:
        width: multiplier on all channels.
        classes: without the background.
    """

    def __init__(self, width: float, classes: int) -> None:
        super().__init__()
        blocks = list(MobileNetV1(width).features)
        channels, wide = scaled(512, width), scaled(CROP_CHANNELS, width)
        self.classes = classes
        self.body = nn.Sequential(*blocks[:23])
        self.rpn = nn.Sequential(nn.Conv2d(channels, scaled(RPN_CHANNELS, width), 3, padding=1), nn.ReLU6())
        self.rpn_boxes = nn.Conv2d(scaled(RPN_CHANNELS, width), 4 * ANCHORS, 1)
        self.rpn_classes = nn.Conv2d(scaled(RPN_CHANNELS, width), 2 * ANCHORS, 1)
        self.crop_body = nn.Sequential(
            *separable(channels, wide, 1, padding="same"), *separable(wide, wide, 1, padding="same")
        )
        self.box_head = nn.Linear(wide, 4 * classes)
        self.class_head = nn.Linear(wide, 1 + classes)
        initialise(self)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """(1, 3, H, W) -> ``proposals``, ``boxes`` and ``classes``."""
        features = self.body(x)
        coded, logits = self.first_stage(features)
        proposals = propose(coded[0], logits[0], self.origins(x, features))
        boxes, classes = self.second_stage(features, proposals)
        return {"proposals": proposals[None], "boxes": boxes[None], "classes": classes[None]}

    def first_stage(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, channels, h, w) -> offsets (N, anchors, 4) and logits (N, anchors, 2), background first."""
        hidden = self.rpn(features)
        parts = self.rpn_boxes(hidden), self.rpn_classes(hidden)
        rows = [part.permute(0, 2, 3, 1).flatten(1) for part in parts]
        return rows[0].unflatten(1, (-1, 4)), rows[1].unflatten(1, (-1, 2))

    def origins(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """(anchors, 4): centre y, centre x, height, width as shares of the image."""
        anchors = anchors_of(tuple(x.shape[-2:]), tuple(features.shape[-2:]))  # type: ignore[arg-type]
        return torch.as_tensor(anchor_boxes(anchors), dtype=torch.float32, device=x.device)

    def second_stage(
        self, features: torch.Tensor, proposals: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(1, channels, h, w), (P, 4) -> offsets (P, 4 * classes) and logits (P, 1 + classes)."""
        crops = functional.max_pool2d(crop(features, proposals, CROP), 2, 2)
        pooled = self.crop_body(crops).mean(dim=(2, 3))
        return self.box_head(pooled), self.class_head(pooled)


def anchors_of(size: tuple[int, int], cells: tuple[int, int]) -> Anchors:
    """Twelve anchors around every cell.

    Args:
        size: of the image, height and width, pixels.
        cells: of the feature map, rows and columns.
    """
    height, width = size
    sizes = tuple(
        (side / ratio**0.5 / height, side * ratio**0.5 / width) for side in SIDES for ratio in RATIOS
    )
    return Anchors((AnchorGrid(*cells, sizes),), PROPOSAL_SCALES)


def propose(coded: torch.Tensor, logits: torch.Tensor, origins: torch.Tensor) -> torch.Tensor:
    """The most certain boxes of one image that do not overlap: (300, 4), zeros where there are fewer.

    Args:
        coded: (anchors, 4).
        logits: (anchors, 2), background first.
        origins: (anchors, 4).
    """
    scales = torch.tensor(PROPOSAL_SCALES, device=coded.device)
    boxes = decode(coded, origins, scales).clamp(0, 1)
    margin = logits[:, 1] - logits[:, 0]
    # In the order of the sigmoid, which engines let fall to 0: such a proposal would be none.
    scores = 0.5 + 0.5 * margin / (1 + margin.abs())
    kept = non_max_suppression(boxes[None], scores[None], 0.0, OVERLAP, PROPOSALS)
    best, places = kept[0].topk(min(PROPOSALS, len(boxes)))
    found: torch.Tensor = boxes.index_select(0, places) * (best > 0).to(boxes.dtype)[:, None]
    return found


def crop(features: torch.Tensor, boxes: torch.Tensor, points: int) -> torch.Tensor:
    """Features on a grid of points from edge to edge of each box, interpolated bilinearly.

    Each is a product of matrices, rows by features by columns, whose entries fall from 1 to 0 with the
    distance of point and cell: so it needs no operation that a format lacks.

    Args:
        features: (1, channels, h, w).
        boxes: (P, 4), corners as shares of the image.
        points: in each direction.

    Returns:
        (P, channels, points, points).
    """
    _, channels, height, width = features.shape
    rows = _weights(boxes[:, 0], boxes[:, 2], height, points)
    columns = _weights(boxes[:, 1], boxes[:, 3], width, points)
    flat = features[0].permute(1, 2, 0).reshape(height, width * channels)
    picked = torch.matmul(rows.reshape(-1, height), flat).reshape(-1, points, width, channels)
    found: torch.Tensor = torch.matmul(columns[:, None], picked).permute(0, 3, 1, 2)
    return found


def _weights(begin: torch.Tensor, end: torch.Tensor, cells: int, points: int) -> torch.Tensor:
    """(P, points, cells)."""
    steps = torch.linspace(0, cells - 1, points, device=begin.device)
    first = begin[:, None] * (cells - 1)
    places = first + (end - begin)[:, None] * steps
    distances = places[:, :, None] - torch.arange(cells, device=begin.device, dtype=torch.float32)
    return torch.relu(1 - distances.abs())


class ProposalDecoding(nn.Module):
    """Raw outputs of a ``FasterRCNN`` -> corners and scores; see ``mobiledeploy.detection``."""

    scales: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scales", torch.tensor(PROPOSAL_SCALES))

    def forward(
        self, proposals: torch.Tensor, coded: torch.Tensor, logits: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of one image: boxes (classes, proposals, 4) within it, scores (classes, proposals)."""
        origins = to_centres(proposals[0])
        offsets = coded[0].reshape(len(origins), -1, 4)
        boxes = decode(offsets, origins[:, None], self.scales).clamp(0, 1)
        real = (origins[:, 2] * origins[:, 3] > 0).to(boxes.dtype)
        scores = torch.softmax(logits[0], dim=1)[:, 1:] * real[:, None]
        return boxes.permute(1, 0, 2), scores.t()


def classes_of(state: Mapping[str, torch.Tensor]) -> int | None:
    """Classes without the background, by the rows of the class head."""
    head = state.get("class_head.weight")
    return None if head is None else head.shape[0] - 1
