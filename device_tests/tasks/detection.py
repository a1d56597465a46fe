"""Objects in boxes: COCO's mean average precision, by its own evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import Preprocessing, Task
from mobiledeploy.detection import intersection_over_union, to_image
from mobiledeploy.device_tests.tasks.coco import Scores, require, score, score_draws
from mobiledeploy.device_tests.tasks.detectors import Decoder, find_decoder
from mobiledeploy.device_tests.tasks.metric import Asked, Figure, Given, Judge, Resampling
from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage
from mobiledeploy.truth.boxes import Boxes

if TYPE_CHECKING:
    import numpy as np

# Two detectors say the same where what they are sure of has the same classes and boxes.
SURE, OVERLAP = 0.5, 0.5
# A replicate ranks every detection anew.
_REPLICATES = 200
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Box:
    """One object.

    Attributes:
        index: of its class.
        top, left, bottom, right: pixels of the upright image.
    """

    index: int
    top: float
    left: float
    bottom: float
    right: float

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Top, left, bottom, right."""
        return self.top, self.left, self.bottom, self.right


@dataclass(frozen=True, slots=True)
class TrueBox(Box):
    """One object that is there.

    Attributes:
        crowd: it stands for many.
        area: of the object itself, square pixels.
    """

    crowd: bool
    area: float


@dataclass(frozen=True, slots=True)
class FoundBox(Box):
    """One object that a model found.

    Attributes:
        score: 0..1.
    """

    score: float


@dataclass(frozen=True, slots=True)
class BoxPrediction:
    """What a detector found on one image.

    Attributes:
        image: name of the image.
        objects: that are there.
        found: the most certain first.
    """

    image: str
    objects: tuple[TrueBox, ...]
    found: tuple[FoundBox, ...]

    @property
    def truth(self) -> tuple[tuple[float, ...], ...]:
        """What it should have found."""
        return tuple(map(astuple, self.objects))


class Detection:
    """See ``Metric``."""

    task: Task = "object-detection"

    def judge(self, given: Given) -> Judge:
        """By the decoder that fits the file's outputs; needs COCO's evaluator."""
        require()
        if not any(len(image.label.boxes) and not image.label.crowd.all() for image in given.images):
            raise InputError("no image has an object", hint="Give labels with annotations")
        decoder = find_decoder(given.contract, given.outputs)
        return Judge(decoder.classes, _Objects(decoder, given.rule))

    def same(self, first: BoxPrediction, second: BoxPrediction) -> bool:
        """What both are sure of has pairwise the same class and nearly the same box."""
        import numpy as np

        ours, theirs = ([box for box in side.found if box.score >= SURE] for side in (first, second))
        for box in ours:
            rivals = [other for other in theirs if other.index == box.index]
            if not rivals:
                return False
            shared = intersection_over_union(
                np.array(box.corners), np.array([other.corners for other in rivals])
            )
            if shared.max() < OVERLAP:
                return False
            theirs.remove(rivals[int(shared.argmax())])
        return not theirs

    def figures(self, predictions: Sequence[BoxPrediction], asked: Asked) -> tuple[Figure, ...]:
        """COCO's six; those of sizes that no object has are left out."""
        found = _score(tuple(predictions))
        interval = self.resampling(predictions, asked).interval()
        values = [(name, value) for name, value in found.figures if value is not None]
        return tuple(
            Figure(name, value, interval if place == 0 else None)
            for place, (name, value) in enumerate(values)
        )

    def details(self, predictions: Sequence[BoxPrediction], asked: Asked) -> dict[str, Any]:
        """AP of each class that has an object."""
        found = _score(tuple(predictions))
        rows = [
            {"name": asked.names[index] if index < len(asked.names) else str(index), "ap": value}
            for index, value in found.by_class
        ]
        return {"by_class": rows, "objects": sum(len(item.objects) for item in predictions)}

    def resampling(self, predictions: Sequence[BoxPrediction], asked: Asked) -> Resampling:
        """AP; images are drawn."""
        del asked
        matches = _score(tuple(predictions)).matches
        return Resampling(len(predictions), lambda counts: score_draws(matches, counts), _REPLICATES)


@dataclass(frozen=True, slots=True)
class _Objects:
    decoder: Decoder
    rule: Preprocessing

    def __call__(self, image: LabelledImage[Boxes], outputs: Sequence[np.ndarray]) -> BoxPrediction:
        truth = image.label
        found = self.decoder.decode(outputs)
        boxes = to_image(found.boxes, self.rule, truth.size).round(_DIGITS)
        return BoxPrediction(
            image.name,
            tuple(
                TrueBox(int(index), *_corners(box), bool(crowd), float(area))
                for index, box, crowd, area in zip(
                    truth.classes, truth.boxes, truth.crowd, truth.areas, strict=True
                )
            ),
            tuple(
                FoundBox(int(index), *_corners(box), float(certain))
                for index, box, certain in zip(found.classes, boxes, found.scores, strict=True)
            ),
        )


def _corners(box: np.ndarray) -> tuple[float, float, float, float]:
    top, left, bottom, right = map(float, box)
    return top, left, bottom, right


# The figures, the details and the bootstrap of one run ask for the same matches.
@lru_cache(maxsize=2)
def _score(predictions: tuple[BoxPrediction, ...]) -> Scores:
    return score(predictions)
