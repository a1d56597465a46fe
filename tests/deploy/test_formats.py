"""What a path is, and that every target has what it needs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from mobiledeploy.contract import TARGETS, Target
from mobiledeploy.converters import WRITERS
from mobiledeploy.deploy.conversion import convert
from mobiledeploy.errors import EnvironmentProblem, InputError
from mobiledeploy.runtimes.formats import FORMATS, find_format, needs, open_session, read_artifact
from mobiledeploy.source import SourceModel


def test_every_target_has_a_reader_a_runtime_and_a_writer() -> None:
    assert set(FORMATS) == set(TARGETS) == set(WRITERS)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_picked_up(target: Target, tiny: SourceModel, tmp_path: Path) -> None:
    path = tmp_path / f"model{FORMATS[target].suffix}"
    convert(tiny, target=target, output=path, verify=False)
    assert read_artifact(path).target == target
    session = open_session(path, threads=1)
    (spec,) = session.inputs
    (result,) = session.run([np.zeros(spec.shape, spec.dtype)])
    assert result.shape == (1, 4)


@pytest.mark.parametrize("target", TARGETS)
def test_content_counts_before_the_name(target: Target, tiny: SourceModel, tmp_path: Path) -> None:
    path = tmp_path / f"model{FORMATS[target].suffix}"
    convert(tiny, target=target, output=path, verify=False)
    renamed = path.rename(tmp_path / "model.rejected")
    assert find_format(renamed).target == target


def test_digest_and_size_of_a_file(tiny: SourceModel, tmp_path: Path) -> None:
    artifact = convert(tiny, output=tmp_path / "a.tflite", verify=False)
    data = (tmp_path / "a.tflite").read_bytes()
    assert artifact.sha256 == hashlib.sha256(data).hexdigest()
    assert artifact.size == len(data)


def test_digest_of_a_package_depends_on_names_and_bytes_only(tiny: SourceModel, tmp_path: Path) -> None:
    first = convert(tiny, target="coreml", output=tmp_path / "a.mlpackage", verify=False)
    moved = (tmp_path / "a.mlpackage").rename(tmp_path / "b.mlpackage")
    assert read_artifact(moved).sha256 == first.sha256
    (moved / "more").write_text("x")
    assert read_artifact(moved).sha256 != first.sha256


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_artifact(tmp_path / "none.tflite")


def test_folder_that_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Core ML package"):
        read_artifact(tmp_path)


@pytest.mark.parametrize("name", ["x", "x.bin", "x.tflite", "x.onnx", "x.mlmodel"])
def test_random_bytes(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(np.random.default_rng(1).bytes(5000))
    with pytest.raises(InputError, match=name):
        read_artifact(path)
    with pytest.raises(InputError, match=name):
        open_session(path)


@pytest.mark.parametrize("name", ["x.tflite", "x.onnx", "x.mlmodel"])
def test_empty_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=name):
        read_artifact(tmp_path / name)


def test_missing_package_names_the_extra() -> None:
    with pytest.raises(EnvironmentProblem, match=r"pip install 'mobiledeploy\[tflite\]'"), needs("tflite"):
        import a_package_that_nobody_has  # noqa: F401


def test_a_defect_of_our_own_is_not_a_missing_package() -> None:
    with pytest.raises(ModuleNotFoundError), needs("tflite"):
        import mobiledeploy.no_such_room  # noqa: F401
