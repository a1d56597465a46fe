"""The command line as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mobiledeploy import __version__
from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.conversion import convert
from mobiledeploy.errors import InputError
from mobiledeploy.source import SourceModel

COMMANDS = ("init", "run", "convert", "inspect", "verify", "diagnose", "evaluate", "models", "doctor")
HEAVY = {"torch", "numpy", "onnx", "onnxruntime", "coremltools", "ai_edge_litert", "PIL"}


def ask(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    """Exit code and the one JSON object of a command."""
    code = main([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert "Traceback" not in captured.err
    return code, json.loads(captured.out)


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str | Path) -> str:
    """The one line that a command fails with, the same in JSON."""
    assert main([*map(str, arguments)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in captured.err
    got, data = ask(capsys, *arguments)
    assert got == data["error"]["exit_code"] == code
    assert line.startswith("error: " + data["error"]["message"].splitlines()[0])
    return line


@pytest.fixture
def tiny_file(tiny: SourceModel, tmp_path: Path) -> Path:
    return convert(tiny, output=tmp_path / "tiny.tflite", verify=False).path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for index, name in enumerate(("ant", "bee", "cat", "dog")):
        (folder / name).mkdir(parents=True)
        noise = np.random.default_rng(index).integers(0, 255, (24, 24, 3), np.uint8)
        Image.fromarray(noise).save(folder / name / "photo.png")
    return folder


@pytest.mark.parametrize("arguments", [("--help",), *((command, "--help") for command in COMMANDS)])
def test_help_is_light_and_has_an_example(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys\n"
        "from mobiledeploy.deploy.cli import main\n"
        f"code = main({list(arguments)!r})\n"
        f"print('heavy:', sorted({HEAVY!r} & set(sys.modules)), code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: [] 0"
    assert "Exit codes" in done.stdout
    if len(arguments) > 1:
        assert f"mobiledeploy {arguments[0]}" in done.stdout.partition("Example:")[2]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mobiledeploy {__version__}\n"


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = ask(capsys, "convert", "--target", "tensorrt")
    assert code == data["error"]["exit_code"] == 2
    assert "tflite, onnx, coreml" in data["error"]["message"]
    assert ask(capsys, "inspect")[0] == 2
    assert ask(capsys, "no-such-command")[0] == 2


def test_convert_inspect_verify(capsys: pytest.CaptureFixture[str], tiny_reference: str) -> None:
    targets = ("-t", "tflite", "-t", "onnx", "-t", "coreml")
    code, data = ask(capsys, "convert", tiny_reference, *targets, "-o", "out", "--golden")
    assert code == 0
    assert [Path(file["path"]).name for file in data["files"]] == [
        "build.tflite",
        "build.onnx",
        "build.mlpackage",
    ]
    assert {"load", "export", "write", "read back", "verify"} <= set(data["seconds"])
    for file in data["files"]:
        assert file["verification"]["passed"] is True
        assert Path(file["golden"]).is_file()
        code, inspected = ask(capsys, "inspect", file["path"])
        assert (code, inspected["sha256"]) == (0, file["sha256"])
        assert inspected["arithmetic"] == "float32"
        code, verified = ask(capsys, "verify", file["path"], "--against", tiny_reference)
        assert (code, verified["passed"]) == (0, True)


def test_text_goes_to_stdout_and_noise_does_not(
    capsys: pytest.CaptureFixture[str], tiny_reference: str
) -> None:
    assert main(["convert", tiny_reference]) == 0
    captured = capsys.readouterr()
    assert "build.tflite" in captured.out
    assert "noise" not in captured.out
    assert "noise" in captured.err
    assert "export" in captured.err
    assert main(["inspect", "build.tflite"]) == 0
    assert "CONV_2D" in capsys.readouterr().out
    assert main(["verify", "build.tflite", "--against", tiny_reference]) == 0
    assert "passed" in capsys.readouterr().out


def test_verify_fails_with_its_own_code(
    capsys: pytest.CaptureFixture[str], tiny_reference: str, tiny_file: Path
) -> None:
    main(["convert", tiny_reference, "-o", "model.tflite"])
    Path("other.py").write_text(Path("tiny_user_model.py").read_text().replace("seed(0)", "seed(1)"))
    capsys.readouterr()
    code, data = ask(capsys, "verify", "model.tflite", "--against", "other:build")
    assert (code, data["passed"]) == (5, False)
    assert refused(capsys, 3, "verify", tiny_file, "--against", tiny_reference)


def test_evaluate(capsys: pytest.CaptureFixture[str], tiny_file: Path, photos: Path) -> None:
    code, data = ask(
        capsys, "evaluate", tiny_file, "--images", photos, "--against", tiny_file, "--predictions"
    )
    assert code == 0
    assert data["images"] == len(data["predictions"]) == 4
    assert data["difference"]["agreement"] == 1
    assert main(["evaluate", str(tiny_file), "--images", str(photos)]) == 0
    assert "top-5" in capsys.readouterr().out


def test_models(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = ask(capsys, "models")
    assert code == 0
    assert data["default"] in {model["name"] for model in data["models"]}
    assert main(["models"]) == 0
    assert "mobilenet_v3_small" in capsys.readouterr().out


def test_bad_models(capsys: pytest.CaptureFixture[str], tiny_reference: str, tmp_path: Path) -> None:
    assert "mobilenet_v2" in refused(capsys, 3, "convert", "mobilenet_v22")
    assert "nothing_here" in refused(capsys, 3, "convert", "nothing_here:build")
    assert "tiny_user_model" in refused(capsys, 3, "convert", "tiny_user_model:nothing_here")
    assert "none.pt2" in refused(capsys, 3, "convert", "none.pt2")
    (tmp_path / "noise.pt2").write_bytes(np.random.default_rng(0).bytes(1000))
    assert "noise.pt2" in refused(capsys, 3, "convert", "noise.pt2")
    assert list(tmp_path.glob("*.tflite*")) == []


def test_bad_weights(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "none.pth" in refused(capsys, 3, "convert", "mobilenet_v2", "--weights", "none.pth")
    Path("noise.pth").write_bytes(np.random.default_rng(0).bytes(1000))
    assert "noise.pth" in refused(capsys, 3, "convert", "mobilenet_v2", "--weights", "noise.pth")
    torch.save({"features.0.0.weight": torch.zeros(7)}, "other.pth")
    assert "features.0.0.weight" in refused(capsys, 3, "convert", "mobilenet_v2", "--weights", "other.pth")
    Path("cut.pth").write_bytes(Path("other.pth").read_bytes()[:500])
    assert "cut.pth" in refused(capsys, 3, "convert", "mobilenet_v2", "--weights", "cut.pth")
    # A pickle that would make a file if it were run.
    Path("evil.pth").write_bytes(b"cposix\nsystem\n(S'touch owned'\ntR.")
    assert "evil.pth" in refused(capsys, 3, "convert", "mobilenet_v2", "--weights", "evil.pth")
    assert not Path("owned").exists()
    assert list(tmp_path.glob("*.tflite*")) == []


def test_refused_operations_are_one_table(
    capsys: pytest.CaptureFixture[str], tiny_reference: str, tmp_path: Path
) -> None:
    for target in ("tflite", "onnx", "coreml"):
        code, data = ask(capsys, "convert", "tiny_user_model:unsupported", "-t", target, "-o", "out")
        assert code == 4
        operations = " ".join(refusal["op"] for refusal in data["error"]["refusals"])
        assert "svd" in operations
        assert "bessel_j0" in operations
    assert list(tmp_path.joinpath("out").iterdir()) == []


def test_bad_files(capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_file: Path, photos: Path) -> None:
    for name in ("x.tflite", "x.onnx", "x.mlmodel", "x.bin"):
        (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(3000))
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(tiny_file.read_bytes()[:600])
    for path in (tmp_path / "none.tflite", tmp_path, cut, *tmp_path.glob("x.*")):
        assert str(path) in refused(capsys, 3, "inspect", path)
        assert str(path) in refused(capsys, 3, "verify", path, "--against", "mobilenet_v2")
        assert str(path) in refused(capsys, 3, "evaluate", path, "--images", photos)


def test_bad_images_and_labels(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_file: Path, photos: Path
) -> None:
    def line(*arguments: str | Path) -> str:
        return refused(capsys, 3, "evaluate", tiny_file, *arguments)

    empty = tmp_path / "empty"
    empty.mkdir()
    assert "empty" in line("--images", empty)
    assert "nowhere" in line("--images", tmp_path / "nowhere")
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label\nant/photo.png,4\n")
    assert "4 classes" in line("--images", photos, "--labels", labels)
    labels.write_text("file,label\nant/none.png,1\n")
    assert "none.png" in line("--images", photos, "--labels", labels)
    labels.write_text("file,label\nant/photo.png,a\n")
    assert "labels.csv" in line("--images", photos, "--labels", labels)
    assert "none.csv" in line("--images", photos, "--labels", tmp_path / "none.csv")
    assert "presets" in line("--images", photos, "--preprocessing", "imagenett").lower()
    (photos / "dog" / "photo.png").write_text("no image")
    assert str(Path("dog") / "photo.png") in line("--images", photos)


def test_output_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], tiny_reference: str, tmp_path: Path
) -> None:
    Path("taken").touch()
    assert "taken" in refused(capsys, 7, "convert", tiny_reference, "-o", "taken")
    assert "taken" in refused(capsys, 7, "convert", tiny_reference, "-o", "taken/model.tflite")
    assert "/proc" in refused(capsys, 7, "convert", tiny_reference, "-o", "/proc/mobiledeploy")


@pytest.mark.parametrize("target", ["tflite", "onnx", "coreml"])
def test_a_write_that_fails_half_way_leaves_nothing(target: str, tiny_reference: str, tmp_path: Path) -> None:
    """The kernel refuses more than 1000 bytes in a file, as a full disk would."""
    code = (
        "import resource, signal, sys\n"
        "from mobiledeploy.deploy.cli import main\n"
        "import torch, onnx, coremltools, mobiledeploy.deploy.conversion\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"sys.exit(main(['convert', {tiny_reference!r}, '-t', {target!r}, '-o', 'out']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert list(Path("out").iterdir()) == []


def test_a_defect_is_one_line_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("user_defect.py").write_text("def broken():\n    raise ZeroDivisionError('of the user')\n")
    code = main(["convert", "user_defect:broken"])
    captured = capsys.readouterr()
    assert code in {1, 3}
    assert "of the user" in captured.err
    assert "Traceback" not in captured.err


def test_non_maximum_suppression_is_for_detectors(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    convert = ("convert", "mobilenet_v1", "--weights", "random", "--width", "0.25", "--resolution", "32")
    assert "for detectors" in refused(capsys, InputError.exit_code, *convert, "--nms", "-o", tmp_path)
    alone = refused(capsys, InputError.exit_code, *convert, "--nms-threshold", "0.5")
    assert "--nms-threshold is for files" in alone
