"""``mobiledeploy run``: a project's plan, what of it is there, and doing the rest."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mobiledeploy.deploy.pipeline.cache import FOLDER, Cache, Entry
from mobiledeploy.deploy.pipeline.digests import Digests
from mobiledeploy.deploy.pipeline.execution import Execution, Result
from mobiledeploy.deploy.pipeline.looking import Looker
from mobiledeploy.deploy.pipeline.plan import make_plan
from mobiledeploy.deploy.pipeline.starting import Processes, Settings
from mobiledeploy.deploy.pipeline.step import Step
from mobiledeploy.deploy.pipeline.version import code_version
from mobiledeploy.deploy.pipeline.work import KINDS
from mobiledeploy.deploy.project.creating import write_schema
from mobiledeploy.deploy.project.loading import Project, load
from mobiledeploy.device_tests.lock import hold_file
from mobiledeploy.errors import InputError, OutputError
from mobiledeploy.nearest import did_you_mean
from mobiledeploy.parallel import usable_cores

# More steps side by side than this take more memory than they save time.
MOST_JOBS = 4
State = Literal["fresh", "to do", "after"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A step as a plan shows it.

    Attributes:
        step: the step.
        state: ``fresh``, ``to do``, or ``after``: that depends on what the steps before it make.
        reason: why.
    """

    step: Step
    state: State
    reason: str = ""


class Run:
    """A project that is looked at, or run; the current folder is its folder.

    Args:
        project: what is run.
        plan: of the project.
        again: names or kinds of steps that are to be done anew.
    """

    def __init__(self, project: Project, plan: tuple[Step, ...], again: Sequence[str]) -> None:
        self.plan, self.project = plan, project
        self._cache = Cache()
        self._digests = Digests(self._cache.digests)
        self._looker = Looker(self._cache, self._digests, code_version(), frozenset(again))

    def survey(self) -> tuple[Planned, ...]:
        """What there is of each step.

        Raises:
            InputError: a file of the user's is not there.
        """
        made: dict[str, Entry] = {}
        found: dict[str, Planned] = {}
        for step in self.plan:
            if waits := [name for name in step.needs if name not in made]:
                more = f" and {len(waits) - 1} more" if waits[1:] else ""
                found[step.name] = Planned(step, "after", f"{waits[0]}{more}")
                continue
            looked = self._looker.look(step, made)
            if looked.entry is None:
                found[step.name] = Planned(step, "to do", looked.reason)
                continue
            # What ended in bad news for good lets nothing after it begin.
            bad = f"ended in {looked.entry.code}" if looked.entry.code else ""
            found[step.name] = Planned(step, "fresh", bad)
            if not bad:
                made[step.name] = looked.entry
        return tuple(found.values())

    def run(self, settings: Settings, jobs: int, announce: Callable[[str], None]) -> tuple[Result, ...]:
        """Do what is to be done.

        Raises:
            OutputError: results cannot be kept.
        """
        start = Processes(settings, FOLDER / "logs")
        execution = Execution(self.plan, self._cache, self._looker, start, jobs=jobs, announce=announce)
        self._cache.tidy()
        try:
            return execution.run()
        finally:
            self._cache.write("digests.json", self._digests.to_json())


@contextlib.contextmanager
def opened(
    file: Path,
    again: Sequence[str] = (),
    *,
    alone: bool,
    history: str | None = None,
    scheduler: str | None = None,
    wait: float | None = None,
) -> Iterator[Run]:
    """A project, with its folder as the current one while the block runs.

    Args:
        file: its ``deploy.toml``.
        again: names or kinds of steps that are to be done anew.
        alone: keep other runs out.
        history: where stored baselines and calibrations are; None: the usual one.
        scheduler, wait: of a lab, in place of what the file says; None: as it says.

    Raises:
        InputError, UnsupportedError: the file, or what it asks for, is wrong.
        OutputError: another run is there already, or nothing can be written.
    """
    project = load(file).with_lab(scheduler, wait)
    with contextlib.chdir(project.root):
        plan = make_plan(project, history)
        _check_again(again, plan)
        if not alone:
            yield Run(project, plan, again)
            return
        write_schema(Path())
        with hold_file(FOLDER / "lock", "run") as owner:
            if owner is not None:
                raise OutputError(
                    f"a run is there already: {owner}",
                    where=str(file),
                    hint="Wait until that is done, or end that process",
                )
            yield Run(project, plan, again)


def usual_jobs() -> int:
    """Steps side by side."""
    return min(MOST_JOBS, usable_cores())


def threads_for(jobs: int) -> int:
    """Threads of each step."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else max(1, usable_cores() // jobs)


def _check_again(again: Sequence[str], plan: Sequence[Step]) -> None:
    known = [*KINDS, *(step.name for step in plan)]
    for name in again:
        if name not in known:
            names = ", ".join(step.name for step in plan)
            hint = did_you_mean(name, known, otherwise=names)
            raise InputError("there is no such step", where=f"--again {name}", hint=hint)
