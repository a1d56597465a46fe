"""Letters beside points that do not lie on each other."""

from __future__ import annotations

from collections.abc import Sequence

# Share of an axis that a letter takes.
_NEAR = 0.035


def joined_marks(marks: Sequence[str], places: Sequence[tuple[float, float]]) -> tuple[str, ...]:
    """The words beside each point: of points too near for a word each, the first has all, the rest none.

    Args:
        marks: of the points.
        places: of them, as shares of the plot's width and height, 0..1.
    """
    words: list[list[str]] = []
    for index, (mark, (x, y)) in enumerate(zip(marks, places, strict=True)):
        near = (
            other
            for other in range(index)
            if words[other] and abs(places[other][0] - x) < _NEAR and abs(places[other][1] - y) < _NEAR
        )
        home = next(near, None)
        words.append([] if home is not None else [mark])
        if home is not None:
            words[home].append(mark)
    return tuple(", ".join(item) for item in words)


def shares(values: Sequence[float]) -> tuple[float, ...]:
    """Values as shares of the way from the least to the largest; 0.5 where all are equal."""
    least, largest = min(values, default=0.0), max(values, default=0.0)
    width = largest - least
    return tuple((value - least) / width if width else 0.5 for value in values)
