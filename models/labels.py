"""Class names of ImageNet-1k."""

from __future__ import annotations

from importlib.resources import files


def imagenet_labels() -> tuple[str, ...]:
    """The 1000 names in output order; where two classes share a name, a word in brackets tells them apart."""
    text = files("mobiledeploy.models").joinpath("imagenet_labels.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def dog_breeds() -> tuple[str, ...]:
    """The 120 classes of Stanford Dogs in its own order: ImageNet's dogs, but for the dalmatian.

    Its classes are numbered by WordNet offset, as ImageNet's are, so that ImageNet's names serve.
    """
    names = imagenet_labels()
    return (*names[151:251], *names[252:269], *names[273:276])
