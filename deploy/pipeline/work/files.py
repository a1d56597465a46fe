"""What a step says of a model file, and what devices are sent beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mobiledeploy.runtimes.census import Artifact


def library_of(given: Mapping[str, Any]) -> Path | None:
    """The engine's library for a device; None: that of its official wheel."""
    path = given["engine_library"]
    return None if path is None else Path(path)


def describe_file(artifact: Artifact) -> dict[str, Any]:
    """As it was read back."""
    return {
        "file": artifact.path.name,
        "sha256": artifact.sha256,
        "size": artifact.size,
        "arithmetic": artifact.census.arithmetic,
    }
