"""Axis orders: plans give the same array as NumPy, with no more movement than needed."""

from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.converters.tflite import layout


@st.composite
def stored_arrays(draw: st.DrawFn) -> tuple[tuple[int, ...], layout.Axes]:
    shape = tuple(draw(st.lists(st.sampled_from([1, 1, 2, 3, 4, 6]), min_size=1, max_size=5)))
    order = tuple(draw(st.permutations(range(len(shape)))))
    return shape, order


@st.composite
def factorings(draw: st.DrawFn, count: int) -> tuple[int, ...]:
    """A shape with ``count`` elements."""
    shape = []
    while count > 1:
        factor = draw(st.sampled_from([f for f in range(2, count + 1) if count % f == 0]))
        shape.append(factor)
        count //= factor
    for _ in range(draw(st.integers(0, 2))):
        shape.insert(draw(st.integers(0, len(shape))), 1)
    return tuple(shape)


@given(stored_arrays(), st.data())
def test_a_reshape_plan_gives_numpys_reshape(
    array: tuple[tuple[int, ...], layout.Axes], data: st.DataObject
) -> None:
    logical, order = array
    target = data.draw(factorings(prod(logical)))
    values = np.arange(prod(logical)).reshape(logical)
    plan = layout.plan_reshape(logical, order, target)
    moved = values.transpose(plan.before)
    result = moved.reshape(layout.physical_shape(target, plan.after))
    assert np.array_equal(result, values.reshape(target).transpose(plan.after))


@given(stored_arrays(), st.data())
def test_permute_renames_axes_without_moving_memory(
    array: tuple[tuple[int, ...], layout.Axes], data: st.DataObject
) -> None:
    logical, order = array
    dims = data.draw(st.permutations(range(len(logical))))
    values = np.arange(prod(logical)).reshape(logical)
    memory = values.transpose(order)
    renamed = layout.permute_order(order, dims)
    assert np.array_equal(memory, values.transpose(dims).transpose(renamed))


@given(stored_arrays())
def test_physical_and_logical_shapes_are_inverse(array: tuple[tuple[int, ...], layout.Axes]) -> None:
    logical, order = array
    assert layout.logical_shape(layout.physical_shape(logical, order), order) == logical


def test_nhwc_is_flattened_over_space_in_place() -> None:
    plan = layout.plan_reshape((1, 8, 12, 10), layout.NHWC, (1, 8, 120))
    assert plan == layout.ReshapePlan(layout.NHWC, (0, 2, 1))


def test_channels_split_in_place() -> None:
    plan = layout.plan_reshape((1, 8, 12, 10), layout.NHWC, (1, 2, 4, 12, 10))
    assert plan.before == layout.NHWC
    assert layout.physical_shape((1, 2, 4, 12, 10), plan.after) == (1, 12, 10, 2, 4)


def test_a_torn_group_is_moved_first() -> None:
    plan = layout.plan_reshape((1, 8, 12, 10), layout.NHWC, (1, 960))
    assert plan.before == (0, 1, 2, 3)
