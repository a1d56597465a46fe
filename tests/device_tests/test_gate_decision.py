"""The statistics of a gate: exact intervals, looks, error rates on made-up devices."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mobiledeploy.device_tests.gate.calibrate import smallest_tolerance
from mobiledeploy.device_tests.gate.decision import CONFIRMATION, FIRST, LOOKS, Rates, follow, judge
from mobiledeploy.device_tests.gate.intervals import (
    UNBOUNDED,
    centre,
    median_interval,
    symmetric_interval,
    walsh_averages,
)
from mobiledeploy.device_tests.gate.order import candidate_first
from mobiledeploy.device_tests.gate.simulation import NOISES, simulate_gate, simulate_ratios
from mobiledeploy.device_tests.gate.stored import compare_sessions, t_quantile
from mobiledeploy.device_tests.statistics import Interval

logs = some.floats(-1, 1, allow_nan=False)
PAIRS = 150
TOLERANCE = 0.03


@pytest.mark.parametrize("count", [3, 6, 9, 12])
@pytest.mark.parametrize("level", [0.3, 0.13, 0.02, 0.0085])
def test_signed_ranks_are_exact_by_counting_all_signs(count: int, level: float) -> None:
    """Every pattern of signs of distinct sizes is equally likely where the truth is 0."""
    sizes = np.arange(1, count + 1) ** 1.5
    patterns = [(sizes * signs).tolist() for signs in product((-1, 1), repeat=count)]
    intervals = [symmetric_interval(values, level) for values in patterns]
    assert np.mean([interval.low > 0 for interval in intervals]) <= level
    assert np.mean([interval.high < 0 for interval in intervals]) <= level
    if intervals[0] == UNBOUNDED:
        assert 0.5**count > level
        return
    # The next average inwards would be too much.
    inward = [np.sort(walsh_averages(values)) for values in patterns]
    place = int(np.searchsorted(inward[-1], intervals[-1].low)) + 1
    assert np.mean([averages[place] > 0 for averages in inward]) > level


def test_too_few_values_have_no_ends() -> None:
    for count in range(LOOKS[0] - 1):
        assert symmetric_interval([0.1] * count, FIRST.level) == UNBOUNDED
        assert median_interval([0.1] * count, FIRST.level) == UNBOUNDED
    assert symmetric_interval([0.1] * LOOKS[0], FIRST.level) == Interval(0.1, 0.1)
    assert median_interval(list(range(LOOKS[0])), FIRST.level) == Interval(0, LOOKS[0] - 1)


@given(some.lists(logs, min_size=8, max_size=40), logs)
def test_intervals_move_with_the_values(values: list[float], by: float) -> None:
    for interval in (symmetric_interval, median_interval):
        one, other = interval(values, 0.01), interval([value + by for value in values], 0.01)
        assert other.low == pytest.approx(one.low + by, abs=1e-9)
        assert other.high == pytest.approx(one.high + by, abs=1e-9)
        assert min(values) <= one.low <= one.high <= max(values)
    assert symmetric_interval(values, 0.01).low <= centre(values) <= symmetric_interval(values, 0.01).high


@given(some.lists(logs, min_size=8, max_size=30), some.floats(0.004, 0.2), some.floats(0.004, 0.2))
def test_a_stricter_level_is_wider(values: list[float], one: float, other: float) -> None:
    strict, loose = sorted((one, other))
    for interval in (symmetric_interval, median_interval):
        wide, narrow = interval(values, strict), interval(values, loose)
        assert wide.low <= narrow.low
        assert wide.high >= narrow.high


@given(logs, logs, some.floats(0, 1))
def test_the_rule(one: float, other: float, tolerance: float) -> None:
    low, high = sorted((one, other))
    word = judge(Interval(low, high), tolerance)
    assert (word == "regressed") == (low > tolerance)
    assert (word == "pass") == (high <= tolerance)


@settings(deadline=None, max_examples=60)
@given(some.lists(logs, max_size=70), some.floats(0, 0.5), some.sampled_from(["ratio", "typical"]))
def test_a_verdict_does_not_change_with_what_comes_after(
    values: list[float], tolerance: float, kind: str
) -> None:
    before = None
    for count in range(len(values) + 1):
        verdict = follow(values[:count], tolerance, kind)  # type: ignore[arg-type]
        if before and before.word != "inconclusive":
            assert verdict == before
        before = verdict
        assert verdict.count <= count
        if count < LOOKS[0]:
            assert verdict.word == "inconclusive"


@settings(deadline=None, max_examples=60)
@given(some.lists(logs, min_size=8, max_size=50), some.floats(0, 0.3), some.floats(0, 0.3))
def test_a_slower_candidate_is_never_judged_better(values: list[float], tolerance: float, by: float) -> None:
    order = ["pass", "inconclusive", "regressed"]
    at_look = Rates(0.05, FIRST.level)
    one = follow(values[: LOOKS[0]], tolerance, "ratio", at_look)
    other = follow([value + by for value in values[: LOOKS[0]]], tolerance, "ratio", at_look)
    assert order.index(other.word) >= order.index(one.word)


def test_the_end_of_the_time_is_a_look() -> None:
    values = [0.0] * 10
    assert follow(values, 0.03, "ratio").count == 8
    undecided = [0.2, -0.2] * 5
    assert follow(undecided, 0.03, "ratio").count == 8
    ended = follow(undecided, 0.03, "ratio", ended=True)
    assert (ended.count, ended.looks, ended.word) == (10, 2, "inconclusive")
    assert follow([], 0.03, "ratio", ended=True).estimate is None
    few = follow([0.1] * 3, 0.03, "ratio", ended=True)
    assert (few.word, few.interval) == ("inconclusive", Interval(-1, math.inf))


def test_identical_times_pass_and_a_hair_more_is_red() -> None:
    assert follow([0.0] * 8, 0.0, "ratio").word == "pass"
    assert follow([math.log(1.01)] * 8, 0.009, "ratio").word == "regressed"


def test_the_order_balances_drift() -> None:
    words = "".join("AB" if candidate_first(pair) else "BA" for pair in range(8))
    assert words == "ABBABAABBAABABBA"
    for power in range(3):
        sums = {arm: sum(place**power for place in range(16) if words[place] == arm) for arm in "AB"}
        assert sums["A"] == sums["B"]


def test_sessions_of_a_history() -> None:
    assert t_quantile(0.95, 1) == pytest.approx(6.3138, rel=1e-4)
    assert t_quantile(0.95, 9) == pytest.approx(1.8331, rel=1e-4)
    assert t_quantile(0.99, 4) == pytest.approx(3.7469, rel=1e-4)
    assert compare_sessions([1e6, 1.001e6], 2e6, 0.03, 0.05).word == "inconclusive"
    assert compare_sessions([1e6, 1.001e6, 0.999e6], 1.1e6, 0.03, 0.05).word == "regressed"
    assert compare_sessions([1e6, 1.001e6, 0.999e6], 1e6, 0.03, 0.05).word == "pass"
    assert compare_sessions([1e6, 1.2e6, 0.9e6], 1.1e6, 0.03, 0.05).word == "inconclusive"
    # A new session is as often beyond as was asked for.
    random = np.random.default_rng(0)
    words = [
        compare_sessions(
            np.exp(random.normal(0, 0.05, 4)).tolist(), float(np.exp(random.normal(0, 0.05))), 0.0, 0.05
        ).word
        for _ in range(1500)
    ]
    assert words.count("regressed") / 1500 == pytest.approx(0.05, abs=0.018)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ratio", "typical"])
@pytest.mark.parametrize("rates", [FIRST, CONFIRMATION])
def test_looking_again_and_again_keeps_the_error(kind: str, rates: Rates) -> None:
    random = np.random.default_rng(5)
    gates = 2000
    words = [
        follow(random.normal(0, 0.05, LOOKS[-1]).tolist(), 0.0, kind, rates).word  # type: ignore[arg-type]
        for _ in range(gates)
    ]
    # Three standard errors above.
    allowed = rates.error + 3 * math.sqrt(rates.error / gates)
    assert words.count("regressed") / gates <= allowed
    assert words.count("pass") / gates <= allowed


def outcomes(noise: str, slowdown: float, gates: int) -> dict[str, float]:
    random = np.random.default_rng(11)
    found = [
        simulate_gate(NOISES[noise], random, slowdown=slowdown, tolerance=TOLERANCE, pairs=PAIRS)[0]
        for _ in range(gates)
    ]
    return {word: found.count(word) / gates for word in ("pass", "fail", "inconclusive")}  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("noise", list(NOISES))
def test_ten_thousand_gates_of_equal_files_are_not_red(noise: str) -> None:
    """1,250 of each device."""
    assert outcomes(noise, 0.0, 1250)["fail"] <= 0.001


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("noise", list(NOISES))
def test_just_at_the_tolerance_both_errors_are_rare(noise: str) -> None:
    found = outcomes(noise, TOLERANCE, 400)
    assert found["fail"] <= 0.02
    assert found["pass"] <= FIRST.error + 3 * math.sqrt(FIRST.error / 400)


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["calm", "drift", "heat", "bimodal", "heavy tails", "correlated"])
def test_five_percent_are_found(noise: str) -> None:
    found = outcomes(noise, 0.05, 400)
    assert found["fail"] >= 0.95
    assert found["pass"] <= 0.01


def test_a_calm_device_in_short() -> None:
    assert outcomes("calm", 0.0, 50)["pass"] == 1
    assert outcomes("calm", 0.05, 50)["fail"] == 1
    assert outcomes("drift", 0.0, 50)["fail"] == 0


def test_the_calibrated_tolerance_is_one_that_gates_decide_at() -> None:
    random = np.random.default_rng(3)
    noise = NOISES["launches differ"]
    tolerance = smallest_tolerance(simulate_ratios(noise, random, 300, 0.0), 75)
    assert 0.01 < tolerance < 0.04
    passed = [
        follow(simulate_ratios(noise, random, 75, 0.0), tolerance, "ratio", ended=True).word
        for _ in range(200)
    ]
    assert passed.count("pass") / 200 >= 0.9
