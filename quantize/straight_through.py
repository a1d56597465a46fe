"""Rounding that gradients pass."""

from __future__ import annotations

from typing import Any

import torch


class _StraightThrough(torch.autograd.Function):
    """Quantize and dequantize, as if the derivative were 1 inside the range of the codes, and 0 outside.

    Source: Bengio et al., Estimating or Propagating Gradients Through Stochastic Neurons, arXiv 1308.3432,
    section 3; the clipping as in Jacob et al., arXiv 1712.05877, section 3.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, scale: float, zero_point: int, low: int, high: int
    ) -> torch.Tensor:
        """``scale * (clip(round(x / scale) + zero_point) - zero_point)``."""
        # What quantize and dequantize do, and several times as fast as torch.fake_quantize.
        codes = (x * (1.0 / scale)).round_().add_(zero_point)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward((codes >= low) & (codes <= high))
        return codes.clamp_(low, high).sub_(zero_point).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
        """The gradient of what was not clipped."""
        (passed,) = ctx.saved_tensors
        return gradient * passed, None, None, None, None


def straight_through(x: torch.Tensor, scale: float, zero_point: int, low: int, high: int) -> torch.Tensor:
    """``x`` at its codes, in reals."""
    rounded: torch.Tensor = _StraightThrough.apply(x, scale, zero_point, low, high)  # type: ignore[no-untyped-call]
    return rounded
