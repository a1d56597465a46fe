"""``package``: a library for an app, with what was measured of its file."""

from __future__ import annotations

from mobiledeploy.deploy.packages.packaging import package
from mobiledeploy.deploy.pipeline.work import Done, Task
from mobiledeploy.deploy.pipeline.work.records import measured_in


def run(task: Task) -> Done:
    """Write and check it."""
    given = task.settings
    file, platform = task.inputs["file"], given["platform"]
    task.announce(f"{file.name} for {platform}")
    made = package(
        file,
        platform,
        task.folder / platform,
        name=given["name"],
        namespace=given["namespace"],
        measured=measured_in(path for name, path in task.inputs.items() if name != "file"),
    )
    return Done(
        {
            "platform": platform,
            "class": f"{made.subject.namespace}.{made.subject.name}",
            "file": file.name,
            "model_sha256": made.subject.sha256,
            "remarks": list(made.remarks),
        }
    )
