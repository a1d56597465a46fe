"""Progress on stderr: moving on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Lines come no more often than this, in seconds.
INTERVAL = 5.0


@contextmanager
def announcer() -> Iterator[Callable[[str], None]]:
    """A function that shows what is being done now."""
    if not sys.stderr.isatty():
        yield lambda message: _line(f"{message} ...")
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("starting") as status:
        yield lambda message: status.update(escape(message))


@contextmanager
def counter(label: str) -> Iterator[Callable[[int, int], None]]:
    """A function of (done, total) that shows how far the work is."""
    if not sys.stderr.isatty():
        yield paced(label, _line)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def journal(label: str) -> Iterator[tuple[Callable[[int, int], None], Callable[[str], None]]]:
    """As ``counter``, and a function that leaves a line."""
    with counter(label) as progress:
        yield progress, _line


def paced(label: str, say: Callable[[str], None]) -> Callable[[int, int], None]:
    """A function of (done, total) that says how far the work is, every few seconds."""
    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= INTERVAL:
            last = time.monotonic()
            say(f"{label} {done} of {total}")

    return show


def _line(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
