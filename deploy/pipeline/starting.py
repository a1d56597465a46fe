"""Starts the process of a step, and listens to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mobiledeploy.deploy.pipeline.step import Step
from mobiledeploy.errors import EnvironmentProblem, MobileDeployError
from mobiledeploy.writing import writing

# A step that is told to end has so long.
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for all steps of a run and changes none of their results.

    Attributes:
        threads: of this host for each.
        store, history, label, scheduler, wait: as in ``work.Task``.
    """

    threads: int = 1
    store: bool = False
    history: str | None = None
    label: str | None = None
    scheduler: str | None = None
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Came:
    """What a process said at its end.

    Attributes:
        data, code, final: as in ``work.Done``.
        error: described; None: there was none.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    code: int = 0
    final: bool = True
    error: Mapping[str, Any] | None = None


class Start(Protocol):
    """Does a step somewhere, and waits for its end."""

    def __call__(
        self, step: Step, inputs: Mapping[str, Path], folder: Path, announce: Callable[[str], None]
    ) -> Came:
        """Do it; its outputs are to be in ``folder``."""

    def end(self) -> None:
        """End all that was begun, and begin no more."""


class Processes:
    """A process for each step; several threads may start them.

    Args:
        settings: of the run.
        logs: folder for what each process prints.
    """

    def __init__(self, settings: Settings, logs: Path) -> None:
        self._settings, self._logs = settings, logs
        self._running: set[subprocess.Popen[str]] = set()
        self._lock, self._over = threading.Lock(), False

    def __call__(
        self, step: Step, inputs: Mapping[str, Path], folder: Path, announce: Callable[[str], None]
    ) -> Came:
        """Start a step's process and wait for its end.

        Raises:
            OutputError: its log cannot be written.
        """
        order = {
            "step": step.name,
            "kind": step.kind,
            "settings": step.settings,
            "inputs": {name: str(path) for name, path in inputs.items()},
            "folder": str(folder),
            "for_all": asdict(self._settings),
        }
        # A step has the same log each time.
        log = self._logs / f"{''.join(c if c.isalnum() else '_' for c in step.name)}.log"
        with writing(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("w", encoding="utf-8") as written:
                return self._listen(step, json.dumps(order), written, log, announce)

    def end(self) -> None:
        """End all processes, and start no more."""
        with self._lock:
            self._over, running = True, list(self._running)
        for process in running:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in running:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                with suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _listen(
        self, step: Step, order: str, written: Any, log: Path, announce: Callable[[str], None]
    ) -> Came:
        with self._lock:
            if self._over:
                return Came(code=EnvironmentProblem.exit_code, error={"message": "not begun"})
            process = subprocess.Popen(
                # -P: no file of the project stands in for a module of the library.
                [sys.executable, "-P", "-m", "mobiledeploy.deploy.pipeline.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
                encoding="utf-8",
                env=_environment(self._settings.threads),
                start_new_session=True,
            )
            self._running.add(process)
        came = None
        try:
            if process.stdin is None or process.stdout is None:
                raise ValueError(step.name)
            with suppress(BrokenPipeError):
                # It stays open: its end is the process's.
                process.stdin.write(f"{order}\n")
                process.stdin.flush()
            for line in process.stdout:
                said = json.loads(line)
                if "announce" in said:
                    announce(said["announce"])
                else:
                    came = Came(**said)
            code = process.wait()
        finally:
            with self._lock:
                self._running.discard(process)
            with suppress(OSError):
                if process.stdin:
                    process.stdin.close()
        return came or Came(error=_silent_end(step, code, log))


def _silent_end(step: Step, code: int, log: Path) -> dict[str, Any]:
    if code == -signal.SIGKILL:
        what, hint = "its process was killed", "Often the memory is full: see the system's log"
        number = EnvironmentProblem.exit_code
    else:
        what, hint = f"its process ended with {code} and no result", f"See {log}"
        number = MobileDeployError.exit_code
    message = f"{step.name}: {what}. {hint}"
    return {
        "kind": "ProcessEnd",
        "message": message,
        "what": what,
        "where": step.name,
        "hint": hint,
        "exit_code": number,
    }


def _environment(threads: int) -> dict[str, str]:
    """This process's own, with its relative paths made absolute and its threads bounded."""
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
    if "PYTHONPATH" in environment:
        places = environment["PYTHONPATH"].split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(place).absolute()) for place in places if place)
    return environment
