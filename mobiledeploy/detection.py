"""From a detector's raw outputs to boxes: anchors, decoding, non-maximum suppression.  NumPy alone.

The box coder is that of Faster R-CNN (arXiv 1506.01497, section 3.1.2) with the scales of the contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mobiledeploy.contract import Anchors, Contract, Preprocessing
from mobiledeploy.errors import InputError
from mobiledeploy.preprocessing import seen_region

if TYPE_CHECKING:
    import numpy as np


# What the offsets to proposals are multiplied by; those to anchors are in the contract.
PROPOSAL_SCALES = (10.0, 10.0, 5.0, 5.0)


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Objects of one image, the most certain first.

    Attributes:
        boxes: (objects, 4): top, left, bottom, right as shares of the image, 0..1.
        scores: (objects,), 0..1.
        classes: (objects,): index of the class, the background not counted.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def anchor_boxes(anchors: Anchors) -> np.ndarray:
    """(anchors, 4): centre y, centre x, height, width as shares of the image, in the outputs' order."""
    import numpy as np

    grids = []
    for grid in anchors.grids:
        rows = (np.arange(grid.rows) + 0.5) / grid.rows
        columns = (np.arange(grid.columns) + 0.5) / grid.columns
        sizes = np.array(grid.sizes)
        found = np.empty((grid.rows, grid.columns, len(sizes), 4))
        found[..., 0], found[..., 1] = rows[:, None, None], columns[None, :, None]
        found[..., 2:] = sizes
        grids.append(found.reshape(-1, 4))
    return np.concatenate(grids)


def count_anchors(anchors: Anchors) -> int:
    """How many boxes they are for."""
    return sum(grid.rows * grid.columns * len(grid.sizes) for grid in anchors.grids)


def to_image(boxes: np.ndarray, rule: Preprocessing, size: tuple[int, int]) -> np.ndarray:
    """(objects, 4): top, left, bottom, right in pixels of an image, and within it.

    Args:
        boxes: (objects, 4), shares of what the model saw, as in ``Detections``.
        rule: that the image was prepared by; its resize and crop are undone.
        size: width and height of the upright image, pixels.

    Raises:
        InputError: the image is empty.
    """
    import numpy as np

    left, top, right, bottom = seen_region(rule, size)
    begin = np.array([top, left, top, left])
    length = np.array([bottom - top, right - left] * 2)
    limits = np.array([size[1], size[0]] * 2)
    placed: np.ndarray = np.clip(begin + boxes * length, 0, limits)
    return placed


def encode_boxes(boxes: np.ndarray, anchors: Anchors) -> np.ndarray:
    """What a detector should answer for one box per anchor; the inverse of ``decode_boxes``.

    Args:
        boxes: (anchors, 4): top, left, bottom, right as shares of the image, none empty.
        anchors: of the contract.
    """
    import numpy as np

    own = anchor_boxes(anchors)
    sizes = boxes[:, 2:] - boxes[:, :2]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    offsets = np.concatenate([(centres - own[:, :2]) / own[:, 2:], np.log(sizes / own[:, 2:])], axis=1)
    coded: np.ndarray = offsets * np.array(anchors.scales)
    return coded


def decode_boxes(coded: np.ndarray, anchors: Anchors) -> np.ndarray:
    """(anchors, 4): top, left, bottom, right as shares of the image, from a file's output ``boxes``.

    Args:
        coded: (anchors, 4): offsets of y, x, height and width.
        anchors: of the contract.

    Raises:
        InputError: another number of anchors.
    """

    own = anchor_boxes(anchors)
    if coded.shape != own.shape:
        shape = "x".join(map(str, coded.shape))
        raise InputError(
            f"boxes of shape {shape} do not fit {len(own)} anchors",
            hint="Give the output boxes of one image, with the anchors of its file's contract",
        )
    return _decode(coded, own, anchors.scales)


def _decode(coded: np.ndarray, origins: np.ndarray, scales: Sequence[float]) -> np.ndarray:
    import numpy as np

    offsets = coded / np.array(scales)
    centres = origins[..., :2] + offsets[..., :2] * origins[..., 2:]
    # A wild offset would overflow; such a box is cut to the image anyway.
    halves = origins[..., 2:] * np.exp(np.minimum(offsets[..., 2:], 20)) / 2
    return np.concatenate([centres - halves, centres + halves], axis=-1)


def decode(
    coded: np.ndarray,
    logits: np.ndarray,
    anchors: Anchors,
    *,
    threshold: float = 0.3,
    overlap: float = 0.6,
    largest: int = 100,
) -> Detections:
    """The objects of one image.

    Args:
        coded: (anchors, 4), the file's output ``boxes``.
        logits: (anchors, 1 + classes), the file's output ``classes``; the first is the background.
        anchors: of the contract.
        threshold: least score, the sigmoid of a logit.
        overlap: of two boxes of one class whose intersection is more than this share of their union, the
            less certain one is left out.
        largest: number of objects.

    Raises:
        InputError: the arrays do not fit the anchors.
    """

    boxes, scores = candidates(coded, logits, anchors)
    return strongest(boxes, scores, threshold=threshold, overlap=overlap, largest=largest)


def candidates(coded: np.ndarray, logits: np.ndarray, anchors: Anchors) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (anchors, 4) within the image, and their scores (anchors, classes); arguments as for ``decode``.

    Raises:
        InputError: the arrays do not fit the anchors.
    """
    import numpy as np

    boxes = np.clip(decode_boxes(coded, anchors), 0, 1)
    if logits.ndim != 2 or len(logits) != len(boxes):
        raise InputError(f"{len(logits)} rows of logits do not fit {len(boxes)} anchors")
    return boxes, 1 / (1 + np.exp(-np.clip(logits[:, 1:].astype(np.float64), -60, 60)))


def decode_proposals(
    proposals: np.ndarray,
    coded: np.ndarray,
    logits: np.ndarray,
    *,
    threshold: float = 0.3,
    overlap: float = 0.6,
    largest: int = 100,
) -> Detections:
    """The objects of one image that a detector of two stages found.

    Args:
        proposals: (proposals, 4), the file's output ``proposals``.
        coded: (proposals, 4 * classes), its output ``boxes``: offsets to the proposal, class by class.
        logits: (proposals, 1 + classes), its output ``classes``; the first is the background.
        threshold: least score, the softmax of the logits.
        overlap, largest: as for ``decode``.

    Raises:
        InputError: the arrays do not fit each other.
    """
    boxes, scores = proposal_candidates(proposals, coded, logits)
    return strongest(boxes, scores, threshold=threshold, overlap=overlap, largest=largest)


def proposal_candidates(
    proposals: np.ndarray, coded: np.ndarray, logits: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (proposals, classes, 4) within the image, and their scores (proposals, classes).

    A proposal without an area stands for none, and scores nothing.

    Raises:
        InputError: the arrays do not fit each other.
    """
    import numpy as np

    count, classes = len(proposals), logits.shape[-1] - 1
    if coded.shape != (count, 4 * classes) or logits.shape != (count, 1 + classes):
        raise InputError(
            f"{count} proposals, boxes of {list(coded.shape)} and logits of {list(logits.shape)} do not fit"
        )
    sizes = proposals[:, 2:] - proposals[:, :2]
    origins = np.concatenate([(proposals[:, :2] + proposals[:, 2:]) / 2, sizes], axis=1)
    boxes = np.clip(_decode(coded.reshape(count, classes, 4), origins[:, None], PROPOSAL_SCALES), 0, 1)
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    scores = (powers / powers.sum(axis=1, keepdims=True))[:, 1:]
    return boxes, scores * (sizes.prod(axis=1) > 0)[:, None]


def candidates_of(contract: Contract, outputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and their scores in the raw outputs of a file, as ``strongest`` takes them.

    Args:
        contract: of the file.
        outputs: by name, reals, batch 1.

    Raises:
        InputError: the file is no detector with raw heads.
    """
    if {"proposals", "boxes", "classes"} <= outputs.keys():
        return proposal_candidates(*(outputs[name][0] for name in ("proposals", "boxes", "classes")))
    if contract.anchors is None or not {"boxes", "classes"} <= outputs.keys():
        raise InputError("the file has no raw heads with anchors", hint="Convert a detector, without --nms")
    return candidates(outputs["boxes"][0], outputs["classes"][0], contract.anchors)


def strongest(
    boxes: np.ndarray, scores: np.ndarray, *, threshold: float, overlap: float, largest: int
) -> Detections:
    """Non-maximum suppression, class by class; then the most certain boxes of all classes.

    Args:
        boxes: (boxes, 4), or (boxes, classes, 4) where each class has its own.
        scores: (boxes, classes).
        threshold, overlap, largest: as for ``decode``.
    """
    import numpy as np

    if boxes.ndim == 2:
        boxes = np.broadcast_to(boxes[:, None], (*scores.shape, 4))
    kept = [
        (scores[index, kind], index, kind)
        for kind in range(scores.shape[1])
        for index in suppress(boxes[:, kind], scores[:, kind], threshold, overlap, largest)
    ]
    kept = sorted(kept, key=lambda item: (-item[0], item[1], item[2]))[:largest]
    indices = np.array([index for _, index, _ in kept], int)
    kinds = np.array([kind for _, _, kind in kept], int)
    return Detections(boxes[indices, kinds], np.array([score for score, _, _ in kept]), kinds)


def suppress(
    boxes: np.ndarray, scores: np.ndarray, threshold: float, overlap: float, largest: int | None = None
) -> list[int]:
    """Non-maximum suppression of one class: indices of the boxes that stay, the most certain first.

    Args:
        boxes: (boxes, 4).
        scores: (boxes,).
        threshold, overlap, largest: as for ``decode``; None: any number.
    """
    import numpy as np

    waiting = np.flatnonzero(scores >= threshold)
    waiting = waiting[np.argsort(-scores[waiting], kind="stable")]
    kept: list[int] = []
    while len(waiting) and len(kept) != largest:
        first, waiting = int(waiting[0]), waiting[1:]
        kept.append(first)
        waiting = waiting[intersection_over_union(boxes[first], boxes[waiting]) <= overlap]
    return kept


def intersection_over_union(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(boxes,): of a box (4,) with each of others (boxes, 4)."""
    import numpy as np

    corners = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.maximum(corners[1] - corners[0], 0), axis=1)
    areas = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1)
    return np.asarray(shared / np.maximum(areas - shared, 1e-12))
