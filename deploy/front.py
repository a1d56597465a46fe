"""Which files no other one beats."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Points that no other one dominates: costs no more, is worth no less, and is better in one of them.

    Args:
        points: (cost, worth) of each; little cost and much worth are good.

    Returns:
        Places in ``points``, by rising cost; equal points are all on it.
    """
    best = float("-inf")
    front: list[int] = []
    for place in sorted(range(len(points)), key=lambda item: (points[item][0], -points[item][1])):
        twin = bool(front) and points[front[-1]] == points[place]
        if points[place][1] > best or twin:
            front.append(place)
            best = points[place][1]
    return tuple(front)
