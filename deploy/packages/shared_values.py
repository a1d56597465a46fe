"""What templates of every platform are filled with."""

from __future__ import annotations

from typing import Any

from mobiledeploy.contract import Contract
from mobiledeploy.deploy.packages.golden import tolerance, tolerances
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.deploy.packages.tasks import find_task
from mobiledeploy.deploy.packages.tasks.detection import LARGEST, OVERLAP, THRESHOLD
from mobiledeploy.deploy.packages.tasks.scores import activation


def shared_contract_values(contract: Contract) -> dict[str, Any]:
    """Of a contract that fits its task."""
    task = find_task(contract.task, "contract")
    return {
        "output": contract.outputs[0],
        "single": len(contract.outputs) == 1,
        "places": {output.name: place for place, output in enumerate(contract.outputs)},
        "classes": task.count(contract),
        "labelled": task.labelled,
        **activation(contract),
    }


def shared_values(subject: Subject) -> dict[str, Any]:
    """Of a subject: words for its task, golden vectors, what the code uses unless it is told otherwise."""
    task, golden = subject.task, subject.golden
    return {
        "subject": subject,
        "variable": task.class_name.lower(),
        "verb": task.verb,
        "doing": task.doing,
        "done": task.done,
        "does": task.does[0].upper() + task.does[1:],
        "result": "scores" if task.labelled and len(subject.outputs) == 1 else "outputs",
        "decoded": golden[0].decoded is not None,
        "tolerance_of": [tolerance(golden, output, place) for place, output in enumerate(subject.outputs)],
        "tolerances": tolerances(golden, subject.outputs),
        "most": min(5, subject.classes),
        "threshold": THRESHOLD,
        "overlap": OVERLAP,
        "largest": LARGEST,
    }
