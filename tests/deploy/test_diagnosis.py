"""``doctor`` tells what clashes."""

from __future__ import annotations

import json

import pytest

from mobiledeploy.contract import TARGETS
from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.diagnosis import PackageState, diagnose, find_clashes, judge
from mobiledeploy.deploy.matrix import PACKAGES, Package, as_numbers

TORCH = next(item for item in PACKAGES if item.name == "torch")


@pytest.mark.parametrize(
    ("installed", "verdict"),
    [
        ("", "not installed"),
        ("2.8.9", "too old"),
        ("2.9.0", "ok"),
        ("2.13.0+cpu", "ok"),
        ("2.14.0", "newer than tested"),
        ("3", "newer than tested"),
    ],
)
def test_versions_are_judged(installed: str, verdict: str) -> None:
    assert judge(TORCH, installed) == verdict


def test_release_numbers() -> None:
    assert as_numbers("2.10.0rc1+cpu") == (2, 10, 0)
    assert as_numbers("1.9") < as_numbers("1.10")
    assert as_numbers("") == ()


def test_numpy_2_with_tflite_runtime_is_named() -> None:
    (clash,) = find_clashes((), {"tflite-runtime": "2.14.0", "numpy": "2.1.0"})
    assert "tflite-runtime 2.14.0 and numpy 2.1.0" in clash
    assert "numpy<2" in clash
    assert find_clashes((), {"tflite-runtime": "2.14.0", "numpy": "1.26.4"}) == ()
    assert find_clashes((), {"numpy": "2.1.0"}) == ()


def test_a_package_that_does_not_work_is_named() -> None:
    old = PackageState("torch", "2.1.0", TORCH.tested, "too old")
    absent = PackageState("onnx", "", "1.19 or later", "not installed")
    (clash,) = find_clashes((old, absent), {"torch": "2.1.0"})
    assert "torch 2.1.0: too old" in clash


def test_a_module_that_does_not_import_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest is installed; the module that it is said to have is not."""
    broken = Package("pytest", "a_module_that_nobody_has", "1", "", ("base",))
    monkeypatch.setattr("mobiledeploy.deploy.diagnosis.PACKAGES", (broken,))
    diagnosis = diagnose()
    assert "a_module_that_nobody_has" in diagnosis.clashes[0]


@pytest.mark.slow
def test_this_machine_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["clashes"] == []
    assert [item["converts"] for item in data["targets"]] == ["yes"] * len(TARGETS)
    assert all(item["runs"] for item in data["targets"])
    assert main(["doctor"]) == 0
    assert "coremltools" in capsys.readouterr().out
