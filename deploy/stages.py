"""Stages of a long piece of work: announced when they start, timed when they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mobiledeploy.deploy.progress import paced


def silent(_message: str) -> None:
    """Announce nothing."""


class Stages:
    """Times named stages; the same name twice adds up.

    Args:
        announce: called with a short line when a stage starts.
    """

    def __init__(self, announce: Callable[[str], None] = silent) -> None:
        self.announce = announce
        self._seconds: dict[str, float] = {}

    @property
    def seconds(self) -> tuple[tuple[str, float], ...]:
        """(stage, seconds) in order of first start."""
        return tuple(self._seconds.items())

    def progress(self, name: str) -> Callable[[int, int], None]:
        """A function of (done, total) that announces how far a stage is, every few seconds."""
        return paced(name, self.announce)

    @contextmanager
    def stage(self, name: str, detail: str = "") -> Iterator[None]:
        """One stage; its time counts even when it fails."""
        self.announce(f"{name} {detail}".rstrip())
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start
