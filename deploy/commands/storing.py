"""Measured runs into the history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mobiledeploy.errors import EnvironmentProblem, MobileDeployError

if TYPE_CHECKING:
    from mobiledeploy.device_tests.history.documents import Run


def store(runs: Iterable[Run], history: str | None, label: str | None) -> tuple[list[str], str]:
    """Keep runs in the history; what was measured is not lost where that fails.

    Args:
        runs: of latency or accuracy, and findings.
        history: as the user named it; None: the usual one.
        label: the user's own word.

    Returns:
        Ids of the stored ones, and what went wrong; empty if nothing did, or if the packages that a
        history needs are not installed and none was asked for.
    """
    identities: list[str] = []
    try:
        from mobiledeploy.device_tests.history import open_history

        with open_history(history) as opened:
            # One by one: those before a failure are stored.
            identities.extend(opened.add(run, label=label) for run in runs)
    except EnvironmentProblem as problem:
        return identities, str(problem) if history or label else ""
    except MobileDeployError as error:
        return identities, str(error)
    return identities, ""
