"""What a step says of a model file."""

from __future__ import annotations

from typing import Any

from mobiledeploy.runtimes.census import Artifact


def describe_file(artifact: Artifact) -> dict[str, Any]:
    """As it was read back."""
    return {
        "file": artifact.path.name,
        "sha256": artifact.sha256,
        "size": artifact.size,
        "arithmetic": artifact.census.arithmetic,
    }
