"""Objects with their boxes: raw heads of an SSD, whose anchors are in the contract."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobiledeploy.contract import Anchors, Contract, Task, TensorSpec
from mobiledeploy.deploy.packages.tasks.task import Decoded, PackagedTask, check_labels, clear_threshold
from mobiledeploy.detection import count_anchors, decode, to_image
from mobiledeploy.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    import numpy as np

BOXES, CLASSES = "boxes", "classes"
# Of the generated code, unless it is told otherwise: those of ``mobiledeploy.detection``.
THRESHOLD, OVERLAP, LARGEST = 0.3, 0.6, 100
_HINT = (
    f"A package needs raw heads: {BOXES} of 1 x anchors x 4, and {CLASSES} of 1 x anchors x (1 + classes), "
    "the background first"
)


class Detection(PackagedTask):
    """See ``PackagedTask``."""

    name: Task = "object-detection"
    title = "object detection"
    class_name = "Detector"
    verb = "detect"
    doing = "detecting"
    done = "searched"
    does = "finds objects on an image"

    def check(self, contract: Contract, where: str) -> None:
        """See ``PackagedTask.check``."""
        if contract.suppression is not None:
            raise UnsupportedError(
                "the file decodes its own boxes, which generated code does",
                where=where,
                hint="Package the same model with raw heads, converted without --nms",
            )
        names = sorted(output.name for output in contract.outputs)
        if names != [BOXES, CLASSES]:
            raise UnsupportedError(
                f"the file has the outputs {', '.join(names) or 'none'}", where=where, hint=_HINT
            )
        boxes, logits = find_output(contract, BOXES).shape, find_output(contract, CLASSES).shape
        fits = len(boxes) == len(logits) == 3 and (*boxes[:2], boxes[2]) == (1, logits[1], 4)
        if not fits or logits[0] != 1 or min(logits) < 1 or logits[2] < 2:
            raise UnsupportedError(
                f"the file gives {BOXES} of {list(boxes)} and {CLASSES} of {list(logits)}",
                where=where,
                hint=_HINT,
            )
        if contract.anchors is None:
            raise InputError(
                "the contract has no anchors, which the boxes are relative to",
                where=where,
                hint="Convert the model again from a SourceModel with anchors",
            )
        _check_anchors(contract.anchors, boxes[1], where)
        check_labels(contract, self.count(contract), where)

    def count(self, contract: Contract) -> int:
        """Classes without the background."""
        return find_output(contract, CLASSES).shape[2] - 1

    def decode(self, contract: Contract, outputs: Sequence[np.ndarray], size: tuple[int, int]) -> Decoded:
        """Index, score, left, top, right and bottom of each object, the most certain first."""
        import numpy as np

        by_name = dict(zip((output.name for output in contract.outputs), outputs, strict=True))
        coded, logits = by_name[BOXES][0], by_name[CLASSES][0]
        if contract.anchors is None or contract.preprocessing is None:
            raise InputError("the contract was not checked")
        scores = 1 / (1 + np.exp(-np.clip(logits[:, 1:], -60, 60)))
        threshold = clear_threshold(scores, THRESHOLD)
        found = decode(coded, logits, contract.anchors, threshold=threshold, overlap=OVERLAP, largest=LARGEST)
        boxes = to_image(found.boxes, contract.preprocessing, size)[:, [1, 0, 3, 2]]
        parts = zip(found.classes, found.scores, boxes, strict=True)
        rows = tuple((float(kind), float(score), *map(float, box)) for kind, score, box in parts)
        return Decoded(rows, threshold)


def find_output(contract: Contract, name: str) -> TensorSpec:
    """The output of a name; files differ in their order."""
    return next(output for output in contract.outputs if output.name == name)


def _check_anchors(anchors: Anchors, boxes: int, where: str) -> None:
    sizes = [side for grid in anchors.grids for size in grid.sizes for side in size]
    problems = {
        "the contract's anchors have no size or scale above 0": (
            not all(math.isfinite(each) and each > 0 for each in (*sizes, *anchors.scales))
        ),
        "a grid of the contract's anchors has no rows or no columns": (
            any(min(grid.rows, grid.columns) < 1 for grid in anchors.grids)
        ),
        f"the contract has {count_anchors(anchors)} anchors for {boxes} boxes": count_anchors(anchors)
        != boxes,
    }
    for problem, found in problems.items():
        if found:
            raise InputError(problem, where=where, hint="Convert the model again with its own anchors")
