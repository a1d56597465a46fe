"""What the benchmark scripts share: peers' own environments, whole-process figures, ratios by pair."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
DATA = Path(os.environ.get("MOBILEDEPLOY_DATA", ROOT.parent / "shared" / "data"))
MOBILEDEPLOY = Path(sys.executable).with_name("mobiledeploy")


@dataclass(frozen=True)
class Process:
    """A finished process: wall seconds and peak memory of its largest member in MB."""

    seconds: float
    peak_mb: float


def run(command: Sequence[str | Path]) -> Process:
    """Run a command to its end, its output discarded; fails if it fails."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert child.stderr is not None
    tail = child.stderr.read()[-2000:]
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{command[0]} failed:\n{tail.decode(errors='replace')}")
    return Process(seconds, usage.ru_maxrss / 1024)


def alternate(count: int, *arms: Callable[[], Process]) -> list[list[Process]]:
    """Each arm ``count`` times in turn, after one round that is not counted."""
    rounds = [[arm() for arm in arms] for _ in range(count + 1)]
    return [list(column) for column in zip(*rounds[1:], strict=True)]


def ratio(over: Sequence[float], under: Sequence[float]) -> str:
    """Median and range of the ratios by pair."""
    pairs = sorted(a / b for a, b in zip(over, under, strict=True))
    return f"{statistics.median(pairs):.2f} ({pairs[0]:.2f}-{pairs[-1]:.2f})"


def peer(name: str, *packages: str) -> Path:
    """Python of a peer's own environment, made on first use."""
    home = BUILD / "peers" / name
    python = home / "bin" / "python"
    if not (home / ".ready").exists():
        print(f"installing {' '.join(packages)} into {home.relative_to(ROOT)} ...", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
        (home / ".ready").touch()
    return python
