"""What a package does, by its model's task: one file for each, and one line here."""

from __future__ import annotations

from mobiledeploy.deploy.packages.tasks import classification, detection, embedding, geolocation, tagging
from mobiledeploy.deploy.packages.tasks.task import PackagedTask
from mobiledeploy.errors import UnsupportedError

TASKS: tuple[PackagedTask, ...] = (
    classification.Classification(),
    tagging.Tagging(),
    geolocation.Geolocation(),
    embedding.Embedding(),
    detection.Detection(),
)


def find_task(name: str, where: str) -> PackagedTask:
    """The task of a contract.

    Raises:
        UnsupportedError: there are no packages for it; lists those that there are.
    """
    for task in TASKS:
        if task.name == name:
            return task
    known = ", ".join(task.name for task in TASKS)
    raise UnsupportedError(
        f"there are no packages for the task {name}",
        where=where,
        hint=f"Use the file itself; packages are for {known}",
    )
