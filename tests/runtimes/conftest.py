"""A small int8 network as this product writes it, and the runners."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from runner_launch import Launcher

from mobiledeploy.errors import EnvironmentProblem
from mobiledeploy.runtimes.runner.build import native_runner
from mobiledeploy.runtimes.runner.engines import engine_library
from mobiledeploy.runtimes.runner.platforms import host_platform


@pytest.fixture(scope="session")
def native() -> Launcher:
    """The native runner for this host."""
    platform = host_platform()
    if platform is None:
        pytest.skip("no native runner for this host")
    try:
        program = native_runner(platform)
    except EnvironmentProblem as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(problem))
    return Launcher((str(program),), lambda engine: engine_library(engine, platform).path)


@pytest.fixture(scope="session")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A network of a MobileNet's operators in int8, as ``tflite`` and ``onnx``."""
    import torch
    from PIL import Image
    from torch import nn

    from mobiledeploy.contract import Preprocessing
    from mobiledeploy.deploy.conversion import convert_all
    from mobiledeploy.source import SourceModel

    folder = tmp_path_factory.mktemp("small")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()),
            *(nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.ReLU6(), nn.Conv2d(16, 24, 1)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10)),
        ).eval()
    generator = np.random.default_rng(0)
    for index in range(16):
        pixels = Image.fromarray(generator.integers(0, 255, (5, 5, 3), np.uint8))
        pixels.resize((40, 40), Image.Resampling.BILINEAR).save(folder / f"{index}.png")
    rule = Preprocessing(32, 32, resize_to=36, mean=(127.5,) * 3, std=(127.5,) * 3)
    source = SourceModel(net, (torch.zeros(1, 3, 32, 32),), "image-classification", rule)
    made = convert_all(
        source, ("tflite", "onnx"), name="net", precision="int8", calibration=folder, output=folder / "out"
    )
    return {conversion.artifact.path.suffix[1:]: conversion.artifact.path for conversion in made}
