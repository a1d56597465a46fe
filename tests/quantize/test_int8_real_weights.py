"""A real network whose int8 version collapses without care."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mobiledeploy import models
from mobiledeploy.converters.export import export
from mobiledeploy.images import find_images, load_image
from mobiledeploy.preprocessing import normalise, prepare
from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.source import SourceModel

PLAIN = Recipe(
    ranges="minmax", rounding="nearest", equalisation="off", bias_correction="none", float_output=True
)


def inputs(source: SourceModel, paths: tuple[Path, ...]) -> Iterator[tuple[torch.Tensor]]:
    rule = source.preprocessing
    assert rule is not None
    for path in paths:
        pixels = normalise(prepare(load_image(path), rule), rule)
        yield (torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()),)


Measure = Callable[[Recipe], tuple[float, float]]


@pytest.fixture(scope="module")
def measure(data_dir: Path) -> Measure:
    """From a recipe to agreement in percent, and SQNR of the logits in dB, on images it has not seen."""
    weights = data_dir / "weights" / "mobilenet_v1_0.25_224_keras.pth"
    source = models.load("mobilenet_v1", weights=weights, width=0.25)
    program = export(source)
    calibration = list(inputs(source, find_images(data_dir / "images" / "calib_imagen_300")[:40]))
    images = list(inputs(source, find_images(data_dir / "images" / "imagenet1k_sample_1000")[::10]))
    with torch.no_grad():
        wanted = torch.cat([source.module(*x) for x in images])

    def run(recipe: Recipe) -> tuple[float, float]:
        module = quantize(program, calibration, recipe).program.module()
        with torch.no_grad():
            got = torch.cat([module(*x) for x in images])
        agreement = 100 * float((got.argmax(1) == wanted.argmax(1)).float().mean())
        noise = float(((got - wanted) ** 2).sum() / (wanted**2).sum())
        return agreement, -10 * math.log10(noise)

    return run


@pytest.mark.data
@pytest.mark.slow
def test_mobilenet_v1_keeps_its_predictions(measure: Measure) -> None:
    plain, best = measure(PLAIN), measure(Recipe(float_output=True))
    assert best[0] >= 88
    assert best[1] >= 22
    assert best[0] > plain[0] + 5
    assert best[1] > plain[1] + 6


@pytest.mark.data
@pytest.mark.slow
def test_fine_tuning_takes_noise_from_one_scale_per_tensor(measure: Measure) -> None:
    recipe = Recipe(weights="per-tensor", equalisation="on", rounding="nearest", float_output=True)
    without, tuned = measure(recipe), measure(replace(recipe, fine_tuning=4, batch=4))
    # 4.8 dB and 5.3 dB: 32 steps move biases, and hardly a code.
    assert tuned[1] > without[1] + 0.2
