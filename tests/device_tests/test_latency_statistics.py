"""Figures of latencies against numpy, against known answers and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobiledeploy.device_tests.latency_statistics import Stability, bootstrap, summarise

Launches = list[list[int]]
launches = st.lists(st.lists(st.integers(1, 10**9), min_size=1, max_size=60), min_size=1, max_size=4)


def test_known_answers() -> None:
    summary = summarise([[10, 20, 30], [], [40, 50]])
    assert (summary.count, summary.median, summary.minimum, summary.mean) == (5, 30, 10, 30)
    assert (summary.p90, summary.p99) == (pytest.approx(46), pytest.approx(49.6))
    assert summary.stability.between == pytest.approx(25 / 30)
    with pytest.raises(ValueError, match="no samples"):
        summarise([[]])


def test_a_constant_is_perfectly_steady() -> None:
    summary = summarise([[7_000_000] * 50, [7_000_000] * 50])
    assert summary.interval.low == summary.interval.high == 7_000_000
    assert summary.stability == Stability(0, 0, 0)
    assert summary.stability.score == 1


@given(launches)
@settings(max_examples=30, deadline=None)
def test_order_of_figures(samples: Launches) -> None:
    summary = summarise(samples)
    everything = [value for launch in samples for value in launch]
    assert summary.minimum <= summary.median <= summary.p90 <= summary.p99 <= max(everything)
    assert min(everything) <= summary.interval.low <= summary.interval.high <= max(everything)
    assert 0 <= summary.stability.score <= 1


@given(launches, st.integers(2, 1000))
@settings(max_examples=20, deadline=None)
def test_a_slower_clock_changes_nothing_but_the_unit(samples: Launches, factor: int) -> None:
    one, other = summarise(samples), summarise([[value * factor for value in launch] for launch in samples])
    assert other.median == pytest.approx(one.median * factor)
    assert other.interval.high == pytest.approx(one.interval.high * factor)
    assert other.stability.score == pytest.approx(one.stability.score)


def test_drift_and_unlike_launches_lower_the_score() -> None:
    random = np.random.default_rng(1)
    calm = random.normal(100_000, 500, (4, 100)).astype(int)
    rising = calm + np.arange(4)[:, None] * 2000
    unlike = calm.copy()
    unlike[1] += 8000
    scores = [summarise(samples.tolist()).stability.score for samples in (calm, rising, unlike)]
    assert scores[0] > 0.9
    assert scores[1] < 0.5
    assert scores[2] < 0.3


@pytest.mark.slow
def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    # Launches differ by 1%, samples of a launch hang together: an interval that takes all 400
    # samples to be independent covers the true median in fewer than half of the cases.
    random = np.random.default_rng(7)
    covered = naive = 0
    for _ in range(100):
        sets = []
        for _ in range(8):
            noise = random.normal(0, 300, 51)
            walk = noise[1:] + 0.7 * noise[:-1]
            sets.append(1_000_00 * (1 + random.normal(0, 0.01)) + walk)
        interval = bootstrap(sets, lambda values: np.median(values, axis=-1))
        covered += interval.low <= 100_000 <= interval.high
        whole = np.concatenate(sets)
        draws = np.median(random.choice(whole, (100, len(whole))), axis=1)
        low, high = np.percentile(draws, (2.5, 97.5))
        naive += low <= 100_000 <= high
    assert covered / 100 > 0.85
    assert naive / 100 < 0.6
