"""The written files predict what PyTorch predicts, on 1000 real images, in all three formats."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "accuracy.py"
# Top-1 of the weights as published with the images, in percent; the images' geometry is torchvision's.
PUBLISHED = {"v1": 90.7, "v1_025": 58.7, "v2": 82.0}
FEWEST_EQUAL = {"fp32": 999, "fp16": 995}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("model", PUBLISHED)
def test_1000_images(model: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), model, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(row["target"], row["precision"]) for row in rows} == {
        (target, precision) for target in ("tflite", "onnx", "coreml") for precision in FEWEST_EQUAL
    }
    for row in rows:
        assert row["same"] >= FEWEST_EQUAL[row["precision"]], row
        # At most 0.3 points, as whole images.
        if row["precision"] == "fp32":
            assert abs(row["correct"] - PUBLISHED[model] * 10) <= 3.001, row
