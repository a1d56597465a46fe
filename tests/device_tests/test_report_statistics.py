"""What a report computes: fronts, changes of level, pairs, words that do not lie on each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.deploy.front import pareto_front
from mobiledeploy.deploy.report.changes import LEAST_RUNS, find_changes
from mobiledeploy.deploy.report.marks import joined_marks, shares
from mobiledeploy.deploy.report.pairs import family
from mobiledeploy.deploy.report.story import mark

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


def _dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


@given(POINTS)
def test_the_front_is_what_no_point_dominates(points: list[tuple[int, int]]) -> None:
    wanted = {
        index for index, point in enumerate(points) if not any(_dominates(other, point) for other in points)
    }
    front = pareto_front(points)
    assert set(front) == wanted
    assert len(front) == len(wanted)
    assert [points[index][0] for index in front] == sorted(points[index][0] for index in front)


def _noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(10.0, 0.1, count)


def test_a_change_is_found_where_it_is() -> None:
    values = _noise(40)
    values[25:] *= 1.1
    (change,) = find_changes(values.tolist())
    assert change.place == 25
    assert change.share == pytest.approx(0.1, abs=0.02)
    assert change.p_value < 0.01


def test_up_and_down_again() -> None:
    values = _noise(60)
    values[20:40] *= 1.1
    first, second = find_changes(values.tolist())
    # Among its neighbours a run may rank on either side.
    assert (first.place, second.place) == (pytest.approx(20, abs=1), pytest.approx(40, abs=1))
    assert first.share > 0.08 > 0 > -0.08 > second.share
    assert first.after == second.before


def test_a_recent_change_is_found() -> None:
    values = _noise(40)
    values[35:] *= 1.1
    assert [change.place for change in find_changes(values.tolist())] == [35]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1.0],
        [1.0] * 30,
        [1.0] * 15 + [50.0] + [1.0] * 15,
        [1.0] * (LEAST_RUNS // 2 - 1) + [2.0] * (LEAST_RUNS // 2),
    ],
    ids=["none", "one", "equal", "one odd run", "too few"],
)
def test_no_change(values: list[float]) -> None:
    assert find_changes(values) == ()


@pytest.mark.slow
def test_series_without_a_change_show_one_in_a_hundred() -> None:
    """200 series of 20: 2 are expected, 7 or more have a chance of 0.5%."""
    assert sum(bool(find_changes(_noise(20, seed).tolist())) for seed in range(200)) < 7


def test_the_order_of_a_noise_decides_nothing_twice() -> None:
    values = _noise(30).tolist()
    assert find_changes(values) == find_changes(values)


def test_marks() -> None:
    assert [mark(index) for index in (0, 25, 26, 27, 701, 702)] == ["A", "Z", "AA", "AB", "ZZ", "AAA"]
    places = [(0.0, 0.0), (0.01, 0.01), (0.5, 0.5), (0.011, 0.0)]
    assert joined_marks("ABCD", places) == ("A, B, D", "", "C", "")
    assert shares([3, 1, 2]) == (1.0, 0.0, 0.5)
    assert shares([2, 2]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("mobilenet_v1_0.25.tflite", "mobilenet_v1_0.25.tflite"),
        ("mobilenet_v1_0.25_int8.tflite", "mobilenet_v1_0.25.tflite"),
        ("mobilenet_v1_0.25-FP32.tflite", "mobilenet_v1_0.25.tflite"),
        ("mobilenet_v1_0.25_int8-dynamic.tflite", "mobilenet_v1_0.25.tflite"),
        ("int8.tflite", ".tflite"),
        ("point8.tflite", "point8.tflite"),
        ("net_int8.onnx", "net.onnx"),
    ],
)
def test_a_family_is_a_name_without_its_precision(name: str, of: str) -> None:
    assert family(name) == of
