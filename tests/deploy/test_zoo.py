"""Real networks hold the tolerances that docs/verification.md states."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobiledeploy.contract import TARGETS, Precision
from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.deploy.sources import as_source
from mobiledeploy.images import find_images

MODELS = [
    ("mobilenet_v1", "mobilenet_v1_1.0_224_tfslim.pth", None),
    ("mobilenet_v1", "mobilenet_v1_0.25_224_keras.pth", 0.25),
    ("mobilenet_v2", "mobilenet_v2-b0353104.pth", None),
    ("efficientnet_lite0", "efficientnet-lite0-57934424.pth", None),
]


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(("name", "weights", "width"), MODELS)
def test_real_weights(
    name: str, weights: str, width: float | None, precision: Precision, data_dir: Path, tmp_path: Path
) -> None:
    source = as_source(name, weights=data_dir / "weights" / weights, width=width)
    photos = find_images(data_dir / "images" / "imagenet1k_sample_1000")[::200]
    conversions = convert_all(source, TARGETS, name="m", precision=precision, images=photos, output=tmp_path)
    for conversion in conversions:
        report = conversion.verification
        assert report is not None
        assert report.passed
        assert report.precision == precision
        # Seeded inputs may be near ties; photos are not.
        assert report.outputs[0].same_top >= report.seeded + report.images - 1


@pytest.mark.slow
@pytest.mark.data
def test_pixels_in_give_what_the_float_model_gives(data_dir: Path, tmp_path: Path) -> None:
    source = as_source("mobilenet_v2", weights=data_dir / "weights" / "mobilenet_v2-b0353104.pth")
    for conversion in convert_all(source, TARGETS, name="m", input_dtype="uint8", output=tmp_path):
        assert conversion.verification is not None
        assert conversion.verification.outputs[0].sqnr_db > 100
