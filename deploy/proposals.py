"""Outputs of a detector of two stages, compared proposal by proposal: their order is no one's promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PROPOSALS = "proposals"
# Corners of one proposal differ by no more than this between file and source, as shares of the image.
_SAME = 1e-2
# More than this share of the proposals are not others because of two that were equally certain.
MOST_OTHERS = 0.05

Outputs = Sequence[Sequence["np.ndarray"]]


def paired(actual: Outputs, wanted: Outputs, place: int) -> tuple[Outputs, Outputs, float]:
    """The rows of both that have the same proposal, in the file's order; the others are zeros.

    Args:
        actual, wanted: for each sample the outputs of file and source, (1, proposals, columns) each.
        place: of the output ``proposals``.

    Returns:
        Both, and the largest share of proposals in a sample that only one of the two has.
    """
    import numpy as np

    ours, theirs, most = [], [], 0.0
    for found, expected in zip(actual, wanted, strict=True):
        distances = np.abs(found[place][0][:, None] - expected[place][0]).max(axis=2)
        nearest = distances.argmin(axis=1)
        same = distances.min(axis=1) <= _SAME
        ours.append([array * same[None, :, None] for array in found])
        theirs.append([array[:, nearest] * same[None, :, None] for array in expected])
        missing = distances.min(axis=0) > _SAME
        most = max(most, 1 - float(same.mean()), float(missing.mean()))
    return ours, theirs, most
