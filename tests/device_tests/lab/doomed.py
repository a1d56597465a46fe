"""One operation in a process of its own that ends by a signal at one step: ``doomed.py SPECIFICATION``."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.faulty_transport import Fault, FaultyTransport, step_of
from lab.trial import LAUNCHES, RULE, Trial
from mobiledeploy.device_tests import load, references
from mobiledeploy.device_tests.benchmark import Measured
from mobiledeploy.device_tests.transport import Completed
from mobiledeploy.runtimes.formats import read_artifact
from mobiledeploy.runtimes.runner.request import Timing
from mobiledeploy.truth.classes import list_images

# For the command to be under way.
UNDER_WAY = 0.15


@dataclass
class Doomed(FaultyTransport):
    """Once it comes to the fault this process gets the signal that ``fault.kind`` names."""

    _end: threading.Timer | None = None

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> Completed:
        if self._strikes(step_of(argv)):
            self._end_soon()
        done = self._inner.run(argv, timeout)
        self._wait()
        return done

    def _send(self, local: Path, part: str, timeout: float) -> str:
        if self._strikes("send"):
            data = local.read_bytes()
            Path(part).write_bytes(data[: len(data) // 2])
            self._end_soon()
        self._wait()
        Path(part).write_bytes(local.read_bytes())
        return ""

    def _fetch(self, remote: str, part: Path, timeout: float) -> str:
        if self._strikes("fetch"):
            data = Path(remote).read_bytes()
            part.write_bytes(data[: len(data) // 2])
            self._end_soon()
        self._wait()
        part.write_bytes(Path(remote).read_bytes())
        return ""

    def _end_soon(self) -> None:
        assert self.fault is not None
        number = getattr(signal, self.fault.kind)
        self._end = threading.Timer(UNDER_WAY, os.kill, (os.getpid(), number))
        self._end.start()

    def _wait(self) -> None:
        """The end comes here at the latest, not in the step after this."""
        if self._end:
            self._end.join()
            time.sleep(UNDER_WAY)
            self._end = None


def main(text: str) -> None:
    given = json.loads(text)
    # A shell that starts something in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fault = Fault(**given["fault"])
    load._TWICE = ("sh", "-c", load._TWICE[2].replace("sleep 1", "sleep 0.01"))
    transport = Doomed(Path(given["work"]), fault)
    references.open_transport = lambda address: transport
    # Long enough that the runner outlives the harness.
    timing = Timing(1, 0, 5, given["seconds"])
    images = list_images(Path(given["images"]))
    trial = Trial("lab", read_artifact(Path(given["model"])), images, RULE, timing=timing)
    print("ready", flush=True)  # noqa: T201
    done = trial.do(fault.job)
    if isinstance(done, Measured):
        assert all(run.complete is (len(run.launches) == LAUNCHES) for run in done.runs)
    print("done", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
