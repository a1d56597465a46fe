"""What commands take from a project when they are not told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.project import COMMANDS, loading
from mobiledeploy.deploy.project.defaults import MAKERS, defaults_for
from mobiledeploy.deploy.project.loading import parse
from mobiledeploy.errors import UnsupportedError

TEXT = """
[model]
name = "mobilenet_v1"
weights = "v1.pth"
width = 0.25
preprocessing = {mean = [1, 2, 3], std = [4, 5, 6]}
[convert]
targets = ["onnx", "tflite"]
precision = "int8"
max-drop = 1
output = "out"
[recipe]
rounding = "nearest"
[data]
calibration = "photos"
images = "labelled"
labels = "labelled.csv"
label-offset = 1
[measure]
devices = ["pixel", "board"]
threads = 2
[gates]
baseline = "float"
max-size = "1MB"
[packages.android]
name = "Flowers"
[packages.linux]
target = "onnx"
"""
INT8, FLOAT = "out/mobilenet_v1_0.25_int8", "out/mobilenet_v1_0.25"


def given(command: str, text: str = TEXT, **options: Any) -> dict[str, Any]:
    return defaults_for(command, options, parse(Path("deploy.toml"), text))


def test_every_command_is_there() -> None:
    assert set(MAKERS) == COMMANDS


def test_convert() -> None:
    values = given("convert")
    assert values["model"] == "mobilenet_v1"
    assert (values["weights"], values["width"]) == ("v1.pth", 0.25)
    assert json.loads(values["preprocessing"]) == {"mean": [1, 2, 3], "std": [4, 5, 6]}
    assert (values["target"], values["precision"], values["output"]) == (["onnx", "tflite"], "int8", "out")
    assert json.loads(values["recipe"]) == {"rounding": "nearest"}
    assert (values["calibration"], values["max_drop"]) == ("photos", 1.0)
    assert (values["drop_images"], values["drop_labels"]) == ("labelled", "labelled.csv")
    assert "resolution" not in values


def test_sweep() -> None:
    asked = {"model": "mobilenet_v1", "device": ["pixel", "board"], "threads": "2"}
    assert given("sweep") == asked
    assert given("sweep", preset="mobilenets").keys() == {"device", "threads"}
    assert given("sweep", weights="v1_{width}.pth") == {
        **asked,
        "images": "labelled",
        "labels": "labelled.csv",
        "calibration": "photos",
    }


def test_what_belongs_to_something_else_is_left_out() -> None:
    assert not {"weights", "width", "preprocessing"} & given("convert", model="mobilenet_v2").keys()
    other = given("convert", precision="fp16")
    assert not {"calibration", "recipe", "max_drop", "drop_images"} & other.keys()
    assert given("convert", precision="int16x8")["calibration"] == "photos"
    assert "drop_labels" not in given("convert", drop_images="mine")
    assert "labels" not in given("evaluate", images="mine")
    assert given("verify", against="other").keys() == {"file"}
    assert given("package", check="x") == {}
    assert given("convert", "[gates]\nmax-size = '1MB'\n") == {}


def test_files() -> None:
    assert given("verify")["file"] == f"{FLOAT}.onnx"
    assert given("verify", TEXT.replace("int8", "fp16").split("max-drop")[0])["file"].endswith("_fp16.onnx")
    assert given("evaluate") == {
        "file": f"{INT8}.onnx",
        "images": "labelled",
        "labels": "labelled.csv",
        "label_offset": 1,
        "far": 0.001,
    }
    benchmark = given("benchmark")
    assert benchmark["files"] == [f"{INT8}.onnx", f"{INT8}.tflite"]
    assert (benchmark["device"], benchmark["threads"]) == (["pixel", "board"], "2")
    gate = given("gate")
    assert (gate["candidate"], gate["baseline"], gate["device"]) == (
        f"{INT8}.onnx",
        f"{FLOAT}.onnx",
        "pixel",
    )
    assert given("gate", TEXT.replace('"float"', '"released"'))["baseline"] == "released"


def test_packages() -> None:
    # Two are wanted: the user says which.
    assert given("package") == {}
    android = given("package", platform="android")
    assert (android["file"], android["output"], android["name"]) == (
        f"{INT8}.onnx",
        "out/packages/android",
        "Flowers",
    )
    assert given("package", platform="ios") == {}
    only = TEXT.partition("[packages.linux]")[0].replace('["onnx", "tflite"]', '["coreml"]')
    with pytest.raises(
        UnsupportedError, match=r"package for android holds .* and convert.targets has coreml"
    ):
        given("package", only)


def test_a_command_in_a_project(
    capsys: pytest.CaptureFixture[str], tiny_reference: str, tmp_path: Path
) -> None:
    """The command line comes first, the file second; what was taken is told."""
    file = tmp_path / "deploy.toml"
    file.write_text(f'[model]\nname = "{tiny_reference}"\n[convert]\ntargets = ["onnx"]\n')
    assert main(["convert", "--target", "tflite", "--json"]) == 0
    captured = capsys.readouterr()
    (made,) = json.loads(captured.out)["files"]
    assert made["path"] == "build/build.tflite"
    assert captured.err.startswith(f"deploy.toml: {tiny_reference}, --output build\n")
    # Nothing but what the user gave: help needs no project, and a broken one stops what would take from it.
    file.write_text("[model\n")
    assert main(["convert", "--help"]) == 0
    assert main(["convert"]) == 3
    assert "deploy.toml, line 1: this is no TOML" in capsys.readouterr().err
    assert main(["inspect", "build/build.tflite"]) == 0


def test_help_stays_light(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy.toml").write_text(TEXT)
    monkeypatch.setattr(loading, "load", fail)
    for arguments in (["convert", "--help"], ["gate", "--help"], ["gate", "calibrate", "--help"]):
        assert main(arguments) == 0
