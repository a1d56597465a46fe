"""The wheel for Linux boards, installed by pip on the stand-in board, over ssh."""

from __future__ import annotations

import ensurepip
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from lab.machine import IMAGE, Machine

from mobiledeploy.deploy.packages.packaging import package

pytestmark = [pytest.mark.device, pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[2]
PHOTOS = 5
PLACE = "/data/local/tmp/board"
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")


@pytest.fixture
def board(tmp_path: Path) -> Machine:
    """One that may be filled up: it is gone after the test."""
    return Machine(tmp_path)


def test_it_classifies_as_the_host_does(
    v1_files: dict[str, Path], data_dir: Path, tmp_path: Path, board: Machine
) -> None:
    made = package(v1_files["tflite"], "linux", tmp_path / "made", name="FlowerClassifier")
    (wheel,) = made.folder.glob("*.whl")
    cargo = tmp_path / "cargo"
    wheels = cargo / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    # The same Pillow as here: its releases round differently.
    versions = ["-c", str(ROOT / "constraints.txt"), "--python-version", "3.13", "--only-binary=:all:"]
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    fetch = [*pip, "download", "--quiet", *versions, *platforms, "--dest", str(wheels), str(wheel)]
    subprocess.run(fetch, check=True)
    (bundled,) = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    shutil.copy(bundled, cargo / "pip.whl")
    for photo in sorted((data_dir / "images" / "imagenet1k_sample_1000").iterdir())[:: 1000 // PHOTOS]:
        shutil.copy(photo, cargo)
    photos = sorted(path.name for path in cargo.glob("*.jpg"))
    assert len(photos) >= PHOTOS
    with tarfile.open(tmp_path / "cargo.tar", "w") as tar:
        tar.add(cargo, ".")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)], check=True)
    classify = ["-m", "flower_classifier", *photos]
    here = subprocess.run(
        [sys.executable, *classify],
        cwd=cargo,
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    install = (
        "python3 pip.whl/pip install --quiet --no-index --no-compile --root-user-action ignore "
        f"--find-links wheels --target site wheels/{wheel.name}"
    )
    try:
        board.start()
        for archive, folder in ((IMAGE / "python.tar", "/"), (tmp_path / "cargo.tar", PLACE)):
            with archive.open("rb") as stream:
                ask(board, f"mkdir -p {folder} && busybox tar -C {folder} -xf -", stdin=stream)
        ask(board, f"cd {PLACE} && {install}")
        there = f"cd {PLACE} && PYTHONPATH=site PYTHONDONTWRITEBYTECODE=1 python3"
        assert ask(board, f"{there} -m flower_classifier --check").strip() == "passed"
        assert ask(board, f"{there} {' '.join(classify)}") == here.stdout
    finally:
        board.kill()


def ask(board: Machine, command: str, **options: object) -> str:
    """What a command on the board prints."""
    done = subprocess.run(  # type: ignore[call-overload]
        ["ssh", "-F", str(board.ssh_config), "lab", command],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)
