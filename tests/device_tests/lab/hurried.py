"""A transport that tells where the harness is, and waits less long than a user would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lab.faulty_transport import step_of
from mobiledeploy.device_tests.transport import COPY_TIMEOUT, RUN_TIMEOUT, Completed, Transport


class Hurried:
    """Another transport.

    Args:
        inner: that does the work.
        begin: is told each step as ``step_of`` names it, ``push`` and ``pull`` before it begins.
        hurry: whether it is one.
        longest: seconds for a command and for a copy, in a hurry.
    """

    def __init__(
        self,
        inner: Transport,
        begin: Callable[[str], None],
        hurry: Callable[[], bool],
        longest: tuple[float, float],
    ) -> None:
        self._inner, self._begin, self._hurry, self._longest = inner, begin, hurry, longest
        self.name, self.reconnect, self.close = inner.name, inner.reconnect, inner.close

    def run(self, argv: Sequence[str], timeout: float = RUN_TIMEOUT) -> Completed:
        self._begin(step_of(argv))
        return self._inner.run(argv, self._limit(timeout, 0))

    def push(self, local: Path, remote: str, mode: int = 0o644, timeout: float = COPY_TIMEOUT) -> None:
        self._begin("push")
        self._inner.push(local, remote, mode, self._limit(timeout, 1))

    def pull(self, remote: str, local: Path, timeout: float = COPY_TIMEOUT) -> None:
        self._begin("pull")
        self._inner.pull(remote, local, self._limit(timeout, 1))

    def _limit(self, timeout: float, kind: int) -> float:
        return min(timeout, self._longest[kind]) if self._hurry() else timeout
