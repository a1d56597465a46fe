"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A loaded machine is no defect.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

DATA = Path(os.environ.get("MOBILEDEPLOY_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For trainings of small networks, here and in their own processes: threads would wait for each other."""
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``data`` skip, with the reason, where the real weights and images are absent."""
    if DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f"needs real weights and images in {DATA}")
    for item in items:
        if "data" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with real weights, labelled images and third-party models; use with ``mark.data``."""
    return DATA


@pytest.fixture(scope="session")
def v1_files(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """MobileNet V1 0.25 with published weights in int8, as ``tflite`` and ``onnx``."""
    from mobiledeploy.deploy.conversion import convert_all
    from mobiledeploy.deploy.sources import as_source

    source = as_source(
        "mobilenet_v1", weights=data_dir / "weights" / "mobilenet_v1_0.25_224_keras.pth", width=0.25
    )
    images = data_dir / "images" / "imagenet1k_sample_1000"
    output = tmp_path_factory.mktemp("v1")
    made = convert_all(
        source, ("tflite", "onnx"), name="v1", precision="int8", calibration=images, output=output
    )
    return {conversion.artifact.path.suffix[1:]: conversion.artifact.path for conversion in made}
