"""From outputs to ranked classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mobiledeploy.contract import TensorSpec
from mobiledeploy.device_tests.scores import find_score_output, rank
from mobiledeploy.errors import InputError


def spec(name: str, shape: tuple[int, ...], **rest: Any) -> TensorSpec:
    return TensorSpec(name, shape, rest.pop("dtype", "float32"), **rest)


def test_the_output_that_the_contract_names_comes_first() -> None:
    outputs = [
        spec("embedding", (1, 64), content="features"),
        spec("mask", (1, 21, 8, 8), content="logits"),
        spec("scores", (1, 10), content="probabilities"),
    ]
    found = find_score_output(outputs)
    assert (found.index, found.spec.name, found.classes) == (2, "scores", 10)


@pytest.mark.parametrize("shape", [(1, 10), (-1, 10), (1, 10, 1, 1), (1, 1, 1, 10)])
def test_the_only_vector_is_taken_without_a_word(shape: tuple[int, ...]) -> None:
    found = find_score_output([spec("map", (1, 7, 7, 10)), spec("out", shape)])
    assert (found.index, found.classes) == (1, 10)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([spec("a", (1, 10)), spec("b", (1, 20))], r"2 of the outputs.*a 1x10, b 1x20"),
        ([spec("mask", (1, 21, 8, 8))], r"none of the outputs.*mask 1x21x8x8"),
        ([spec("many", (8, 10))], "none"),
        ([spec("open", (1, -1))], "none"),
        ([], "none"),
    ],
)
def test_no_clear_output_is_refused(outputs: list[TensorSpec], message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_score_output(outputs)


@given(hnp.arrays(np.uint8, st.integers(1, 40)))
def test_rank_orders_by_score_then_index(scores: np.ndarray) -> None:
    best, tied = rank(scores, 5)
    expected = sorted(range(len(scores)), key=lambda index: (-int(scores[index]), index))
    assert list(best) == expected[:5]
    assert best[0] == int(scores.argmax())
    assert tied == (list(scores).count(scores.max()) > 1)


def test_rank_keeps_signs_and_small_differences() -> None:
    assert rank(np.array([-128, 127, 0], np.int8), 3) == ((1, 2, 0), False)
    close = np.array([1.0, np.nextafter(np.float32(1), np.float32(2))], np.float32)
    assert rank(close, 1) == ((1,), False)


def classes_of(value: float, **rest: Any) -> tuple[int, ...]:
    output = find_score_output([spec("yes", (1, 1), **rest)])
    assert output.classes == 2
    return rank(output.scores([np.array([[value]], rest.get("dtype", "float32"))]), 5)[0]


@pytest.mark.parametrize(
    ("value", "content", "best"),
    [
        (0.4, "probabilities", 0),
        (0.6, "probabilities", 1),
        (0.4, "logits", 1),
        (-0.1, "logits", 0),
        (0.6, "", 1),
    ],
)
def test_one_score_is_yes_or_no(value: float, content: str, best: int) -> None:
    assert classes_of(value, content=content) == (best, 1 - best)


@pytest.mark.parametrize(("stored", "best"), [(-10, 0), (10, 1)])
def test_one_quantized_score_is_read_as_a_real_value(stored: int, best: int) -> None:
    assert classes_of(stored, dtype="int8", scale=1 / 256, zero_point=-128)[0] == best


def test_scores_that_say_nothing_are_refused() -> None:
    with pytest.raises(InputError, match=r"'yes': the single score 3.2 is no probability"):
        classes_of(3.2)
    output = find_score_output([spec("scores", (1, 3))])
    with pytest.raises(InputError, match="NaN"):
        output.scores([np.array([[0.0, np.nan, 1.0]], np.float32)])
