"""Near misses for a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str, most: int = 3) -> str:
    """A hint with up to ``most`` names like ``name``, best first, or ``otherwise`` if none is."""
    near = difflib.get_close_matches(name, list(known), n=most, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}?" if near else otherwise
