"""Models of the other tasks, small enough to convert and package in every test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from small_classifier import LABELS, SIZE, small_classifier

from mobiledeploy.contract import AnchorGrid, Anchors, Preprocessing, Target, Task
from mobiledeploy.deploy.conversion import convert
from mobiledeploy.runtimes.formats import FORMATS
from mobiledeploy.source import SourceModel

PLACES = ("48.62,2.14", "-33.91,151.25", "0.00,-180.00", "89.50,12.00")
# An image's short side becomes 18, of which 16 are kept: boxes have to find their way back through both.
CROPPED = small_classifier().preprocessing or Preprocessing(SIZE, SIZE)
ANCHORS = Anchors(
    (
        AnchorGrid(4, 4, ((0.3, 0.3), (0.2, 0.4))),
        AnchorGrid(2, 2, ((0.7, 0.5), (0.5, 0.9), (0.6, 0.6))),
        AnchorGrid(1, 1, ((0.95, 0.95),)),
    )
)
BOXES = 4 * 4 * 2 + 2 * 2 * 3 + 1


class _Detector(torch.nn.Module):
    """Raw heads that differ from anchor to anchor, some of them certain."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),
            torch.nn.ReLU6(),
            torch.nn.AdaptiveAvgPool2d(2),
            torch.nn.Flatten(),
        )
        self.boxes = torch.nn.Linear(32, BOXES * 4)
        self.classes = torch.nn.Linear(32, BOXES * (1 + len(LABELS)))
        with torch.no_grad():
            self.boxes.bias.uniform_(-6, 6)
            self.classes.bias.uniform_(-5, 4)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        found = self.body(x)
        return {
            "boxes": self.boxes(found).reshape(1, BOXES, 4),
            "classes": self.classes(found).reshape(1, BOXES, 1 + len(LABELS)),
        }


def _tagger() -> SourceModel:
    return replace(small_classifier(), task="multi-label-classification")


def _geolocator() -> SourceModel:
    return replace(small_classifier(), task="geolocation", labels=PLACES)


def _embedder() -> SourceModel:
    return replace(small_classifier(), task="embedding", labels=())


def _detector() -> SourceModel:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = _Detector().eval()
    return replace(small_classifier(), module=module, task="object-detection", anchors=ANCHORS)


MODELS: dict[Task, Callable[[], SourceModel]] = {
    "multi-label-classification": _tagger,
    "geolocation": _geolocator,
    "embedding": _embedder,
    "object-detection": _detector,
}


def task_file(
    folder: Path, task: Task, target: Target, *, model: SourceModel | None = None, **options: object
) -> Path:
    """The small model of a task, or another one, as a file."""
    path = folder / f"{task}{FORMATS[target].suffix}"
    convert(model or MODELS[task](), target=target, output=path, verify=False, **options)  # type: ignore[arg-type]
    return path
