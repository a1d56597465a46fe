"""Boxes as tensors: the coder of ``mobiledeploy.detection``, and overlaps, for graphs and for losses.

A box is (..., 4): top, left, bottom, right as shares of the image.
"""

from __future__ import annotations

import torch

# A wild offset would overflow; such a box is cut to the image anyway.
_LARGEST_EXPONENT = 20.0


def from_centres(boxes: torch.Tensor) -> torch.Tensor:
    """(..., 4) centre y, centre x, height, width -> corners."""
    halves = boxes[..., 2:] * 0.5
    return torch.cat([boxes[..., :2] - halves, boxes[..., :2] + halves], dim=-1)


def to_centres(boxes: torch.Tensor) -> torch.Tensor:
    """(..., 4) corners -> centre y, centre x, height, width."""
    sizes = boxes[..., 2:] - boxes[..., :2]
    return torch.cat([(boxes[..., :2] + boxes[..., 2:]) * 0.5, sizes], dim=-1)


def encode(boxes: torch.Tensor, origins: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Offsets of boxes to anchors or proposals; see ``mobiledeploy.detection.encode_boxes``.

    Args:
        boxes: (..., 4), none empty.
        origins: (..., 4): centre y, centre x, height, width.
        scales: (4,), of the offsets of y, x, height and width.
    """
    own = to_centres(boxes)
    moved = (own[..., :2] - origins[..., :2]) / origins[..., 2:]
    grown = torch.log(own[..., 2:] / origins[..., 2:])
    return torch.cat([moved, grown], dim=-1) * scales


def decode(coded: torch.Tensor, origins: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """The inverse of ``encode``."""
    offsets = coded / scales
    centres = origins[..., :2] + offsets[..., :2] * origins[..., 2:]
    sizes = origins[..., 2:] * torch.exp(offsets[..., 2:].clamp(max=_LARGEST_EXPONENT))
    return from_centres(torch.cat([centres, sizes], dim=-1))


def overlaps(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """(n, 4) and (m, 4) -> (n, m): intersection over union."""
    begin = torch.maximum(first[:, None, :2], second[:, :2])
    end = torch.minimum(first[:, None, 2:], second[:, 2:])
    shared = (end - begin).clamp(min=0).prod(dim=-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(dim=-1) for boxes in (first, second)]
    return shared / (areas[0][:, None] + areas[1] - shared).clamp(min=1e-12)
