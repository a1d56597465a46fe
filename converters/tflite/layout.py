"""Axis order without TRANSPOSE operators.

PyTorch sees *logical* axes (NCHW); the file's tensors have *physical* ones.  A value's ``order``
says which logical axis each physical axis holds: an NCHW image stored as NHWC has order
``(0, 2, 3, 1)``.  ``permute`` then only rewrites the order, and a TRANSPOSE is written where an
operator cannot work in the order that its input happens to have.  Pure functions on tuples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

Axes = tuple[int, ...]

NHWC: Axes = (0, 2, 3, 1)


def identity(rank: int) -> Axes:
    """The order in which physical and logical axes agree."""
    return tuple(range(rank))


def image_order(rank: int) -> Axes:
    """How the file lays out an input or output: channels last for four axes, else as PyTorch."""
    return NHWC if rank == 4 else identity(rank)


def physical_shape(logical: Sequence[int], order: Axes) -> Axes:
    """Shape of the stored tensor."""
    return tuple(logical[axis] for axis in order)


def logical_shape(physical: Sequence[int], order: Axes) -> Axes:
    """Inverse of ``physical_shape``."""
    shape = [0] * len(order)
    for size, axis in zip(physical, order, strict=True):
        shape[axis] = size
    return tuple(shape)


def permute_order(order: Axes, dims: Sequence[int]) -> Axes:
    """Order after ``x.permute(dims)``: the stored tensor stays, only the names of its axes change.

    >>> permute_order((0, 2, 3, 1), (0, 2, 3, 1))
    (0, 1, 2, 3)
    """
    return tuple(tuple(dims).index(axis) for axis in order)


def same_memory(logical: Sequence[int], first: Axes, second: Axes) -> bool:
    """Whether two orders store the same bytes: they differ in axes of size 1 only."""
    return [a for a in first if logical[a] != 1] == [a for a in second if logical[a] != 1]


def insert_axis(order: Axes, axis: int) -> Axes:
    """Order after a new logical axis of size 1: stored last if it is last, else before its successor."""
    moved = [a + (a >= axis) for a in order]
    place = moved.index(axis + 1) if axis + 1 in moved else len(moved)
    return (*moved[:place], axis, *moved[place:])


def remove_axes(order: Axes, axes: Sequence[int]) -> Axes:
    """Order after logical axes are gone."""
    kept = sorted(set(order) - set(axes))
    return tuple(kept.index(axis) for axis in order if axis not in axes)


@dataclass(frozen=True, slots=True)
class ReshapePlan:
    """Bring the value to ``before``, then RESHAPE; the result has order ``after``."""

    before: Axes
    after: Axes


def plan_reshape(logical: Sequence[int], order: Axes, target: Sequence[int]) -> ReshapePlan:
    """How to view a stored tensor as another logical shape with the least movement.

    Axes of both shapes are matched in groups of equal size.  A group of several input axes must be
    adjacent and in logical order in memory; one input axis may split anywhere.  So NHWC is flattened
    over H and W, or split over C, in place; only a group that is torn apart costs a TRANSPOSE.
    """
    groups = _match(logical, target)
    group_of = {axis: index for index, (ins, _) in enumerate(groups) for axis in ins}
    memory = [axis for axis in order if logical[axis] != 1]
    wanted: list[int] = []
    for axis in memory:
        if axis not in wanted:
            # The whole group where its first axis lies: unchanged if it was adjacent and in order.
            wanted.extend(groups[group_of[axis]][0])
    before = order if wanted == memory else (*[a for a in order if logical[a] == 1], *wanted)
    result: list[int] = []
    for axis in wanted:
        ins, outs = groups[group_of[axis]]
        if axis == ins[0]:
            result.extend(outs)
    return ReshapePlan(before, _place_units(result, target))


def _match(logical: Sequence[int], target: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Groups of (input axes, output axes) of equal size; axes of size 1 belong to none."""
    ins = [axis for axis, size in enumerate(logical) if size != 1]
    outs = [axis for axis, size in enumerate(target) if size != 1]
    groups = []
    while ins:
        left, right = [ins.pop(0)], [outs.pop(0)]
        while (a := prod(logical[i] for i in left)) != (b := prod(target[j] for j in right)):
            if a < b:
                left.append(ins.pop(0))
            else:
                right.append(outs.pop(0))
        groups.append((left, right))
    return groups


def _place_units(memory: list[int], target: Sequence[int]) -> Axes:
    """A full order from the order of the axes larger than 1."""
    rank = len(target)
    for candidate in (image_order(rank), identity(rank)):
        if [axis for axis in candidate if target[axis] != 1] == memory:
            return candidate
    order = list(memory)
    for axis, size in enumerate(target):
        if size == 1:
            order.insert(order.index(axis - 1) + 1 if axis else 0, axis)
    return tuple(order)
