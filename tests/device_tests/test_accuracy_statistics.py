"""Intervals and tests against published values, and what must hold for any counts."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.device_tests.statistics import mcnemar, paired_difference, wilson


@st.composite
def shares(draw: st.DrawFn) -> tuple[int, int]:
    n = draw(st.integers(1, 100_000))
    return draw(st.integers(0, n)), n


@st.composite
def pairs(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 5_000))
    gained = draw(st.integers(0, n))
    return gained, draw(st.integers(0, n - gained)), n


# Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(successes: int, n: int, low: float, high: float) -> None:
    interval = wilson(successes, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@given(shares())
def test_wilson_holds_the_share_and_mirrors(share: tuple[int, int]) -> None:
    successes, n = share
    interval, mirrored = wilson(successes, n), wilson(n - successes, n)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1
    assert interval.low < interval.high
    assert interval.low == pytest.approx(1 - mirrored.high, abs=1e-12)


@given(shares(), st.integers(2, 10))
def test_wilson_narrows_with_more_images_and_less_confidence(share: tuple[int, int], more: int) -> None:
    successes, n = share
    interval = wilson(successes, n)
    for other in (wilson(more * successes, more * n), wilson(successes, n, 0.9)):
        assert other.high - other.low < interval.high - interval.low


def test_wilson_covers_as_often_as_it_says() -> None:
    n = 40
    intervals = [wilson(k, n) for k in range(n + 1)]
    truths = [(i + 0.5) / 200 for i in range(200)]
    covered = [
        sum(
            comb(n, k) * p**k * (1 - p) ** (n - k)
            for k, interval in enumerate(intervals)
            if interval.low <= p <= interval.high
        )
        for p in truths
    ]
    assert sum(covered) / len(covered) == pytest.approx(0.95, abs=0.01)


# Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33:2850, table V: airway
# hyper-responsiveness before and after transplantation (1, 1, 7, 12 of 21).
def test_paired_difference_as_published() -> None:
    interval = paired_difference(gained=1, lost=7, n=21)
    assert (round(interval.low, 3), round(interval.high, 3)) == (-0.508, -0.013)


@given(pairs())
def test_paired_difference_mirrors_and_stays_within_one(counts: tuple[int, int, int]) -> None:
    gained, lost, n = counts
    interval, mirrored = paired_difference(gained, lost, n), paired_difference(lost, gained, n)
    assert -1 <= interval.low < interval.high <= 1
    assert interval.low == pytest.approx(-mirrored.high, abs=1e-12)
    if gained == lost:
        assert interval.low < 0 < interval.high


@given(pairs())
def test_paired_difference_holds_the_difference_of_larger_samples(counts: tuple[int, int, int]) -> None:
    gained, lost, n = (100 * count for count in counts)
    interval = paired_difference(gained, lost, n)
    if 0 < gained < n and 0 < lost < n:
        assert interval.low <= (gained - lost) / n <= interval.high


# Wider than needed where hardly any pair is discordant, never narrower.
@pytest.mark.parametrize(
    ("up", "down", "most"), [(0.05, 0.05, 0.97), (0.1, 0.02, 0.97), (0.3, 0.1, 0.96), (0.02, 0.01, 1.0)]
)
def test_paired_difference_covers_as_often_as_it_says(up: float, down: float, most: float) -> None:
    n = 100
    covered = 0.0
    for gained in range(n + 1):
        for lost in range(n + 1 - gained):
            interval = paired_difference(gained, lost, n)
            if interval.low <= up - down <= interval.high:
                rest = n - gained - lost
                ways = comb(n, gained) * comb(n - gained, lost)
                covered += ways * up**gained * down**lost * (1 - up - down) ** rest
    assert 0.94 <= covered <= most


# Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91, same data: 0.070.
def test_mcnemar_as_published() -> None:
    assert mcnemar(1, 7) == 18 / 256


@pytest.mark.parametrize(
    ("gained", "lost", "expected"), [(0, 0, 1.0), (3, 3, 1.0), (0, 1, 1.0), (0, 6, 2 / 64), (5, 1, 14 / 64)]
)
def test_mcnemar_by_hand(gained: int, lost: int, expected: float) -> None:
    assert mcnemar(gained, lost) == expected


@given(st.integers(0, 2_000), st.integers(0, 2_000))
def test_mcnemar_is_a_symmetric_probability_that_falls_with_the_gap(gained: int, lost: int) -> None:
    p = mcnemar(gained, lost)
    assert 0 <= p <= 1
    assert p == mcnemar(lost, gained)
    low, high = sorted((gained, lost))
    if low:
        assert mcnemar(low - 1, high + 1) <= p


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_tail(gained: int, lost: int) -> None:
    n = gained + lost
    tail = sum(comb(n, k) for k in range(min(gained, lost) + 1))
    assert mcnemar(gained, lost) == pytest.approx(min(1.0, 2 * tail / 2**n), rel=1e-12)
