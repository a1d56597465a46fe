"""One class for each image: top-1 and top-5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import Task
from mobiledeploy.device_tests.scores import ScoreOutput, find_score_output, rank
from mobiledeploy.device_tests.statistics import Interval, wilson
from mobiledeploy.device_tests.tasks.metric import Asked, Figure, Given, Judge, Resampling
from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage

if TYPE_CHECKING:
    import numpy as np

TOP = 5
# ImageNet's classes and one for background in front of them, as TF-slim trains.
_IMAGENET_WITH_BACKGROUND = 1001


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier said about one image.

    Attributes:
        image: name of the image.
        label: its class.
        classes: the model's best ``TOP`` classes (fewer if it has fewer), best first; equal scores
            in order of index.  Numbered as the labels are: with a label offset of 1, -1 stands for
            the model's class 0.
        tied: whether another class had the same score as the first.
    """

    image: str
    label: int
    classes: tuple[int, ...]
    tied: bool

    @property
    def truth(self) -> int:
        """What it should have said."""
        return self.label


@dataclass(frozen=True, slots=True)
class Share:
    """How many images were right.

    Attributes:
        correct: images.
        share: 0..1.
        interval: 95% Wilson interval of the share.
    """

    correct: int
    share: float
    interval: Interval


def within(predictions: Sequence[Prediction], top: int) -> Share:
    """Images whose label is among the best classes."""
    correct = sum(item.label in item.classes[:top] for item in predictions)
    return Share(correct, correct / len(predictions), wilson(correct, len(predictions)))


class Classification:
    """See ``Metric``."""

    task: Task = "image-classification"

    def judge(self, given: Given) -> Judge:
        """By the output that scores classes."""
        output = find_score_output(given.outputs)
        offset = _choose_offset(given.images, output.classes, given.label_offset)
        return Judge(output.classes, _Best(output, offset), offset)

    def same(self, first: Prediction, second: Prediction) -> bool:
        """The same class first."""
        return first.classes[0] == second.classes[0]

    def figures(self, predictions: Sequence[Prediction], asked: Asked) -> tuple[Figure, ...]:
        """Top-1 and top-5 with Wilson's intervals."""
        del asked
        shares = [(f"top-{top}", within(predictions, top)) for top in (1, TOP)]
        return tuple(Figure(name, found.share, found.interval) for name, found in shares)

    def details(self, predictions: Sequence[Prediction], asked: Asked) -> dict[str, Any]:
        """The shares, and how many images were decided by order."""
        del asked
        top1, top5 = within(predictions, 1), within(predictions, TOP)
        tied = sum(item.tied for item in predictions)
        return {"top1": asdict(top1), "top5": asdict(top5), "tied": tied}

    def resampling(self, predictions: Sequence[Prediction], asked: Asked) -> Resampling:
        """Top-1."""
        del asked
        return Resampling.of_right([item.label == item.classes[0] for item in predictions])


@dataclass(frozen=True, slots=True)
class _Best:
    """The best classes of one image."""

    output: ScoreOutput
    offset: int

    def __call__(self, image: LabelledImage[int], outputs: Sequence[np.ndarray]) -> Prediction:
        indices, tied = rank(self.output.scores(outputs), TOP)
        return Prediction(image.name, image.label, tuple(index - self.offset for index in indices), tied)


def _choose_offset(images: Sequence[LabelledImage[int]], classes: int, given: int | None) -> int:
    lowest, highest = (pick(image.label for image in images) for pick in (min, max))
    if given is None and classes == _IMAGENET_WITH_BACKGROUND and highest < classes - 1:
        raise InputError(
            f"the file has {classes} classes, labels go to {highest}",
            hint="If class 0 is background pass --label-offset 1, else --label-offset 0",
        )
    offset = given or 0
    if lowest + offset < 0 or highest + offset >= classes:
        shifted = f" with label offset {offset}" if offset else ""
        raise InputError(
            f"the file has {classes} classes from 0, labels go from {lowest} to {highest}{shifted}",
            hint="If labels count from 1 pass --label-offset -1"
            if lowest + offset > 0
            else "Use the labels of this model's data set",
        )
    return offset
