from __future__ import annotations

import pytest
import torch

from mobiledeploy.quantize.ranges import choose_range, output_range, parameters
from mobiledeploy.quantize.recipe import Recipe
from mobiledeploy.quantize.statistics import TensorStatistics

GENERATOR = torch.Generator().manual_seed(0)


def watched(*tensors: torch.Tensor) -> TensorStatistics:
    statistics = TensorStatistics()
    for tensor in tensors:
        statistics.add(tensor)
    return statistics


def test_statistics_do_not_depend_on_how_values_arrive() -> None:
    values = torch.randn(64, generator=GENERATOR) * torch.logspace(-3, 3, 64)
    one = watched(values)
    many = watched(*values.split(1))
    assert (one.low, one.high, one.limit) == (many.low, many.high, many.limit)
    assert torch.equal(one.counts, many.counts)


def test_zero_is_always_a_code() -> None:
    for low, high in ((0.0, 6.0), (-0.3, 2.0), (-5.0, 0.0), (-1.0, 1.0), (0.0, 0.0)):
        scale, zero_point = parameters(low, high)
        assert scale > 0
        assert -128 <= zero_point <= 127
        assert (-128 - zero_point) * scale == pytest.approx(low, abs=scale)
        assert (127 - zero_point) * scale == pytest.approx(high, abs=max(scale, 1))
    assert parameters(0.0, 6.0)[1] == -128


@pytest.mark.parametrize("ranges", ["minmax", "percentile", "entropy", "mse"])
def test_uniform_values_keep_their_range(ranges: str) -> None:
    values = torch.linspace(0, 4, 30_001)
    low, high = choose_range(watched(values), Recipe(ranges=ranges))  # type: ignore[arg-type]
    assert low == 0
    assert high == pytest.approx(4, rel=0.03)


@pytest.mark.parametrize("ranges", ["percentile", "entropy"])
def test_an_outlier_does_not_set_the_range(ranges: str) -> None:
    values = torch.randn(30_000, generator=GENERATOR)
    values[0] = 30.0
    recipe = Recipe(ranges=ranges, percentile=99.9)  # type: ignore[arg-type]
    _, high = choose_range(watched(values), recipe)
    assert 2 < high < 20
    assert choose_range(watched(values), Recipe(ranges="minmax"))[1] == 30


def test_the_zeros_of_a_clipped_activation_do_not_set_the_range() -> None:
    values = torch.cat([torch.zeros(60_000), torch.rand(6_000, generator=GENERATOR) * 6])
    _, high = choose_range(watched(values), Recipe(ranges="entropy"))
    assert high == pytest.approx(6, rel=0.1)


def test_mse_range_has_the_least_error() -> None:
    values = torch.randn(8_000, generator=GENERATOR) ** 3
    statistics = watched(values)

    def error(low: float, high: float) -> float:
        scale, zero_point = parameters(low, high)
        rounded = torch.fake_quantize_per_tensor_affine(values, scale, zero_point, -128, 127)
        return float(((rounded - values) ** 2).sum())

    chosen = choose_range(statistics, Recipe(ranges="mse"))
    assert error(*chosen) < error(statistics.low, statistics.high)
    assert error(*chosen) < error(statistics.low * 0.2, statistics.high * 0.2)


def test_outputs_never_clip_the_highest_scores() -> None:
    statistics = watched(torch.tensor([-8.0, 3.0, 20.0]))
    assert output_range(statistics, Recipe(ranges="mse"))[1] > 20
    low, high = output_range(statistics, Recipe(ranked_output=True))
    assert low == 0
    assert high > 20


def test_ranges_of_nothing_but_zeros() -> None:
    for ranges in ("minmax", "percentile", "entropy", "mse"):
        assert choose_range(watched(torch.zeros(9)), Recipe(ranges=ranges)) == (0, 0)  # type: ignore[arg-type]
