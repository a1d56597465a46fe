"""Files against PyTorch on the 1000 labelled images: top-1 and the share of equal predictions.

``python benchmarks/accuracy.py [MODEL ...] [--json]``; each model in three formats, fp32 and fp16.
Core ML files are evaluated by the reference, from their own bytes, except on macOS.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from common import BUILD, DATA

from mobiledeploy.contract import TARGETS

IMAGES = DATA / "images" / "imagenet1k_sample_1000"
MODELS = {
    "v1": ("mobilenet_v1", "mobilenet_v1_1.0_224_tfslim.pth", {}),
    "v1_025": ("mobilenet_v1", "mobilenet_v1_0.25_224_keras.pth", {"width": 0.25}),
    "v2": ("mobilenet_v2", "mobilenet_v2-b0353104.pth", {}),
    "lite0": ("efficientnet_lite0", "efficientnet-lite0-57934424.pth", {}),
}
BATCH = 25


@dataclass(frozen=True)
class Row:
    """One file on all images."""

    model: str
    target: str
    precision: str
    engine: str
    images: int
    pytorch_correct: int
    correct: int
    same: int
    images_per_second: float


def measure(name: str) -> Iterator[Row]:
    """A row per format and precision."""
    import mobiledeploy

    reference, weights, options = MODELS[name]
    source = mobiledeploy.load(reference, weights=DATA / "weights" / weights, **options)
    expected, labels = pytorch_predictions(source)
    right = sum(a == b for a, b in zip(expected, labels, strict=True))
    for target in TARGETS:
        for precision in ("fp32", "fp16"):
            output = BUILD / "accuracy" / precision
            artifact = mobiledeploy.convert(source, target=target, precision=precision, output=output)
            run = mobiledeploy.evaluate(artifact.path, IMAGES, labels=IMAGES.with_suffix(".csv"))
            predicted = [item.classes[0] for item in run.predictions]
            same = sum(a == b for a, b in zip(predicted, expected, strict=True))
            correct = sum(a == b for a, b in zip(predicted, labels, strict=True))
            rate = run.images / run.seconds
            yield Row(name, target, precision, run.engine, run.images, right, correct, same, rate)


def pytorch_predictions(source: object) -> tuple[list[int], list[int]]:
    """PyTorch's class and the label of each image, in the order of ``evaluate``."""
    import numpy as np
    import torch

    from mobiledeploy.images import load_image
    from mobiledeploy.preprocessing import normalise, prepare
    from mobiledeploy.truth.classes import list_images

    listed = list_images(IMAGES, IMAGES.with_suffix(".csv"))
    rule = source.preprocessing  # type: ignore[attr-defined]
    predicted: list[int] = []
    for start in range(0, len(listed), BATCH):
        pixels = np.stack([prepare(load_image(item.path), rule) for item in listed[start : start + BATCH]])
        values = torch.from_numpy(normalise(pixels, rule)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            predicted += source.module(values).argmax(1).tolist()  # type: ignore[attr-defined]
    return predicted, [item.label for item in listed]


def main() -> None:
    if not IMAGES.is_dir():
        raise SystemExit(f"{IMAGES} is not there: set MOBILEDEPLOY_DATA to the folder of weights and images")
    Path(BUILD / "accuracy").mkdir(parents=True, exist_ok=True)
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")] or list(MODELS)
    as_json = "--json" in sys.argv
    if not as_json:
        print("model   file          PyTorch top-1   file top-1   same prediction   images/s engine")
    for name in names:
        for row in measure(name):
            if as_json:
                print(json.dumps(asdict(row)), flush=True)
                continue
            share = f"{row.same} of {row.images}"
            print(
                f"{row.model:7s} {row.target:7s} {row.precision} {row.pytorch_correct / row.images:13.1%}"
                f" {row.correct / row.images:12.1%} {share:>17s} {row.images_per_second:10.0f} {row.engine}",
                flush=True,
            )


if __name__ == "__main__":
    main()
