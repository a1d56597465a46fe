"""The small classifier as a file, with labels that break careless templates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from small_classifier import small_classifier

from mobiledeploy.contract import Target
from mobiledeploy.deploy.conversion import convert
from mobiledeploy.runtimes.formats import FORMATS

HOSTILE = ("say \"hi\" 'there'", "emoji 🦊 \\(1 + 1)", "back\\slash \\n %d %s", "{{ 7 * 7 }} $HOME */ '''")


def hostile_file(folder: Path, target: Target) -> Path:
    """A float file of four classes."""
    path = folder / f"hostile{FORMATS[target].suffix}"
    convert(replace(small_classifier(), labels=HOSTILE), target=target, output=path, verify=False)
    return path
