"""Work of several threads in the order of what was given to them."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

# Items in work or done and not yet collected, per worker: what keeps the memory flat.
_AHEAD = 2

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_order(function: Callable[[_Item], _Result], items: Iterable[_Item], workers: int) -> Iterator[_Result]:
    """Results of a function run by several threads, in the order of the items.

    The first error in that order is raised, and what has not begun is dropped.
    """
    pool = ThreadPoolExecutor(workers)
    pending: deque[Future[_Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > _AHEAD * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def each_until_interrupted(
    function: Callable[[_Item], _Result],
    items: Sequence[_Item],
    announce: Callable[[str], None],
    stop: threading.Event,
) -> tuple[_Result, ...]:
    """Results of a function run for all items at once, a thread each.

    The first KeyboardInterrupt sets ``stop``, and what the function then gives is waited for; a second
    one is raised.
    """
    with ThreadPoolExecutor(len(items)) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            return tuple(future.result() for future in futures)
        except KeyboardInterrupt:
            stop.set()
            announce("stops after the launches that are running; interrupt again to leave them")
            return tuple(future.result() for future in futures)


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
