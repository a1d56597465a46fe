"""A runner that does as it is told: ``scripted_runner.py STATE WORDS... --engine ...``.

Each launch takes the next word of STATE, a file, and behaves like that.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def say(event: str, **values: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def main() -> None:
    state = Path(sys.argv[1])
    words = state.read_text().split()
    word = words[0] if words else "well"
    state.write_text(" ".join(words[1:]))
    with state.with_suffix(".calls").open("a") as calls:
        calls.write(" ".join(sys.argv[2:]) + "\n")
    if word == "silent":
        return
    if word == "garbage":
        sys.stdout.write("\x1b[31m{]\n" * 50)
        sys.exit(3)
    if word == "model":
        say("error", code="model", message="no such\nop")
        say("end", exit_code=66)
        sys.exit(66)
    say("hello", protocol=1, runner="scripted 1", engine="litert", engine_version="0", clock="made up", pid=1)
    tensor = {"name": "x", "dtype": "int8", "shape": [1, 4], "bytes": 4}
    say("model", inputs=[tensor], outputs=[tensor], delegate="XNNPACK", nodes=4, delegated=3)
    say("init", ns=1000)
    say("first", ns=2000)
    if word != "idle":
        say("samples", start=10, gaps=[0, 100], ns=[100, 110])
    if word == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "slow":
        time.sleep(60)
    say("memory", before=1, peak=5_000_000)
    say("outputs", items=1, sha256=("b" if word == "other" else "a") * 64, steady=word != "unsteady")
    if "--profile" in sys.argv:
        say("profile", ops=[{"name": "n", "kind": "CONV_2D", "ns": 50, "calls": 1}])
    say("end", exit_code=0)


main()
