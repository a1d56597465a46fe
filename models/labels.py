"""Class names of ImageNet-1k."""

from __future__ import annotations

from importlib.resources import files


def imagenet_labels() -> tuple[str, ...]:
    """The 1000 names in output order; where two classes share a name, a word in brackets tells them apart."""
    text = files("mobiledeploy.models").joinpath("imagenet_labels.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
