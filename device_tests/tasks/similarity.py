"""Cosine similarities of all pairs of vectors, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Similarities that are in memory at once.
_AT_ONCE = 2**20
# Of similarity from -1 to 1, of all pairs.
_BINS = 2**15


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of images by whether they show the same identity.

    Attributes:
        same: (pairs,) float32 similarities, falling; of the same identity.
        same_identity: (pairs,) int32: whose.
        nearest: (pairs,) float32 similarities, falling; the most similar of different identities.
        nearest_identities: (pairs, 2) int32: whose.
        same_counts, different_counts: (bins,) int64: all pairs by similarity, falling.
        images: (identities,) int64: of each.
    """

    same: np.ndarray
    same_identity: np.ndarray
    nearest: np.ndarray
    nearest_identities: np.ndarray
    same_counts: np.ndarray
    different_counts: np.ndarray
    images: np.ndarray

    @property
    def different(self) -> int:
        """Number of pairs of different identities."""
        return int(self.different_counts.sum())


def count_different(images: np.ndarray) -> int:
    """Pairs of different identities, from the number of images of each."""
    total = int(images.sum())
    return (total * total - int((images * images).sum())) // 2


def compare_all(vectors: np.ndarray, identities: np.ndarray, nearest: int) -> Pairs:
    """Every pair of images once.

    Args:
        vectors: (images, numbers) float32.
        identities: (images,) int: 0 to the number of identities less 1, each with an image at least.
        nearest: how many of the most similar pairs of different identities are kept.
    """
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    # A vector of zeros is like nothing.
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    same, whose = [], []
    top, top_whose = np.empty(0, np.float32), np.empty((0, 2), np.int32)
    same_counts, different_counts = np.zeros(_BINS, np.int64), np.zeros(_BINS, np.int64)
    for similarity, first, second in _blocks(unit, identities):
        equal = first == second
        same.append(similarity[equal])
        whose.append(first[equal])
        same_counts += _histogram(same[-1])
        other = ~equal
        found, pairs = similarity[other], np.stack([first[other], second[other]], axis=1)
        different_counts += _histogram(found)
        if len(top) == nearest:
            close = found > top.min()
            found, pairs = found[close], pairs[close]
        top, top_whose = np.concatenate([top, found]), np.concatenate([top_whose, pairs])
        if len(top) > nearest:
            chosen = np.argpartition(-top, nearest - 1)[:nearest]
            top, top_whose = top[chosen], top_whose[chosen]
    scores, owners = np.concatenate(same), np.concatenate(whose)
    order, falling = np.argsort(-scores, kind="stable"), np.argsort(-top, kind="stable")
    return Pairs(
        scores[order],
        owners[order],
        top[falling],
        top_whose[falling],
        same_counts,
        different_counts,
        np.bincount(identities),
    )


def _blocks(unit: np.ndarray, identities: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Similarities, and the identities of both, of each image with all later ones."""
    import numpy as np

    count, start = len(unit), 0
    who = identities.astype(np.int32)
    while start < count - 1:
        rows = max(1, min(count - start, _AT_ONCE // (count - start)))
        similarity = unit[start : start + rows] @ unit[start:].T
        first, second = np.triu_indices(rows, 1, count - start)
        yield similarity[first, second], who[start + first], who[start + second]
        start += rows


def _histogram(similarities: np.ndarray) -> np.ndarray:
    import numpy as np

    places = ((1 - similarities) * (_BINS / 2)).astype(np.int64)
    return np.bincount(np.clip(places, 0, _BINS - 1), minlength=_BINS)
