"""An image as a vector, to be compared with others."""

from __future__ import annotations

from mobiledeploy.contract import Contract, Task
from mobiledeploy.deploy.packages.tasks.scores import check_vector, vector_length
from mobiledeploy.deploy.packages.tasks.task import PackagedTask


class Embedding(PackagedTask):
    """See ``PackagedTask``.  There are no labels; the outputs are the answer."""

    name: Task = "embedding"
    title = "embedding"
    class_name = "Embedder"
    verb = "embed"
    doing = "embedding"
    done = "embedded"
    does = "turns an image into numbers to compare"
    unit = "numbers"
    labelled = False

    def check(self, contract: Contract, where: str) -> None:
        """See ``PackagedTask.check``."""
        check_vector(contract, where, model="a model", vector="vector of numbers")

    def count(self, contract: Contract) -> int:
        """Numbers."""
        return vector_length(contract)
