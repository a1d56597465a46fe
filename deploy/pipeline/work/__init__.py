"""What each kind of step does: a file here with ``run(task)``, and a line in ``KINDS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from mobiledeploy.deploy.stages import silent

# Kind -> module of this package, loaded in the process that does the step.
KINDS: Mapping[str, str] = {
    "export": "preparing",
    "quantize": "preparing",
    "convert": "converting",
    "verify": "verifying",
    "evaluate": "evaluating",
    "benchmark": "benchmarking",
    "gate": "gating",
    "package": "packaging",
}


@dataclass(frozen=True, slots=True)
class Task:
    """A step as its process gets it; the current folder is the project's.

    Attributes:
        step: its name.
        settings: of the step.
        inputs: what it takes of other steps, by name.
        folder: where it writes its outputs; empty and there.
        threads: that it may use on this host.
        store: whether what it measures on devices goes into a history.
        history: which one; None: the usual one.
        label: of what is stored.
        scheduler: of the lab that has the devices; None: this host has them, or a lab of it alone.
        wait: seconds to wait for a device of a lab that is free.
        announce: told what is done now.
    """

    step: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, Path]
    folder: Path
    threads: int = 1
    store: bool = False
    history: str | None = None
    label: str | None = None
    scheduler: str | None = None
    wait: float = 0.0
    announce: Callable[[str], None] = silent


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it.

    Attributes:
        data: JSON values for the user.
        code: exit code, if it is bad news.
        final: to do it again would tell nothing new.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    code: int = 0
    final: bool = True


def perform(kind: str, task: Task) -> Done:
    """Do a step.

    Raises:
        MobileDeployError: it cannot be done.
    """
    run: Callable[[Task], Done] = import_module(f"{__name__}.{KINDS[kind]}").run
    return run(task)
