"""Model definitions that nobody here wrote: the mobile families of torchvision and timm.

Untrained weights, but batch-norm statistics as of a trained network, so that folding is tested.
``benchmarks/model_families.py`` prints the same list with times, beside another converter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mobiledeploy.models import load

LIST = Path(__file__).parents[2] / "benchmarks" / "model_families.txt"
FAMILIES = tuple(line for line in LIST.read_text().split() if line)

# Convolutional families in which NHWC leaves nothing to move.
WITHOUT_TRANSPOSE = (
    "mobilenet", "efficientnet", "mnasnet", "fbnet", "lcnet", "squeezenet", "ghostnet", "mobileone", "repvgg",
    "lraspp", "deeplab", "convnext", "regnet", "resnet",
)  # fmt: skip
HYBRID = ("mobilenetv4_hybrid", "efficientnetv2_rw")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("reference", FAMILIES)
def test_converts_with_parity(reference: str, to_tflite: Any) -> None:
    source = load(reference, weights="random")
    generator = torch.Generator().manual_seed(1)
    for norm in source.module.modules():
        if isinstance(norm, torch.nn.modules.batchnorm._BatchNorm):
            norm.running_mean.normal_(0, 0.1, generator=generator)
            norm.running_var.uniform_(0.8, 1.2, generator=generator)
    converted = to_tflite(source.module, *source.example_input)
    assert converted.error < 2e-4
    name = reference.partition(":")[2]
    if name.startswith(WITHOUT_TRANSPOSE) and not name.startswith(HYBRID):
        assert "TRANSPOSE" not in converted.kinds
