"""A process that does one step: its task is the first line of stdin, what it says are lines of JSON.

It lives no longer than the process that started it: the end of stdin ends it and all that it started.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any, TextIO

from mobiledeploy.deploy.failures import describe, describe_defect
from mobiledeploy.deploy.pipeline.work import Task, perform
from mobiledeploy.errors import MobileDeployError


def main() -> None:
    """Read the task, do it, say what came of it."""
    if not os.environ.get("MOBILEDEPLOY_DEBUG"):
        warnings.simplefilter("ignore")
    say = _Voice(_own_stdout())
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    task = Task(
        step=order["step"],
        settings=order["settings"],
        inputs={name: Path(path) for name, path in order["inputs"].items()},
        folder=Path(order["folder"]),
        announce=lambda message: say(announce=message),
        **order["for_all"],
    )
    try:
        done = perform(order["kind"], task)
    except MobileDeployError as error:
        say(error=describe(error))
    except Exception as error:  # noqa: BLE001 (the parent tells it)
        # Into the step's log.
        traceback.print_exc()
        say(error=describe_defect(error))
    else:
        say(data=done.data, code=done.code, final=done.final)


class _Voice:
    """Writes lines of JSON; several threads may announce."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def __call__(self, **said: Any) -> None:
        with self._lock:
            self._stream.write(json.dumps(said, default=str) + "\n")
            self._stream.flush()


def _own_stdout() -> TextIO:
    """Stdout for this module alone: what libraries print goes to stderr."""
    mine = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return mine


def _end_with_stdin() -> None:
    # Unbuffered: another thread that ends the interpreter must find no lock held.
    while os.read(sys.stdin.fileno(), 1):
        pass
    # The parent made this process the first of a group.
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
