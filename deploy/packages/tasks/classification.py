"""One class of many."""

from __future__ import annotations

from mobiledeploy.contract import Contract, Task
from mobiledeploy.deploy.packages.tasks.scores import check_vector, vector_length
from mobiledeploy.deploy.packages.tasks.task import PackagedTask, check_labels
from mobiledeploy.errors import UnsupportedError


class Classification(PackagedTask):
    """See ``PackagedTask``."""

    name: Task = "image-classification"
    title = "image classification"
    class_name = "Classifier"
    verb = "classify"
    doing = "classifying"
    done = "classified"
    does = "says what is on an image"

    def check(self, contract: Contract, where: str) -> None:
        """See ``PackagedTask.check``."""
        check_vector(contract, where, model="a classifier", vector="vector of scores")
        if self.count(contract) < 2:
            raise UnsupportedError(
                "the file gives a single score",
                where=where,
                hint="A package needs a score for each class, two or more",
            )
        check_labels(contract, self.count(contract), where)

    def count(self, contract: Contract) -> int:
        """Scores."""
        return vector_length(contract)
