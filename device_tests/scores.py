"""From a model's outputs to scores: the output that has them, real numbers, ranked classes."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mobiledeploy.contract import TensorSpec
from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class ScoreOutput:
    """The output of a file that scores classes.

    Attributes:
        index: its place among the outputs.
        spec: what the file says about it.
    """

    index: int
    spec: TensorSpec

    @property
    def classes(self) -> int:
        """Number of classes: the output's size, or 2 for one score of yes or no."""
        return max(2, math.prod(self.spec.shape[1:]))

    @property
    def size(self) -> int:
        """Number of scores."""
        return math.prod(self.spec.shape[1:])

    def values(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """(size,) float64: every score as a real number.

        Raises:
            InputError: one is not a number.
        """
        return real_values(self.spec, outputs[self.index]).reshape(-1)

    def scores(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """One score per class, as stored: quantization keeps the order.

        A single output stands for class 1; class 0 gets the threshold, 0 for logits and else 0.5.

        Raises:
            InputError: a score is not a number, or a single one without a stated meaning lies
                outside 0..1.
        """
        import numpy as np

        values = outputs[self.index].reshape(-1)
        check_numbers(self.spec, values)
        if values.size > 1:
            return values
        score = float(self.values(outputs)[0])
        if self.spec.content == "logits":
            return np.array([0.0, score])
        if not 0.0 <= score <= 1.0:
            raise InputError(
                f"the single score {score:.4g} is no probability, and the file does not say what it is",
                where=f"output {self.spec.name!r}",
                hint="Convert the model with a contract, or with a sigmoid at its end",
            )
        return np.array([0.5, score])


def real_values(spec: TensorSpec, stored: np.ndarray) -> np.ndarray:
    """An output as float64, of the shape that it is stored in.

    Args:
        spec: of the output; its scale and zero point are undone.
        stored: as the engine gave it.

    Raises:
        InputError: a value is not a number.
    """
    import numpy as np

    check_numbers(spec, stored)
    values = stored.astype(np.float64)
    return values if spec.scale is None else spec.scale * (values - (spec.zero_point or 0))


def check_numbers(spec: TensorSpec, stored: np.ndarray) -> None:
    """Refuse NaN.

    Raises:
        InputError: a value is not a number.
    """
    import numpy as np

    if np.isnan(stored).any():
        raise InputError(
            "the model returns NaN",
            where=f"output {spec.name!r}",
            hint="Convert it with fp32, or check its weights",
        )


def find_score_output(outputs: Sequence[TensorSpec]) -> ScoreOutput:
    """The output that scores classes: one vector of them for each image.

    An output that the contract calls logits or probabilities comes first; without such a word
    there must be only one vector.

    Raises:
        InputError: none or several; lists the outputs.
    """
    return _find_vector(
        outputs,
        {"logits", "probabilities"},
        "class scores",
        "Accuracy needs a classifier with one output of shape 1xclasses, or a contract that names it",
    )


def find_vector_output(outputs: Sequence[TensorSpec]) -> ScoreOutput:
    """The output that is an image's vector, an embedding.

    One that the contract calls features comes first; without such a word there must be only one vector.

    Raises:
        InputError: none or several; lists the outputs.
    """
    return _find_vector(
        outputs,
        {"features"},
        "an embedding",
        "It needs a model with one output of shape 1xnumbers, or a contract that calls one features",
    )


def _find_vector(outputs: Sequence[TensorSpec], contents: Set[str], what: str, hint: str) -> ScoreOutput:
    vectors = [ScoreOutput(index, spec) for index, spec in enumerate(outputs) if _is_vector(spec.shape)]
    named = [item for item in vectors if item.spec.content in contents]
    if named:
        return named[0]
    if len(vectors) == 1:
        return vectors[0]
    listed = ", ".join(f"{spec.name} {'x'.join(map(str, spec.shape))}" for spec in outputs)
    raise InputError(f"{len(vectors) or 'none'} of the outputs could be {what} ({listed})", hint=hint)


def rank(scores: np.ndarray, top: int) -> tuple[tuple[int, ...], bool]:
    """Indices of the best ``top`` scores, and whether the best one is shared.

    Args:
        scores: shape (classes,), without NaN.
        top: how many.

    Returns:
        Indices, best first, equal scores in order of index; True if the second score equals the
        first.
    """
    import numpy as np

    values = scores.astype(np.float64)
    order = np.argsort(-values, kind="stable")[: max(top, 2)]
    tied = len(order) > 1 and bool(values[order[0]] == values[order[1]])
    return tuple(int(index) for index in order[:top]), tied


def _is_vector(shape: tuple[int, ...]) -> bool:
    batch, *rest = shape or (0,)
    return batch in {1, -1} and min(rest, default=0) > 0 and math.prod(rest) == max(rest)
