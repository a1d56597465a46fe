"""What networks are trained for: one file per task, and distillation for any."""

from __future__ import annotations

from collections.abc import Callable

from mobiledeploy.contract import Task
from mobiledeploy.errors import UnsupportedError
from mobiledeploy.models.training.objectives.attributes import attributes
from mobiledeploy.models.training.objectives.boxes import boxes
from mobiledeploy.models.training.objectives.classes import classes
from mobiledeploy.models.training.objectives.distillation import distillation
from mobiledeploy.models.training.objectives.identities import identities
from mobiledeploy.models.training.objectives.objective import Objective
from mobiledeploy.models.training.objectives.places import places
from mobiledeploy.models.training.settings import Settings
from mobiledeploy.source import SourceModel

__all__ = ["OBJECTIVES", "Objective", "distillation", "objective_for"]

OBJECTIVES: dict[Task, Callable[[SourceModel, Settings], Objective]] = {
    "image-classification": classes,
    "multi-label-classification": attributes,
    "geolocation": places,
    "embedding": identities,
    "object-detection": boxes,
}


def objective_for(source: SourceModel, settings: Settings) -> Objective:
    """What a network is trained for with labels.

    Raises:
        UnsupportedError: its task has no labels that are understood here.
    """
    if source.task not in OBJECTIVES:
        raise UnsupportedError(
            f"a model for the task {source.task} cannot be trained here",
            where=source.provenance.model,
            hint=f"Train models for {', '.join(OBJECTIVES)}",
        )
    return OBJECTIVES[source.task](source, settings)
