"""What a task is to ``mobiledeploy package``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mobiledeploy.contract import Contract, Task
from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Decoded:
    """What comes of golden outputs, to compare generated code with.

    Attributes:
        rows: numbers of each answer, in the order of the answers.
        threshold: least score of an answer; 0 where the task has no threshold.
    """

    rows: tuple[tuple[float, ...], ...]
    threshold: float = 0.0


class PackagedTask(ABC):
    """One task of the contract.

    Every platform has a folder ``templates/.../tasks/NAME`` with the parts of its code that are this task's.

    Attributes:
        name: in the contract.
        title: in words.
        class_name: of the class that an app calls, unless it is given another.
        verb, doing, done: what its method is called, as a noun, and what an image is after it.
        does: what that class does, as the end of a sentence.
        unit: of what ``count`` counts.
        labelled: whether what it counts has labels.
    """

    name: Task
    title: str
    class_name: str
    verb: str
    doing: str
    done: str
    does: str
    unit: str = "classes"
    labelled: bool = True

    @abstractmethod
    def check(self, contract: Contract, where: str) -> None:
        """Refuse what the generated code could not decode; shapes are fixed and the batch is 1.

        Raises:
            InputError: the contract contradicts itself.
            UnsupportedError: the file has other outputs than this task's.
        """

    @abstractmethod
    def count(self, contract: Contract) -> int:
        """Classes, or whatever else there is of."""

    def labels(self, contract: Contract) -> tuple[str, ...]:
        """One per class; where the file has none, the classes' numbers; none of a task without classes."""
        if not self.labelled:
            return ()
        return contract.labels or tuple(str(index) for index in range(self.count(contract)))

    def amount(self, contract: Contract) -> str:
        """``count`` in words."""
        return f"{self.count(contract)} {self.unit}"

    def decode(
        self, contract: Contract, outputs: Sequence[np.ndarray], size: tuple[int, int]
    ) -> Decoded | None:
        """The answers for one image by the reference implementation; None: the outputs say it all.

        Args:
            contract: that was checked.
            outputs: reals, float64, in the file's shapes.
            size: width and height of the image.
        """
        del contract, outputs, size
        return None


def check_labels(contract: Contract, classes: int, where: str) -> None:
    """Refuse labels that are not one line for each class.

    Raises:
        InputError: says which.
    """
    if contract.labels and len(contract.labels) != classes:
        raise InputError(
            f"the file has {len(contract.labels)} labels for {classes} scores",
            where=where,
            hint="Convert it again with one label per class",
        )
    for number, label in enumerate(contract.labels):
        if not label.isprintable():
            raise InputError(
                f"label {number} holds a line break or another control character ({label!r})",
                where=where,
                hint="Convert it again with labels of one line each",
            )


# Of a threshold that is not the usual one: how many different scores are above it, at least and at most.
_FEWEST, _ANSWERS = 3, 60
# More scores than these above the usual threshold say nothing new, and take long to decode.
_MANY = 1000
# What scores of other processors' exponentials may differ by.
_NEAR = 1e-6


def clear_threshold(scores: np.ndarray, usual: float) -> float:
    """A least score that rounding cannot move an answer across: the middle of a wide gap between two scores.

    Args:
        scores: any shape.
        usual: what the generated code uses unless told otherwise; kept if it lets some scores through, not
            too many, and none is near.
    """
    import numpy as np

    ordered = np.unique(scores)[::-1][:_ANSWERS]
    passed = np.count_nonzero(scores >= usual)
    if len(ordered) <= _FEWEST or (0 < passed <= _MANY and abs(scores - usual).min() > _NEAR):
        return usual
    gaps = ordered[_FEWEST - 1 : -1] - ordered[_FEWEST:]
    place = int(gaps.argmax()) + _FEWEST
    return float(np.float32((ordered[place - 1] + ordered[place]) / 2))
