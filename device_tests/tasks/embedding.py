"""Images as vectors: verification, whether two images show the same identity, over all pairs.

A pair is accepted where its cosine similarity is above a threshold.  The figures are those of Labeled Faces
in the Wild and IJB-C: the share of pairs of one identity that is accepted (true-accept rate) at the threshold
where so large a share of pairs of different ones is (false-accept rate), and the equal-error rate.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import Task
from mobiledeploy.device_tests.scores import ScoreOutput, find_vector_output
from mobiledeploy.device_tests.tasks.metric import Asked, Figure, Given, Judge, Resampling
from mobiledeploy.device_tests.tasks.similarity import Pairs, compare_all, count_different
from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage

if TYPE_CHECKING:
    import numpy as np

# Cosine similarity of two engines' vectors for one image; thresholds of verification lie far below.
SAME = 0.999
# Pairs of different identities that a bootstrap sees: some times what the rate accepts, and no fewer.
_TIMES, _FEWEST = 4, 20_000
# A replicate looks at every such pair.
_REPLICATES = 200


@dataclass(frozen=True, slots=True)
class VectorPrediction:
    """What a model made of one image.

    Attributes:
        image: name of the image.
        identity: whom or what it shows, counted from 0.
        vector: float32, little-endian, in base64: a tenth of the time and half of the room of digits.
    """

    image: str
    identity: int
    vector: str

    @property
    def truth(self) -> int:
        """Whom it shows."""
        return self.identity

    def numbers(self) -> np.ndarray:
        """(numbers,) float32."""
        import numpy as np

        return np.frombuffer(base64.b64decode(self.vector), "<f4")


class Embedding:
    """See ``Metric``."""

    task: Task = "embedding"

    def judge(self, given: Given) -> Judge:
        """By the one vector that the file gives; refused where pairs are too few for the rate."""
        import numpy as np

        far = given.asked.far
        if not 0 < far < 1:
            raise InputError(f"the false-accept rate {far:g} is not between 0 and 1", hint="Pass --far 0.001")
        output = find_vector_output(given.outputs)
        different = count_different(np.bincount([image.label for image in given.images]))
        if different * far < 1:
            raise InputError(
                f"{different} pairs of different identities cannot tell a false-accept rate of {far:g}",
                hint=f"Evaluate on more images{_larger(different)}",
            )
        return Judge(output.size, _Vector(output))

    def same(self, first: VectorPrediction, second: VectorPrediction) -> bool:
        """Vectors of nearly one direction."""
        import numpy as np

        one, other = (item.numbers().astype(np.float64) for item in (first, second))
        lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
        return bool((one == other).all()) or (lengths > 0 and float(one @ other) / lengths > SAME)

    def figures(self, predictions: Sequence[VectorPrediction], asked: Asked) -> tuple[Figure, ...]:
        """True-accept rate at the false-accept rate, with the interval of a bootstrap over identities."""
        pairs = _pairs(tuple(predictions), asked.far)
        accepted = float((pairs.same > _threshold(pairs, asked.far)).mean())
        interval = self.resampling(predictions, asked).interval()
        return (
            Figure(f"TAR at FAR {asked.far:g}", accepted, interval),
            Figure("equal-error rate", _equal_error(pairs), None),
        )

    def details(self, predictions: Sequence[VectorPrediction], asked: Asked) -> dict[str, Any]:
        """The threshold, and how many pairs there are."""
        pairs = _pairs(tuple(predictions), asked.far)
        return {
            "threshold": _threshold(pairs, asked.far),
            "identities": len(pairs.images),
            "same_pairs": len(pairs.same),
            "different_pairs": pairs.different,
        }

    def resampling(self, predictions: Sequence[VectorPrediction], asked: Asked) -> Resampling:
        """The true-accept rate; identities are drawn, as pairs that share an image are no separate trials."""
        pairs = _pairs(tuple(predictions), asked.far)
        return Resampling(len(pairs.images), partial(_accepted, pairs, asked.far), _REPLICATES)


@dataclass(frozen=True, slots=True)
class _Vector:
    output: ScoreOutput

    def __call__(self, image: LabelledImage[int], outputs: Sequence[np.ndarray]) -> VectorPrediction:
        import numpy as np

        values = self.output.values(outputs)
        if not np.isfinite(values).all():
            raise InputError("the model returns infinity", hint="Convert it with fp32, or check its weights")
        text = base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")
        return VectorPrediction(image.name, image.label, text)


# The figures, the details and the bootstrap of one run ask for the same pairs.
@lru_cache(maxsize=2)
def _pairs(predictions: tuple[VectorPrediction, ...], far: float) -> Pairs:
    import numpy as np

    vectors = np.stack([item.numbers() for item in predictions])
    _, identities = np.unique([item.identity for item in predictions], return_inverse=True)
    different = count_different(np.bincount(identities))
    nearest = min(different, max(_FEWEST, int(_TIMES * far * different)))
    return compare_all(vectors, identities, nearest)


def _threshold(pairs: Pairs, far: float) -> float:
    """The least at which no more than the rate of different pairs lie above it."""
    return float(pairs.nearest[int(far * pairs.different)])


def _equal_error(pairs: Pairs) -> float:
    """Where as many same pairs are refused as different ones accepted, to 1/16384 of similarity."""
    import numpy as np

    refused = 1 - np.cumsum(pairs.same_counts) / len(pairs.same)
    accepted = np.cumsum(pairs.different_counts) / pairs.different
    place = int(np.argmin(np.abs(refused - accepted)))
    return float((refused[place] + accepted[place]) / 2)


def _accepted(pairs: Pairs, far: float, counts: np.ndarray) -> np.ndarray:
    """(replicates,): true-accept rate where each identity is there so many times.

    Pairs of one identity count as often as it is there, pairs of two as often as both are; copies of one
    are not compared with one another.
    """
    import numpy as np

    found = np.full(len(counts), np.nan)
    one, other = pairs.nearest_identities.T
    totals = np.bincount(pairs.same_identity, minlength=len(pairs.images))
    for row, drawn in enumerate(counts):
        images = drawn * pairs.images
        different = (int(images.sum()) ** 2 - int((images * images).sum())) / 2
        same = int(drawn @ totals)
        if different == 0 or same == 0:
            continue
        above = np.cumsum(drawn[one] * drawn[other])
        place = min(int(np.searchsorted(above, far * different, side="right")), len(above) - 1)
        accepted = pairs.same > pairs.nearest[place]
        found[row] = drawn[pairs.same_identity[accepted]].sum() / same
    return found


def _larger(different: int) -> str:
    """The hint at a rate that so many pairs can tell: the next power of ten."""
    rate = 10.0 ** -math.floor(math.log10(different))
    return f", or pass --far {rate:g}" if rate < 1 else ""
