"""What is said of a model's accuracy, by its task: one file for each metric, and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mobiledeploy.contract import Task
from mobiledeploy.device_tests.tasks.classification import Classification, Prediction
from mobiledeploy.device_tests.tasks.detection import BoxPrediction, Detection
from mobiledeploy.device_tests.tasks.embedding import Embedding, VectorPrediction
from mobiledeploy.device_tests.tasks.geolocation import Geolocation, PlacePrediction
from mobiledeploy.device_tests.tasks.metric import Metric
from mobiledeploy.device_tests.tasks.tagging import Tagging, TagPrediction
from mobiledeploy.errors import UnsupportedError

AnyPrediction = Prediction | TagPrediction | PlacePrediction | VectorPrediction | BoxPrediction

METRICS: Mapping[Task, Metric[Any]] = {
    metric.task: metric for metric in (Classification(), Tagging(), Geolocation(), Embedding(), Detection())
}


def find_metric(task: Task) -> Metric[Any]:
    """The metric of a task.

    Raises:
        UnsupportedError: it has none; lists those that have one.
    """
    if task not in METRICS:
        raise UnsupportedError(
            f"there is no metric for the task {task}", hint=f"There are metrics for {', '.join(METRICS)}"
        )
    return METRICS[task]
