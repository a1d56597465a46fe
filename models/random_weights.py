"""Weights that were not trained, the same ones every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SEED = 0


@contextmanager
def seeded() -> Iterator[None]:
    """What is drawn inside is the same in every run; the caller's generator is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        yield


def image_input(channels: int, height: int, width: int) -> tuple[torch.Tensor]:
    """One seeded standard normal image of shape (1, channels, height, width)."""
    import torch

    generator = torch.Generator("cpu").manual_seed(SEED)
    return (torch.randn(1, channels, height, width, generator=generator, device="cpu"),)
