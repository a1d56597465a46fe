"""Attributes that each hold or not: average precision of each, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import Task
from mobiledeploy.device_tests.resampling import mean_of_defined
from mobiledeploy.device_tests.scores import ScoreOutput, find_score_output
from mobiledeploy.device_tests.tasks.metric import Asked, Figure, Given, Judge, Resampling
from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage
from mobiledeploy.truth.attributes import Attributes

if TYPE_CHECKING:
    import numpy as np

# Log-odds of a probability of 0 or 1, beyond those of any float32 between.
_CERTAIN = 120.0


@dataclass(frozen=True, slots=True)
class TagPrediction:
    """What a model said of one image's attributes.

    Attributes:
        image: name of the image.
        attributes: whether each holds; None: unknown.
        scores: log-odds of each, above 0 where it more likely holds.
    """

    image: str
    attributes: tuple[bool | None, ...]
    scores: tuple[float, ...]

    @property
    def truth(self) -> Attributes:
        """What it should have said."""
        return self.attributes


class Tagging:
    """See ``Metric``."""

    task: Task = "multi-label-classification"

    def judge(self, given: Given) -> Judge:
        """By the output that scores attributes."""
        output = find_score_output(given.outputs)
        told = len(given.images[0].label)
        if told != output.size:
            raise InputError(
                f"the file scores {output.size} attributes, the labels have {told}",
                hint="Use the labels of this model's data set",
            )
        return Judge(output.size, _Scores(output))

    def same(self, first: TagPrediction, second: TagPrediction) -> bool:
        """The same attributes more likely hold."""
        return [score > 0 for score in first.scores] == [score > 0 for score in second.scores]

    def figures(self, predictions: Sequence[TagPrediction], asked: Asked) -> tuple[Figure, ...]:
        """Mean AP with the interval of a bootstrap over images."""
        ranked = self.resampling(predictions, asked)
        value = float(ranked.headline(_once(ranked.units))[0])
        return (Figure("mean AP", value, ranked.interval()),)

    def details(self, predictions: Sequence[TagPrediction], asked: Asked) -> dict[str, Any]:
        """AP of each attribute; those that hold for no image have none, and are left out of the mean."""
        rankings = _rankings(predictions)
        names = asked.names or tuple(map(str, range(len(rankings))))
        once = _once(len(predictions))
        found = [float(ranking.average_precision(once)[0]) if ranking else None for ranking in rankings]
        rows = [{"name": name, "ap": value} for name, value in zip(names, found, strict=True)]
        return {"attributes": rows, "left_out": [row["name"] for row in rows if row["ap"] is None]}

    def resampling(self, predictions: Sequence[TagPrediction], asked: Asked) -> Resampling:
        """Mean AP; an attribute that holds for no image of a draw is left out of its mean."""
        del asked
        return Resampling(len(predictions), partial(_mean_ap, _rankings(predictions)))


@dataclass(frozen=True, slots=True)
class _Scores:
    output: ScoreOutput

    def __call__(self, image: LabelledImage[Attributes], outputs: Sequence[np.ndarray]) -> TagPrediction:
        import numpy as np

        values = self.output.values(outputs)
        if self.output.spec.content == "probabilities":
            values = np.clip(values, 0, 1)
            with np.errstate(divide="ignore"):
                values = np.log(values) - np.log1p(-values)
        scores = np.clip(values, -_CERTAIN, _CERTAIN)
        return TagPrediction(image.name, image.label, tuple(map(float, scores)))


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Images that are known to have an attribute or not, by falling score.

    Attributes:
        images: (known,) their indices among all.
        holds: (known,) 1 where it holds, else 0.
        last: (known,) bool: no later one has the same score, so that a threshold lies behind it.
    """

    images: np.ndarray
    holds: np.ndarray
    last: np.ndarray

    def average_precision(self, counts: np.ndarray) -> np.ndarray:
        """(replicates,): sum over thresholds of precision times the gain in recall; NaN without positives.

        As scikit-learn's ``average_precision_score`` with the counts for weights.

        Args:
            counts: (replicates, all images) how often each is there.
        """
        import numpy as np

        weights = counts[:, self.images].astype(float)
        hits = np.cumsum(weights * self.holds, axis=1)[:, self.last]
        seen = np.cumsum(weights, axis=1)[:, self.last]
        gains = np.diff(hits, axis=1, prepend=0)
        precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
        with np.errstate(invalid="ignore"):
            found: np.ndarray = (precision * gains).sum(axis=1) / hits[:, -1]
        return found


def _rankings(predictions: Sequence[TagPrediction]) -> list[Ranking | None]:
    """Of each attribute; None: it holds for no image."""
    import numpy as np

    scores = np.array([item.scores for item in predictions])
    truths = np.array([[-1 if it is None else it for it in item.attributes] for item in predictions], int)
    rankings: list[Ranking | None] = []
    for column, truth in zip(scores.T, truths.T, strict=True):
        known = np.flatnonzero(truth >= 0)
        order = known[np.argsort(-column[known], kind="stable")]
        last = np.append(np.diff(column[order]) != 0, True)
        positive = bool((truth == 1).any())
        rankings.append(Ranking(order, (truth[order] == 1).astype(float), last) if positive else None)
    return rankings


def _mean_ap(rankings: Sequence[Ranking | None], counts: np.ndarray) -> np.ndarray:
    """(replicates,): mean over the attributes that have one."""
    import numpy as np

    each = [ranking.average_precision(counts) for ranking in rankings if ranking]
    return mean_of_defined(np.array(each), 0)


def _once(images: int) -> np.ndarray:
    import numpy as np

    return np.ones((1, images), int)
