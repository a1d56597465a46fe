"""COCO's evaluation of boxes (arXiv 1405.0312), by pycocotools, and the same under weights of images."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mobiledeploy.device_tests.resampling import mean_of_defined
from mobiledeploy.runtimes.formats import needs

if TYPE_CHECKING:
    import numpy as np

    from mobiledeploy.device_tests.tasks.detection import Box, BoxPrediction

# In the order of pycocotools' areas: all, small (below 32 x 32 pixels), medium, large (96 x 96 and more).
_SIZES = ("", "small", "medium", "large")
_RECALLS = 101


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Detections of one class on all images, by falling score, at ten overlaps.

    Attributes:
        images: (found,) index of the image of each.
        right: (overlaps, found) bool: it has an object of its own.
        wrong: (overlaps, found) bool: it has none, and counts.
        objects: (images,) number that are there.
    """

    images: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    objects: np.ndarray


@dataclass(frozen=True, slots=True)
class Scores:
    """What the evaluator says.

    Attributes:
        figures: COCO's six names and values, 0..1; None: no object has that size.
        by_class: index and AP of each class that has an object.
        matches: of each class that has an object.
    """

    figures: tuple[tuple[str, float | None], ...]
    by_class: tuple[tuple[int, float], ...]
    matches: tuple[Matches, ...]


def require() -> None:
    """See that the evaluator is there, before the work that it is to score.

    Raises:
        EnvironmentProblem: pycocotools is not installed.
    """
    with needs("metrics"):
        import pycocotools.cocoeval  # noqa: F401


def score(predictions: Sequence[BoxPrediction]) -> Scores:
    """Average precision of all images' detections.

    Raises:
        EnvironmentProblem: pycocotools is not installed.
    """
    require()
    from pycocotools.cocoeval import COCOeval

    # It tells its progress on stdout.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(*_tables(predictions), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    # (overlaps, recalls, classes, sizes, most detections): -1 where there is no object.
    precision = evaluation.eval["precision"][..., -1]
    figures = [
        ("AP", precision[..., 0]),
        ("AP50", precision[0, ..., 0]),
        ("AP75", precision[5, ..., 0]),
        *((f"AP {name}", precision[..., place]) for place, name in enumerate(_SIZES) if name),
    ]
    classes = evaluation.params.catIds
    each = [_mean(precision[:, :, place, 0]) for place in range(len(classes))]
    return Scores(
        tuple((name, _mean(values)) for name, values in figures),
        tuple((index, value) for index, value in zip(classes, each, strict=True) if value is not None),
        tuple(_matches(evaluation, place) for place, value in enumerate(each) if value is not None),
    )


def score_draws(matches: Sequence[Matches], counts: np.ndarray) -> np.ndarray:
    """(replicates,): AP where each image is there so many times; NaN without objects.

    Args:
        matches: of each class.
        counts: (replicates, images).
    """
    import numpy as np

    each = [[_average_precision(found, drawn) for found in matches] for drawn in counts]
    return mean_of_defined(np.array(each), 1)


def _average_precision(found: Matches, drawn: np.ndarray) -> float:
    """As the evaluator accumulates it, with the counts for weights."""
    import numpy as np

    objects = int(drawn @ found.objects)
    if not objects:
        return float("nan")
    weights = drawn[found.images]
    there = weights > 0
    right, wrong = (np.cumsum((side * weights)[:, there], axis=1) for side in (found.right, found.wrong))
    if not right.shape[1]:
        return 0.0
    recall = right / objects
    precision = right / np.maximum(right + wrong, 1)
    # From the right: the best precision at this recall or any larger one.
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    levels = np.linspace(0, 1, _RECALLS)
    total = 0.0
    for recalls, precisions in zip(recall, best, strict=True):
        places = np.searchsorted(recalls, levels, side="left")
        total += precisions[places[places < len(precisions)]].sum()
    return total / (_RECALLS * len(recall))


def _tables(predictions: Sequence[BoxPrediction]) -> tuple[Any, Any]:
    """What is there and what was found, as the evaluator wants them."""
    there, found = [], []
    for image, item in enumerate(predictions):
        there += [{**_row(box, image), "area": box.area, "iscrowd": int(box.crowd)} for box in item.objects]
        found += [
            {**row, "score": box.score, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0}
            for box in item.found
            for row in [_row(box, image)]
        ]
    classes = sorted({row["category_id"] for row in there})
    return _table(there, classes, len(predictions)), _table(found, classes, len(predictions))


def _table(rows: Sequence[dict[str, Any]], classes: Sequence[int], images: int) -> Any:
    from pycocotools.coco import COCO

    table = COCO()
    table.dataset = {
        "images": [{"id": image} for image in range(images)],
        "categories": [{"id": index} for index in classes],
        # Counted from 1: to the evaluator a match with number 0 is none.
        "annotations": [{**row, "id": place} for place, row in enumerate(rows, 1)],
    }
    table.createIndex()
    return table


def _row(box: Box, image: int) -> dict[str, Any]:
    bounds = [box.left, box.top, box.right - box.left, box.bottom - box.top]
    return {"image_id": image, "category_id": box.index, "bbox": bounds}


def _matches(evaluation: Any, place: int) -> Matches:
    """Of one class, over all sizes."""
    import numpy as np

    images = len(evaluation.params.imgIds)
    start = place * len(_SIZES) * images
    found = [item for item in evaluation.evalImgs[start : start + images] if item]
    scores = np.concatenate([item["dtScores"] for item in found])
    order = np.argsort(-scores, kind="mergesort")
    matched = np.concatenate([item["dtMatches"] for item in found], axis=1)[:, order] > 0
    ignored = np.concatenate([item["dtIgnore"] for item in found], axis=1)[:, order].astype(bool)
    objects = np.zeros(images, int)
    for item in found:
        objects[item["image_id"]] = np.count_nonzero(np.asarray(item["gtIgnore"]) == 0)
    owners = np.concatenate([np.full(len(item["dtScores"]), item["image_id"]) for item in found])
    return Matches(owners[order].astype(int), matched & ~ignored, ~matched & ~ignored, objects)


def _mean(values: np.ndarray) -> float | None:
    """Over what is defined."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None
