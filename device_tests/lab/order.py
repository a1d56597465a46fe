"""What is computed somewhere: on this host's cores or a lab's.  Imports no Dask."""

from __future__ import annotations

from typing import Protocol, TypeVar

Made = TypeVar("Made", covariant=True)


class Order(Protocol[Made]):
    """Plain data that can be pickled, and gives the same everywhere."""

    def do(self) -> Made:
        """Do it."""


def do(order: Order[Made]) -> Made:
    """What another process runs."""
    return order.do()
