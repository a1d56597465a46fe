"""Model files to package, and packages of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from small_classifier import small_classifier

from mobiledeploy.deploy.packages.packaging import Package, package
from mobiledeploy.deploy.packages.platforms.android import platform as android


@pytest.fixture(autouse=True)
def own_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine measured is not in the tests' packages."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MOBILEDEPLOY_HISTORY", raising=False)


class _Files(dict[str, Path]):
    """Converted when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __missing__(self, name: str) -> Path:
        from mobiledeploy.deploy.conversion import convert

        if name == "onnx":
            artifact = convert(
                small_classifier(), target="onnx", output=self.folder / "small.onnx", verify=False
            )
        else:
            kind = "uint8" if name == "pixels" else None
            path = self.folder / f"{name}.tflite"
            artifact = convert(small_classifier(), output=path, input_dtype=kind, verify=False)
        self[name] = artifact.path
        return artifact.path


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The small classifier as ``tflite`` and ``onnx`` in float, and as ``pixels``: TFLite of raw pixels."""
    return _Files(tmp_path_factory.mktemp("models"))


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without kotlinc: quick, and the same for every developer."""
    monkeypatch.setattr(android, "find_kotlinc", lambda: None)


@pytest.fixture
def module(model_files: dict[str, Path], tmp_path: Path, no_compiler: None) -> Callable[[str], Package]:
    """Packages a model file for Android, without an AAR."""
    return lambda name: package(model_files[name], "android", tmp_path / f"{name}-package")
