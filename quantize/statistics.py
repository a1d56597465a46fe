"""What calibration keeps of a tensor: extremes and a histogram of fixed size."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

BINS = 8192
# Values of one tensor that go into the histogram per image; the extremes see all of them.
_SAMPLE = 1 << 13


def _no_counts() -> torch.Tensor:
    return torch.zeros(BINS, dtype=torch.float64)


@dataclass
class TensorStatistics:
    """Extremes and histogram of everything that was seen; memory does not grow with it.

    The histogram's bins divide [-limit, limit] evenly.  The limit is a power of two, so that growing
    it merges whole bins and the result does not depend on rounding.

    Attributes:
        low, high: smallest and largest value, 0 included (zero has to be representable).
        channels: (2, channels) smallest and largest value per channel of an NCHW tensor, None for others
            and where tensors of different shapes share the statistics.
        limit: outer edge of the histogram, 0 before the first value.
        counts: (BINS,) sampled values per bin.
    """

    low: float = 0.0
    high: float = 0.0
    channels: torch.Tensor | None = None
    limit: float = 0.0
    counts: torch.Tensor = field(default_factory=_no_counts)

    def add(self, values: torch.Tensor) -> None:
        """Take in a float tensor of any shape.

        Raises:
            FloatingPointError: it holds NaN or an infinity.
        """
        flat = values.detach().reshape(-1)
        if values.dim() == 4 and len(values) == 1:
            # Several times as fast as aminmax with an axis.
            lows, highs = values.detach()[0].amin((1, 2)), values.detach()[0].amax((1, 2))
            self._add_channels(lows, highs)
            low, high = float(lows.amin()), float(highs.amax())
        else:
            low, high = (float(extreme) for extreme in torch.aminmax(flat))
        if not math.isfinite(low) or not math.isfinite(high):
            raise FloatingPointError("NaN or infinity")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._grow(max(-low, high))
        if self.limit:
            # An odd step visits every column and channel of the even-sized tensors of networks.
            step = flat.numel() // _SAMPLE | 1
            self.counts += torch.histc(flat[::step].float(), BINS, -self.limit, self.limit).double()

    @property
    def centres(self) -> torch.Tensor:
        """(BINS,) the value that stands for each bin."""
        width = 2 * self.limit / BINS
        return (torch.arange(BINS, dtype=torch.float64) + 0.5) * width - self.limit

    def _add_channels(self, lows: torch.Tensor, highs: torch.Tensor) -> None:
        seen = self.channels
        if not self.limit and seen is None:
            self.channels = torch.stack([lows, highs])
        elif seen is not None and seen.shape[1] == len(lows):
            self.channels = torch.stack([torch.minimum(seen[0], lows), torch.maximum(seen[1], highs)])
        else:
            self.channels = None

    def _grow(self, largest: float) -> None:
        if largest <= self.limit or largest == 0:
            return
        wanted = 2.0 ** math.ceil(math.log2(largest))
        if not self.limit:
            self.limit = wanted
        while self.limit < wanted:
            merged = self.counts.reshape(-1, 2).sum(1)
            self.counts = _no_counts()
            self.counts[BINS // 4 : BINS - BINS // 4] = merged
            self.limit *= 2
