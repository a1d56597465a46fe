"""JSON files that know when they are damaged: a digest of the body stands before it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def seal(body: Any) -> str:
    """The text of a sealed file."""
    text = canonical(body)
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n"


def unseal(file: Path) -> Any:
    """The body of a sealed file; None if it is not there, or not as it was written."""
    try:
        digest, _, text = file.read_text(encoding="ascii").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    text = text.removesuffix("\n")
    if hashlib.sha256(text.encode()).hexdigest() != digest:
        return None
    return json.loads(text)


def canonical(body: Any) -> str:
    """JSON that is the same for equal values."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
