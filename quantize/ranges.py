"""From the statistics of a tensor to the range that its codes cover.  One function per method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from mobiledeploy.quantize.recipe import RangeMethod, Recipe
from mobiledeploy.quantize.statistics import TensorStatistics


@dataclass(frozen=True, slots=True)
class Codes:
    """The integers that stand for an activation's values.

    Attributes:
        dtype: of the stored codes.
        lowest, highest: of the codes.
        symmetric: whether zero is code 0 always.
    """

    dtype: torch.dtype
    lowest: int
    highest: int
    symmetric: bool

    @property
    def steps(self) -> int:
        """Steps between the lowest and the highest code."""
        return self.highest - self.lowest


INT8 = Codes(torch.int8, -128, 127, symmetric=False)
# As TFLite's kernels have them.
INT16 = Codes(torch.int16, -32767, 32767, symmetric=True)
LEVELS = 256
# Headroom of a model's output over the largest calibrated value: what is cut off at the top ties.
OUTPUT_HEADROOM = 1.5
# A tensor that was only ever zero.
_UNIT_SCALE = 1.0 / LEVELS
_SHRINKS = torch.linspace(0.3, 1.0, 71, dtype=torch.float64).tolist()

Range = tuple[float, float]
# (bin centres, counts, low, high) -> what a range costs.
Cost = Callable[[torch.Tensor, torch.Tensor, float, float], float]


def choose_range(statistics: TensorStatistics, recipe: Recipe) -> Range:
    """(low, high) of the recipe's method, low <= 0 <= high; 16 bits need not clip anything."""
    if recipe.activations == "int16":
        return _minmax(statistics, recipe)
    return _METHODS[recipe.ranges](statistics, recipe)


def output_range(statistics: TensorStatistics, recipe: Recipe) -> Range:
    """Range of an int8 output of the model: never below the largest value seen, with headroom.

    Low scores may saturate where the recipe says that only high ones matter.
    """
    low = 0.0 if recipe.ranked_output and statistics.high > 0 else statistics.low * OUTPUT_HEADROOM
    return low, statistics.high * OUTPUT_HEADROOM


def parameters(low: float, high: float, codes: Codes = INT8) -> tuple[float, int]:
    """Scale and zero point of codes that cover [low, high]; zero is a code exactly.

    The scale is a float32 number, because the files store one.
    """
    span = 2 * max(-low, high) if codes.symmetric else high - low
    scale = float(torch.tensor(span / codes.steps, dtype=torch.float32)) or _UNIT_SCALE
    if codes.symmetric:
        return scale, 0
    zero_point = round(codes.lowest - low / scale)
    return scale, min(max(zero_point, codes.lowest), codes.highest)


def _minmax(statistics: TensorStatistics, _: Recipe) -> Range:
    return statistics.low, statistics.high


def _percentile(statistics: TensorStatistics, recipe: Recipe) -> Range:
    """The middle ``percentile`` percent of the values."""
    total = float(statistics.counts.sum())
    if not total:
        return statistics.low, statistics.high
    outside = (1 - recipe.percentile / 100) * total / 2
    cumulated = statistics.counts.cumsum(0)
    width = 2 * statistics.limit / len(cumulated)
    first = int((cumulated > outside).nonzero()[0])
    last = int((cumulated < total - outside).sum())
    low, high = first * width - statistics.limit, (last + 1) * width - statistics.limit
    return max(min(low, 0.0), statistics.low), min(max(high, 0.0), statistics.high)


def _mse(statistics: TensorStatistics, _: Recipe) -> Range:
    """Least mean square error of the rounded and clipped values."""
    return _least(statistics, _square_error)


def _entropy(statistics: TensorStatistics, _: Recipe) -> Range:
    """Least Kullback-Leibler divergence of the values' distribution from its 256-level version.

    Source: S. Migacz, "8-bit Inference with TensorRT", GTC 2017.
    """
    return _least(statistics, _divergence)


def _least(statistics: TensorStatistics, cost: Cost) -> Range:
    """Each end shrunk in turn to where the cost is least."""
    low, high = statistics.low, statistics.high
    if not low < high:
        return low, high
    centres, counts = statistics.centres, statistics.counts
    high = min((high * s for s in _SHRINKS), key=lambda edge: cost(centres, counts, low, edge))
    low = min((low * s for s in _SHRINKS), key=lambda edge: cost(centres, counts, edge, high))
    return low, high


def _square_error(values: torch.Tensor, counts: torch.Tensor, low: float, high: float) -> float:
    scale, zero_point = parameters(low, high)
    codes = torch.clamp(torch.round(values / scale) + zero_point, INT8.lowest, INT8.highest)
    return float((counts * (values - (codes - zero_point) * scale) ** 2).sum())


def _divergence(values: torch.Tensor, counts: torch.Tensor, low: float, high: float) -> float:
    """KL(P || Q): P clips outliers into its end bins, Q spreads each level's mass over its used bins.

    Zeros do not count: every range has a code for them, and what a clip makes of them outweighs the rest.
    """
    counts = torch.where(values.abs() < values[1] - values[0], 0.0, counts)
    inside = (values >= low) & (values <= high)
    kept = counts[inside]
    if not kept.numel() or not float(kept.sum()):
        return float("inf")
    clipped = kept.clone()
    clipped[0] += counts[values < low].sum()
    clipped[-1] += counts[values > high].sum()
    level = torch.clamp((values[inside] - low) / (high - low) * LEVELS, 0, LEVELS - 1).long()
    used = (kept > 0).double()
    mass = torch.zeros(LEVELS, dtype=torch.float64).index_add_(0, level, kept)
    bins = torch.zeros(LEVELS, dtype=torch.float64).index_add_(0, level, used)
    spread = used * (mass / bins.clamp(min=1))[level]
    p, q = clipped / clipped.sum(), spread / spread.sum()
    present = p > 0
    return float((p[present] * torch.log(p[present] / q[present].clamp(min=1e-12))).sum())


_METHODS: Mapping[RangeMethod, Callable[[TensorStatistics, Recipe], Range]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "mse": _mse,
    "entropy": _entropy,
}
