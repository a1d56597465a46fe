"""Raw heads of a detector to decode: random, tied, certain of nothing, wild."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from small_classifier import LABELS
from small_tasks import ANCHORS, BOXES, CROPPED

from mobiledeploy.contract import Preprocessing
from mobiledeploy.detection import decode, to_image

RULES = {
    "cropped": CROPPED,
    "stretched": replace(CROPPED, resize="stretch", resize_to=0),
    "black around": replace(CROPPED, resize_to=13),
    "wide": replace(CROPPED, width=24),
}


@dataclass(frozen=True)
class Heads:
    """One image's raw heads, and how they are to be decoded."""

    name: str
    boxes: np.ndarray
    logits: np.ndarray
    size: tuple[int, int]
    score_threshold: float
    iou_threshold: float
    most: int

    def wanted(self, rule: Preprocessing) -> np.ndarray:
        """Index, score, left, top, right, bottom of each object, by the reference."""
        found = decode(
            self.boxes,
            self.logits,
            ANCHORS,
            threshold=self.score_threshold,
            overlap=self.iou_threshold,
            largest=self.most,
        )
        boxes = to_image(found.boxes, rule, self.size)[:, [1, 0, 3, 2]]
        return np.column_stack([found.classes, found.scores, boxes])


def heads() -> list[Heads]:
    """Of float32, as a file gives them."""
    random = np.random.default_rng(7)
    shape = (BOXES, 1 + len(LABELS))

    def normal(shape: tuple[int, ...], spread: float) -> np.ndarray:
        return random.normal(0, spread, shape).astype(np.float32)

    boxes, logits = normal((BOXES, 4), 3), normal(shape, 2)
    # Few different logits, as int8 has them: the order of equal scores is told by the anchors.
    coarse = np.round(logits).astype(np.float32)
    return [
        Heads("random", boxes, logits, (320, 400), 0.3, 0.6, 100),
        Heads("few", boxes, logits, (150, 110), 0.75, 0.25, 5),
        Heads("ties", np.round(boxes), coarse, (640, 480), 0.3, 0.5, 100),
        Heads(
            "all tied, at one place",
            np.zeros_like(boxes),
            np.zeros(shape, np.float32),
            (33, 57),
            0.5,
            0.4,
            100,
        ),
        Heads("nothing", boxes, np.full(shape, -9, np.float32), (64, 64), 0.3, 0.6, 100),
        Heads("everything", boxes, logits, (64, 48), 0.0, 1.0, 1000),
        Heads("nothing overlaps", boxes, logits, (64, 48), 0.0, 0.0, 1000),
        Heads("certain", boxes, 40 * logits, (90, 70), 1.0, 0.6, 100),
        Heads("wild", 400 * boxes, 50 * logits, (90, 70), 0.5, 0.6, 100),
        Heads("one pixel", boxes, logits, (1, 1), 0.3, 0.6, 100),
        Heads("almost a line", boxes, logits, (1000, 3), 0.3, 0.6, 100),
    ]
