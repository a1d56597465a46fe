"""The real weights on the real images, in PyTorch."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from mobiledeploy import models
from mobiledeploy.preprocessing import normalise, prepare

pytestmark = pytest.mark.data

LITE0, V2 = "efficientnet-lite0-57934424.pth", "mobilenet_v2-b0353104.pth"
V1, V1_QUARTER = "mobilenet_v1_1.0_224_tfslim.pth", "mobilenet_v1_0.25_224_keras.pth"
V1_FOLDED = "mobilenet_v1_0.5_160_qat_dequant.pth"


def load(data_dir, name, weights, **options):
    return models.load(name, weights=data_dir / "weights" / weights, **options)


def hits(data_dir, source):
    """Whether the model is right, for each labelled image."""
    folder = data_dir / "images" / "imagenet1k_sample_1000"
    with folder.with_suffix(".csv").open() as file:
        rows = list(csv.DictReader(file))
    for start in range(0, len(rows), 25):
        batch = rows[start : start + 25]
        pixels = np.stack([prepare(Image.open(folder / row["file"]), source.preprocessing) for row in batch])
        values = torch.from_numpy(normalise(pixels, source.preprocessing)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            predicted = source.module(values).argmax(1).tolist()
        yield from (
            int(row["class_index_1000"]) == index for row, index in zip(batch, predicted, strict=True)
        )


@pytest.mark.parametrize(
    ("name", "weights", "options"),
    [
        ("mobilenet_v1", V1, {}),
        ("mobilenet_v1", V1_QUARTER, {"width": 0.25}),
        ("mobilenet_v1", V1_FOLDED, {"width": 0.5, "resolution": 160}),
        ("mobilenet_v2", V2, {}),
        ("efficientnet_lite0", LITE0, {}),
    ],
)
def test_real_checkpoints_load_by_name(data_dir, name, weights, options):
    source = load(data_dir, name, weights, **options)
    assert source.provenance.weights == weights  # no note on order and shape
    assert len(source.labels) == 1000


def test_published_files_are_known_by_content(data_dir):
    assert load(data_dir, "mobilenet_v2", V2).provenance.licence == "BSD-3-Clause"
    assert load(data_dir, "efficientnet_lite0", LITE0).provenance.licence == "Apache-2.0"
    assert load(data_dir, "mobilenet_v1", V1).provenance.licence == ""


def test_the_cache_serves_the_default_model(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("MOBILEDEPLOY_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / V2).write_bytes((data_dir / "weights" / V2).read_bytes())
    source = models.load()
    assert (source.provenance.model, source.provenance.weights) == ("mobilenet_v2", V2)
    local = {listing.name: listing.local for listing in models.catalogue()}
    assert local["mobilenet_v2"] == str(tmp_path / "weights" / V2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights", "options", "expected"),
    [
        ("mobilenet_v1", V1_QUARTER, {"width": 0.25}, 587),
        ("mobilenet_v1", V1_FOLDED, {"width": 0.5, "resolution": 160}, 670),
        ("mobilenet_v1", V1, {}, 907),
        ("mobilenet_v2", V2, {}, 820),
        ("efficientnet_lite0", LITE0, {}, 874),
    ],
)
def test_top1_on_all_images(data_dir, name, weights, options, expected):
    source = load(data_dir, name, weights, **options)
    right = list(hits(data_dir, source))
    assert len(right) == 1000
    assert abs(sum(right) - expected) <= 3  # three images: what rounding in the resize moves
