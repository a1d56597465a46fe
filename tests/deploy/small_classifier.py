"""Files small enough to package in every test, with labels that break careless templates."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_model import SIZE, tiny_module

from mobiledeploy.contract import Preprocessing, Provenance, Target
from mobiledeploy.deploy.conversion import convert
from mobiledeploy.runtimes.formats import FORMATS
from mobiledeploy.source import SourceModel

HOSTILE = (
    "say \"hi\" 'there'",
    "emoji 🦊 \\(1 + 1)",
    "back\\slash \\n %d %s",
    "{{ 7 * 7 }} $HOME ${x} */ '''",
)


def small_classifier(folder: Path, target: Target) -> Path:
    """A float file of four classes."""
    source = SourceModel(
        tiny_module(),
        (torch.zeros(1, 3, SIZE, SIZE),),
        "image-classification",
        Preprocessing(SIZE, SIZE, resize_to=18, mean=(127.5,) * 3, std=(127.5,) * 3),
        HOSTILE,
        Provenance(model="tiny", weights="random", licence="Apache-2.0"),
    )
    path = folder / f"small{FORMATS[target].suffix}"
    convert(source, target=target, output=path, verify=False)
    return path
