"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("MOBILEDEPLOY_DATA", Path(__file__).parents[2] / "shared" / "data"))


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
