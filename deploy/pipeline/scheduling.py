"""Which step may begin beside those that run: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mobiledeploy.deploy.pipeline.step import Step

LOCAL = "local"


def next_steps(ready: Sequence[Step], running: Collection[Step], jobs: int) -> list[Step]:
    """Steps to begin now.

    Steps that compute share this host, as many as there are jobs.  A step that measures waits until none of
    them is there or could be, as they would be in its figures; it shares no device, and this host's, which is
    busy with driving the others, with no measurement at all.

    Args:
        ready: what it needs is done, in the order of the plan.
        running: what runs.
        jobs: most steps that compute at the same time.
    """
    chosen: list[Step] = []
    measuring = [step for step in running if step.device]
    computing = [step for step in running if not step.device]
    wanting = [step for step in ready if not step.device]
    if not measuring:
        chosen += wanting[: max(0, jobs - len(computing))]
    if computing or wanting:
        return chosen
    for step in ready:
        taken = [_identity(other) for other in (*measuring, *chosen)]
        if _identity(step) not in taken and not (taken and LOCAL in (step.device, *taken)):
            chosen.append(step)
    return chosen


def _identity(step: Step) -> str:
    """Of a device: two names may mean the same one."""
    address = step.settings.get("address") or {}
    found = f"{address.get('kind')}:{address.get('where')}:{address.get('port')}"
    return LOCAL if address.get("kind") == LOCAL else found
