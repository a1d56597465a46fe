"""``mobiledeploy train``, as its users type it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toys import colour_folders

from mobiledeploy.deploy.cli import main

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_folders(tmp_path_factory.mktemp("colours"))


def arguments(data: Path, output: Path, *more: str) -> list[str]:
    common = [
        "--width",
        "0.25",
        "--resolution",
        "32",
        "--epochs",
        "1",
        "--batch-size",
        "8",
        "--device",
        "cpu",
    ]
    return ["train", "mobilenet_v1", "--data", str(data), "-o", str(output), *common, *more]


def test_result_names_the_checkpoint_and_the_next_command(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(arguments(colours, Path("run"))) == 0

    printed = capsys.readouterr()
    assert "model.safetensors" in printed.out
    assert "mobiledeploy convert" in printed.out
    assert "epoch 1 of 1: loss " in printed.err


def test_json_is_one_object_and_a_second_run_goes_on(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[dict[str, Any]] = []
    for _ in range(2):
        assert main([*arguments(colours, tmp_path / "run"), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))

    assert [item["resumed"] for item in found] == [0, 1]
    assert found[0]["epochs"] == found[1]["epochs"]
    assert found[0]["images"] == {"training": 33, "validation": 3}
    assert set(found[0]["best"]) == {
        "epoch", "loss", "validation_loss", "validation", "learning_rate", "seconds"
    }  # fmt: skip


def test_checkpoint_is_a_model_of_every_command(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(colours, tmp_path / "run")) == 0
    checkpoint = str(tmp_path / "run" / "model.safetensors")

    assert main(["convert", checkpoint, "-t", "tflite", "-o", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "model.tflite"), "--json"]) == 0
    contract = json.loads(capsys.readouterr().out)["contract"]
    assert contract["labels"] == ["blue", "green", "red"]
    assert contract["provenance"]["weights"] == "model.safetensors"
    assert main(["verify", str(tmp_path / "model.tflite"), "--against", checkpoint]) == 0
    assert main(["models", "cost", checkpoint]) == 0


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--settings", "{"], 3, "this is no JSON"),
        (["--settings", '{"lr": 1}'], 3, "unknown field 'lr'"),
        (["--learning-rate", "0"], 3, "learning_rate is 0.0, not above 0"),
        (["--recipe", "best"], 2, "best"),
        (["--weights", "missing.pth"], 3, "no such file"),
        (["--labels", "missing.csv"], 3, "missing.csv"),
        (["--teacher", "mobilenet_v7"], 3, "Did you mean"),
        (["--validation", "missing"], 3, "no such folder"),
        (["--class-names", "missing.txt"], 3, "class names cannot be read"),
        (["--task", "image-segmentation"], 4, "image-segmentation"),
        (["--device", "tpu0"], 3, "no device 'tpu0'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    colours: Path,
    tmp_path: Path,
    more: list[str],
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main([*arguments(colours, tmp_path / "run"), *more]) == code

    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["net.pt2", "weights.safetensors"])
def test_files_are_no_networks(
    colours: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "train",
        name,
        "--data",
        str(colours),
        "-o",
        str(tmp_path / "run"),
        "--task",
        "image-classification",
    ]

    assert main(command) == 3
    assert "a file cannot be trained" in capsys.readouterr().err
