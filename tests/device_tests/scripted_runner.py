"""A runner that does as it is told: ``scripted_runner.py STATE WORDS... --engine ...``.

Each launch takes the next word of STATE, a file, and behaves like that.  Where STATE holds a JSON
object instead, samples come from a noise model:

    ns       median inference of a model file, by its size in bytes; "" for every other
    sd       of launches, in the logarithm; sd_within: of the inferences of one
    drift    of all launches, in the logarithm, for each
    until    launch from which on every model takes the time of ""; -1: never
    words    launch -> word
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any


def say(event: str, **values: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def made_up(noise: dict[str, Any], words: list[str]) -> list[int]:
    """Samples of one launch, the same for the same launch."""
    launch = noise.get("launch", 0)
    generator = random.Random(noise.get("seed", 0) * 100_003 + launch)  # noqa: S311
    size = str(Path(words[words.index("--model") + 1]).stat().st_size)
    slow = not 0 <= noise.get("until", -1) <= launch
    base = noise["ns"].get(size if slow else "", noise["ns"][""])
    level = math.log(base) + generator.gauss(0, noise.get("sd", 0)) + noise.get("drift", 0) * launch
    return [round(math.exp(level + generator.gauss(0, noise.get("sd_within", 0.002)))) for _ in range(20)]


def main(arguments: list[str]) -> None:
    state = Path(arguments[0])
    text = state.read_text()
    noise = json.loads(text) if text.startswith("{") else None
    if noise:
        word = noise.get("words", {}).get(str(noise.get("launch", 0)), "well")
        state.write_text(json.dumps({**noise, "launch": noise.get("launch", 0) + 1}))
    else:
        words = text.split()
        word = words[0] if words else "well"
        state.write_text(" ".join(words[1:]))
    with state.with_suffix(".calls").open("a") as calls:
        calls.write(" ".join(arguments[1:]) + "\n")
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
    if noise and word != "idle":
        samples = made_up(noise, arguments)
        say("samples", start=10, gaps=[0] * len(samples), ns=samples)
    elif word != "idle":
        say("samples", start=10, gaps=[0, 100], ns=[100, 110])
    if word == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "slow":
        time.sleep(60)
    say("memory", before=1, peak=5_000_000)
    say("outputs", items=1, sha256=("b" if word == "other" else "a") * 64, steady=word != "unsteady")
    if "--profile" in arguments:
        say("profile", ops=[{"name": "n", "kind": "CONV_2D", "ns": 50, "calls": 1}])
    say("end", exit_code=0)


if __name__ == "__main__":
    main(sys.argv[1:])
