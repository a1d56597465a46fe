"""What a benchmark is going to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.device_tests.affinity import ALL
from mobiledeploy.device_tests.cooling import Coolness
from mobiledeploy.device_tests.launch import LAUNCH_TIMEOUT
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.runner.request import Timing

GOVERNOR = "performance"
TIMING = Timing(warmup_seconds=0.2)
ANY_TEMPERATURE = Coolness()


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting: a file on so many threads."""

    artifact: Artifact
    threads: int

    def __str__(self) -> str:
        return f"{self.artifact.path.name}, threads {self.threads}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and how.

    Attributes:
        artifacts: model files.
        threads: each file on each of these.
        launches: of the runner, for each setting.
        timing: of each launch.
        affinity: cores to bind the runner to (``affinity.check_affinity``).
        governor: to set meanwhile where that is permitted; empty: leave it.
        coolness: to wait for before each launch.
        runner: one of ``equipment.RUNNERS``.
        library: of the engine, for the device; None: from the engine's official wheel.
        profile: one more launch for the time of each operator.
        timeout: of each launch, seconds.
    """

    artifacts: tuple[Artifact, ...]
    threads: tuple[int, ...] = (1,)
    launches: int = 4
    timing: Timing = TIMING
    affinity: str = ALL
    governor: str = GOVERNOR
    coolness: Coolness = ANY_TEMPERATURE
    runner: str = "auto"
    library: Path | None = None
    profile: bool = False
    timeout: float = LAUNCH_TIMEOUT

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every setting."""
        return tuple(Cell(artifact, threads) for artifact in self.artifacts for threads in self.threads)

    @property
    def order(self) -> tuple[int, ...]:
        """Settings by index, in the order of launches: there and back again.

        What changes slowly meanwhile (heat, other work) then falls on all of them alike.
        """
        there = list(range(len(self.cells)))
        return tuple(index for turn in range(self.launches) for index in (there, there[::-1])[turn % 2])
