"""The Linux package on the stand-in board, installed over ssh as its README says."""

from __future__ import annotations

import hashlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from lab.machine import IMAGE, Machine

from mobiledeploy.deploy.packages.packaging import package

PYTHON_SCRIPT = Path(__file__).parent / "lab" / "python.sh"
BOARD = "/data/local/tmp/board"
PHOTOS = 6


def board_python() -> Path:
    """A root file system with Python for arm64, made once."""
    key = hashlib.sha256(PYTHON_SCRIPT.read_bytes()).hexdigest()[:12]
    place = IMAGE / f"python-{key}.tar.gz"
    if not place.exists():
        subprocess.run([str(PYTHON_SCRIPT), str(place)], check=True, timeout=600)
    return place


class Board:
    """A folder of the stand-in device that a Python of its own runs in."""

    def __init__(self, machine: Machine) -> None:
        self._ssh = ["ssh", "-F", str(machine.ssh_config), "lab"]
        self.run("mkdir", "-p", BOARD)

    def run(self, *words: str, standard_input: Path | None = None) -> str:
        data = standard_input.read_bytes() if standard_input else b""
        command = [*self._ssh, shlex.join(words)]
        done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=1200)
        assert done.returncode == 0, (words, done.stderr.decode()[-1000:])
        return done.stdout.decode()

    def python(self, *words: str) -> str:
        return self.run("busybox", "chroot", BOARD, "/usr/bin/python3.13", *words)


def archive(folder: Path, files: list[Path]) -> Path:
    packed = folder / "packed.tar"
    for file in files:
        line = ["tar", "-C", str(file.parent), "-rf", str(packed), "--owner=0", "--group=0", file.name]
        subprocess.run(line, check=True)
    return packed


def answers(text: str) -> list[tuple[str, float]]:
    """The best label and its score for each image."""
    return [(label, float(score)) for _, score, label in re.findall(r"(.*\n)  +([0-9.]+)  (.*)\n", text)]


@pytest.mark.device
@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(3600)
def test_the_wheel_on_a_board_classifies_as_here(
    machine: Machine, v1_files: dict[str, Path], data_dir: Path, tmp_path: Path
) -> None:
    made = package(v1_files["tflite"], "linux", tmp_path / "package", name="BoardClassifier")
    (wheel,) = made.folder.glob("*.whl")
    wheels = tmp_path / "wheels"
    tags = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (28, 27, 17)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    wanted = ["--only-binary=:all:", "--python-version=3.13", *tags, str(wheel), "pip"]
    subprocess.run([*pip, "--dest", str(wheels), *wanted], check=True, timeout=600)
    photos = sorted((data_dir / "images" / "imagenet1k_sample_1000").glob("*.jpg"))[:: 1000 // PHOTOS][
        :PHOTOS
    ]

    board = Board(machine)
    board.run("busybox", "tar", "-C", BOARD, "-xzf", "-", standard_input=board_python())
    packed = archive(tmp_path, [*wheels.iterdir(), *photos])
    board.run("busybox", "tar", "-C", f"{BOARD}/root", "-xf", "-", standard_input=packed)
    for tree in ("proc", "dev"):
        board.run("busybox", "mount", "-o", "bind", f"/{tree}", f"{BOARD}/{tree}")
    try:
        (own_pip,) = (item.name for item in wheels.glob("pip-*.whl"))
        options = ("--no-index", "--no-compile", "--root-user-action=ignore", "--break-system-packages")
        board.python(
            f"/root/{own_pip}/pip", "install", *options, "--find-links", "/root", f"/root/{wheel.name}"
        )
        assert board.python("-m", "board_classifier", "--check") == "passed\n"
        there = answers(board.python("-m", "board_classifier", *(f"/root/{photo.name}" for photo in photos)))
    finally:
        for tree in ("proc", "dev"):
            board.run("busybox", "umount", f"{BOARD}/{tree}")
        board.run("rm", "-rf", BOARD)
    here_command = [sys.executable, "-m", "board_classifier", *map(str, photos)]
    here = answers(
        subprocess.run(
            here_command, cwd=made.folder / "python", capture_output=True, text=True, check=True
        ).stdout
    )
    assert len(here) == PHOTOS
    assert [label for label, _ in there] == [label for label, _ in here]
    assert [score for _, score in there] == pytest.approx([score for _, score in here], abs=0.05)
