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

from lab.faulty_transport import Fault, FaultyTransport
from lab.trial import LAUNCHES, RULE, Trial
from mobiledeploy.device_tests import load, references
from mobiledeploy.device_tests.benchmark import Measured
from mobiledeploy.device_tests.transport import Completed
from mobiledeploy.images import list_images
from mobiledeploy.runtimes.formats import read_artifact
from mobiledeploy.runtimes.runner.request import Timing

# For the command to be under way.
UNDER_WAY = 0.15


@dataclass
class Doomed(FaultyTransport):
    """Once it comes to the fault this process gets the signal that ``fault.kind`` names."""

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> Completed:
        if self.fault and self._strikes_now(argv):
            self._end_soon()
        return self._inner.run(argv, timeout)

    def _send(self, local: Path, part: str, timeout: float) -> str:
        if self.fault and self._strikes("send"):
            data = local.read_bytes()
            Path(part).write_bytes(data[: len(data) // 2])
            self._end_soon()
            time.sleep(2 * UNDER_WAY)
        Path(part).write_bytes(local.read_bytes())
        return ""

    def _strikes_now(self, argv: Sequence[str]) -> bool:
        from lab.faulty_transport import step_of

        return self._strikes(step_of(argv))

    def _end_soon(self) -> None:
        assert self.fault is not None
        number = getattr(signal, self.fault.kind)
        threading.Timer(UNDER_WAY, os.kill, (os.getpid(), number)).start()


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
