"""Which arm of a pair comes first: ABBA BAAB BAAB ABBA ..."""

from __future__ import annotations


def candidate_first(pair: int) -> bool:
    """Whether the candidate is the first of its pair.

    By the sequence of Thue and Morse: all sums of an arm's positions up to a power agree (Prouhet
    1851), so that drift of any low order falls on both arms alike, and nothing periodic keeps step.

    Args:
        pair: its number, from 0.
    """
    return pair.bit_count() % 2 == 0
