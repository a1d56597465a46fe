"""Where the files of a sweep are made: on all cores of this host, or on those of a lab's hosts."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from mobiledeploy.device_tests.lab.order import Made, Order, do
from mobiledeploy.device_tests.lab.settings import configure
from mobiledeploy.parallel import usable_cores


def compute(
    orders: Sequence[Order[Made]], scheduler: str | None, announce: Callable[[str], None]
) -> Iterator[Made]:
    """What orders make, in their order, as many at a time as there are cores.

    Args:
        orders: that can be pickled, and give the same wherever they are done.
        scheduler: of a lab; None: they are done here.  They are, too, where no host of it has cores.
        announce: told where they are done.

    Raises:
        LabUnavailableError: no lab's scheduler answers, or it has gone.
        EnvironmentProblem: Dask is not installed, or of another version.
        Exception: what the first order that failed has raised.
    """
    if scheduler is None:
        yield from _here(orders)
        return
    configure()
    from mobiledeploy.device_tests.lab.client import open_lab

    with open_lab(scheduler) as lab:
        if cores := lab.cores():
            announce(", ".join(f"{count} cores of {host}" for host, count in cores.items()))
            yield from lab.compute(orders)
            return
    announce("no host of the lab has cores that compute: done here")
    yield from _here(orders)


def _here(orders: Sequence[Order[Made]]) -> Iterator[Made]:
    with ProcessPoolExecutor(usable_cores(), multiprocessing.get_context("spawn")) as pool:
        made = [pool.submit(do, order) for order in orders]
        try:
            for future in made:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)
