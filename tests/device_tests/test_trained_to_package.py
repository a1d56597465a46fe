"""From images to an app: trained, int8, measured on the stand-in board, packaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from digits import write_digits
from lab.machine import Machine

from mobiledeploy.deploy.conversion import convert
from mobiledeploy.deploy.evaluation import evaluate, evaluate_device
from mobiledeploy.deploy.packages.packaging import package
from mobiledeploy.deploy.training import train
from mobiledeploy.models.training.settings import make_settings

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.device,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


def test_digits_from_images_to_a_wheel(machine: Machine, adb_client: str, tmp_path: Path) -> None:
    del adb_client
    learning, judging = write_digits(tmp_path)
    settings = make_settings("modern", {"epochs": 12, "flip": False, "smallest_crop": 0.7})
    trained = train(
        "mobilenet_v1",
        learning,
        tmp_path / "run",
        validation=judging,
        width=0.25,
        resolution=48,
        settings=settings,
        device="cpu",
    )
    assert trained.best.validation > 0.9

    artifact = convert(
        str(trained.model), precision="int8", calibration=learning, output=tmp_path / "digits.tflite"
    )
    assert artifact.census.arithmetic == "full-integer"
    here = evaluate(artifact.path, judging)
    there = evaluate_device(artifact.path, judging, f"adb:{machine.serial}")
    assert there.host.sound
    assert here.top1.share == pytest.approx(trained.best.validation, abs=0.015)
    assert there.top1.share == pytest.approx(here.top1.share, abs=0.005)

    made = package(artifact.path, "linux", tmp_path / "made", name="DigitReader")
    (wheel,) = made.folder.glob("*.whl")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)
    seven = min((judging / "digit 7").iterdir())
    said = subprocess.run(
        [sys.executable, "-m", "digit_reader", str(seven)],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "digit 7" in said.stdout
