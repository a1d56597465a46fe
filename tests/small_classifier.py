"""A classifier small enough to convert and package in every test."""

from __future__ import annotations

import torch

from mobiledeploy.contract import Preprocessing, Provenance
from mobiledeploy.source import SourceModel

SIZE = 16
# What labels can do to the languages that packages are written in.
LABELS = ('say "ant"', "bee 🐝", "ca$t \\n", "dog's")


def small_classifier() -> SourceModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),
            torch.nn.ReLU6(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(8, 4),
        ).eval()
    return SourceModel(
        module,
        (torch.zeros(1, 3, SIZE, SIZE),),
        "image-classification",
        Preprocessing(SIZE, SIZE, resize_to=18, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
        LABELS,
        Provenance(model="small", weights="random", licence="Apache-2.0"),
    )
