"""Classes that are there or not, each on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobiledeploy.contract import Contract, Task
from mobiledeploy.deploy.packages.tasks.scores import check_vector, vector_length
from mobiledeploy.deploy.packages.tasks.task import Decoded, PackagedTask, check_labels, clear_threshold

if TYPE_CHECKING:
    import numpy as np

# Of the generated code, unless it is told otherwise.
THRESHOLD = 0.5


class Tagging(PackagedTask):
    """See ``PackagedTask``."""

    name: Task = "multi-label-classification"
    title = "multi-label classification"
    class_name = "Tagger"
    verb = "tag"
    doing = "tagging"
    done = "tagged"
    does = "says which classes an image has, each on its own"

    def check(self, contract: Contract, where: str) -> None:
        """See ``PackagedTask.check``."""
        check_vector(contract, where, model="a classifier", vector="vector of scores")
        check_labels(contract, self.count(contract), where)

    def count(self, contract: Contract) -> int:
        """Scores."""
        return vector_length(contract)

    def decode(self, contract: Contract, outputs: Sequence[np.ndarray], size: tuple[int, int]) -> Decoded:
        """Index and score of each class that is there, the most certain first."""
        import numpy as np

        del size
        scores = outputs[0].reshape(-1)
        if contract.outputs[0].content == "logits":
            scores = 1 / (1 + np.exp(-np.clip(scores, -60, 60)))
        threshold = clear_threshold(scores, THRESHOLD)
        order = [index for index in np.argsort(-scores, kind="stable") if scores[index] >= threshold]
        return Decoded(tuple((float(index), float(scores[index])) for index in order), threshold)
