"""Signal to quantization noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(slots=True)
class NoiseSums:
    """Sums of squares over as many tensors as are added.

    Attributes:
        signal: of the float values.
        noise: of what the int8 values differ by.
    """

    signal: float = 0.0
    noise: float = 0.0

    def add(self, wanted: torch.Tensor, got: torch.Tensor) -> None:
        """Count two tensors of one shape."""
        self.signal += float((wanted**2).sum())
        self.noise += float(((wanted - got) ** 2).sum())

    @property
    def share(self) -> float:
        """Of the signal that is noise."""
        return self.noise / self.signal if self.signal else 0.0


def decibel(share: float) -> float:
    """SQNR, ``-10 log10`` of the noise's share; infinite without noise."""
    return -10 * math.log10(share) if share else math.inf
