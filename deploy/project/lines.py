"""The line of a key in a TOML text: the parser of the standard library tells none."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

Key = str | int


def line_of(text: str, path: Sequence[Key]) -> int | None:
    """The line, from 1, on which a key first stands.

    The text is read up to each line in turn; the first beginning that has the key ends with its value, which
    began after the last beginning that could be read:

        1  targets = [        no TOML up to here
        2      "onnx",        nor up to here
        3  ]                  has ``targets``: it stands on line 1

    Args:
        text: valid TOML.
        path: keys of tables and indices of arrays; what lies deeper than the text goes is left out.

    Returns:
        None for an empty path, or one of which the text has nothing.
    """
    lines = text.splitlines(keepends=True)
    path = existing(tomllib.loads(text), path)
    begun = 0
    for end in range(1, len(lines) + 1):
        try:
            data = tomllib.loads("".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        if path and existing(data, path) == path:
            return begun + 1
        begun = end
    return None


def existing(data: Any, path: Sequence[Key]) -> tuple[Key, ...]:
    """The beginning of a path that data has."""
    found: list[Key] = []
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            break
        found.append(key)
    return tuple(found)
