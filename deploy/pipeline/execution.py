"""Does the steps of a plan: what is there already is taken, what can be done side by side is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from mobiledeploy.deploy.failures import describe
from mobiledeploy.deploy.pipeline.cache import Cache, Entry
from mobiledeploy.deploy.pipeline.looking import Looked, Looker
from mobiledeploy.deploy.pipeline.publishing import publish, retract
from mobiledeploy.deploy.pipeline.scheduling import next_steps
from mobiledeploy.deploy.pipeline.starting import Came, Start
from mobiledeploy.deploy.pipeline.step import Step
from mobiledeploy.errors import InputError, MobileDeployError
from mobiledeploy.writing import writing

State = Literal["fresh", "done", "failed", "skipped"]
# The worst first: a defect, then what cannot be helped by doing it again; of gates as `gate` has it.
WORST_FIRST = (1, 7, 6, 3, 4, 5, 9, 8, 10)


@dataclass(frozen=True, slots=True)
class Result:
    """How a step ended.

    Attributes:
        step: its name.
        state: ``fresh``: taken as it was; ``done``, ``failed``, or ``skipped``: what it needs has failed.
        code: exit code.
        reason: why it was to be done, or why it was not.
        seconds: that it took, when it was done.
        data: what it says.
        error: described.
        files: paths where its outputs are.
    """

    step: str
    state: State
    code: int = 0
    reason: str = ""
    seconds: float = 0.0
    data: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Made:
    """What a thread hands back."""

    came: Came
    folder: Path
    seconds: float


class Execution:
    """One run of a plan.

    Args:
        plan: each step after those that it needs.
        cache: of the project, locked.
        looker: tells what is there.
        start: does a step.
        jobs: steps that compute at the same time, at most.
        announce: told what is done now, from several threads.
    """

    def __init__(
        self,
        plan: Sequence[Step],
        cache: Cache,
        looker: Looker,
        start: Start,
        *,
        jobs: int,
        announce: Callable[[str], None],
    ) -> None:
        self._plan, self._cache, self._looker, self._start = plan, cache, looker, start
        self._jobs, self._announce = jobs, announce
        self._made: dict[str, Entry] = {}
        self._results: dict[str, Result] = {}
        self._looked: dict[str, Looked] = {}

    def run(self) -> tuple[Result, ...]:
        """Do what is to be done.

        Returns:
            In the order of the plan.

        Raises:
            OutputError: results cannot be kept.
        """
        running: dict[Future[_Made], Step] = {}
        with ThreadPoolExecutor(len(self._plan)) as pool:
            try:
                while len(self._results) < len(self._plan):
                    ready = self._ready({step.name for step in running.values()})
                    for step in next_steps(ready, running.values(), self._jobs):
                        running[pool.submit(self._do, step)] = step
                    if running:
                        done, _ = wait(running, return_when=FIRST_COMPLETED)
                        for future in done:
                            self._end(running.pop(future), future.result())
            except BaseException:
                # The pool waits for its threads, and they for their steps.
                self._start.end()
                raise
        for step in self._plan:
            self._take_back(step)
        return tuple(self._results[step.name] for step in self._plan)

    def _ready(self, running: set[str]) -> list[Step]:
        """Steps that can be done now; those that need not or cannot be done get their results here."""
        ready = []
        for step in self._plan:
            if step.name in self._results or step.name in running:
                continue
            needs = [self._results.get(name) for name in step.needs]
            if bad := next((found for found in needs if found and found.code), None):
                reason = f"{bad.step} has not ended well"
                self._results[step.name] = Result(step.name, "skipped", bad.code, reason)
            elif all(needs) and self._look(step):
                ready.append(step)
        return ready

    def _look(self, step: Step) -> bool:
        """Whether a step is to be done."""
        if step.name in self._looked:
            return True
        try:
            looked = self._looker.look(step, self._made)
            if looked.entry is not None:
                self._take(step, looked.entry, "fresh", "")
                return False
        except MobileDeployError as error:
            self._fail(step, describe(error), "")
            return False
        self._looked[step.name] = looked
        return True

    def _take(self, step: Step, entry: Entry, state: State, reason: str) -> None:
        """A step's result for those after it, and for the user.

        Raises:
            MobileDeployError: it cannot be published.
        """
        self._cache.use(step.name, entry.key)
        files = publish(step, entry, self._cache.work)
        self._made[step.name] = entry
        self._results[step.name] = Result(
            step.name, state, entry.code, reason, entry.seconds, entry.data, None, files
        )

    def _do(self, step: Step) -> _Made:
        """In a thread of its own."""
        folder = self._cache.work / f"step-{self._plan.index(step)}"
        with writing(folder):
            (folder / "files").mkdir(parents=True)
        inputs = {
            name: self._made[product.step].folder / product.file for name, product in step.takes.items()
        }
        self._tell(step, "begins")
        begun = time.perf_counter()
        came = self._start(step, inputs, folder / "files", partial(self._tell, step))
        return _Made(came, folder, time.perf_counter() - begun)

    def _end(self, step: Step, made: _Made) -> None:
        looked, came = self._looked[step.name], made.came
        if came.error is not None:
            self._fail(step, self._keep_rejected(step, came.error, made.folder), looked.reason)
            return
        try:
            if self._looker.ingredients(step, self._made) != looked.ingredients:
                raise InputError("its input changed while it was read", where=step.name, hint="Run again")
            if came.final:
                entry = self._cache.keep(
                    step.name,
                    looked.ingredients,
                    made.folder,
                    code=came.code,
                    data=came.data,
                    seconds=made.seconds,
                )
                self._take(step, entry, "failed" if came.code else "done", looked.reason)
            else:
                self._results[step.name] = Result(
                    step.name, "failed", came.code, looked.reason, made.seconds, came.data
                )
        except MobileDeployError as error:
            self._fail(step, describe(error), looked.reason)
            return
        self._tell(step, "failed" if came.code else "done")

    def _fail(self, step: Step, error: Mapping[str, Any], reason: str) -> None:
        code = int(error.get("exit_code", MobileDeployError.exit_code))
        self._results[step.name] = Result(step.name, "failed", code, reason, error=error)
        self._tell(step, f"failed: {error.get('message', '')}")

    def _keep_rejected(self, step: Step, error: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """A file that did not pass its verification goes where it would have gone, under its other name."""
        places = {name: Path(path) for name, path in step.publishes.items()}
        for rejected in (folder / "files").glob("*.rejected"):
            final = places.get(rejected.name.removesuffix(".rejected"))
            if final is not None:
                with writing(final):
                    final.parent.mkdir(parents=True, exist_ok=True)
                    rejected.replace(final.with_name(rejected.name))
        inside, outside = f"{folder / 'files'}/", ""
        if places:
            outside = f"{next(iter(places.values())).parent}/"
        return {
            key: value.replace(inside, outside) if isinstance(value, str) else value
            for key, value in error.items()
        }

    def _take_back(self, step: Step) -> None:
        """What an earlier run published of a step that has no result now would pass for one of this run."""
        found = self._results[step.name]
        last = self._cache.latest(step.name)
        if found.code and not found.files and last and (entry := self._cache.find(last)):
            gone = retract(step, entry)
            if gone:
                reason = f"{found.reason}; taken away: {', '.join(gone)}".removeprefix("; ")
                self._results[step.name] = replace(found, reason=reason)

    def _tell(self, step: Step, message: str) -> None:
        self._announce(f"[{len(self._results)} of {len(self._plan)}] {step.name}: {message}")


def worst_code(results: Sequence[Result]) -> int:
    """The exit code of a run."""
    codes = {result.code for result in results}
    known = next((code for code in WORST_FIRST if code in codes), 0)
    return known or max(codes, default=0)
