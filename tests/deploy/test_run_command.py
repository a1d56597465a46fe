"""``mobiledeploy run`` as a user meets it: real steps, in processes of their own."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import quick_steps
from interrupts import heed_interrupts

from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.failures import describe
from mobiledeploy.deploy.pipeline.cache import FOLDER
from mobiledeploy.deploy.pipeline.plan import make_plan
from mobiledeploy.deploy.pipeline.starting import Came
from mobiledeploy.deploy.pipeline.step import Step
from mobiledeploy.deploy.pipeline.work import Task, perform
from mobiledeploy.deploy.project.loading import parse
from mobiledeploy.device_tests.history import Filter, open_history
from mobiledeploy.device_tests.latency_run import LatencyRun
from mobiledeploy.device_tests.lock import hold_file
from mobiledeploy.errors import MobileDeployError

RUN = [sys.executable, "-m", "mobiledeploy.deploy", "run", "--json", "--no-store"]
# As ``mobiledeploy init`` would have it for a model of one's own.
TINY = """
[model]
name = "net:build"
class-names = "classes.txt"
preprocessing = "inception"
task = "image-classification"
[convert]
targets = ["tflite", "onnx"]
precision = "int8"
[recipe]
rounding = "nearest"
[data]
calibration = "photos"
images = "photos"
labels = "photos.csv"
[gates]
max-size = "1MB"
reports = ["junit"]
[packages.linux]
name = "Tiny"
"""
NET = """
import torch

def build():
    layers = [torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.ReLU6(), torch.nn.AdaptiveAvgPool2d(1)]
    net = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(8, 4)).eval()
    return net, torch.zeros(1, 3, 16, 16)
"""


@pytest.fixture
def tiny_project(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "deploy.toml").write_text(TINY)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "classes.txt").write_text("ant\nbee\ncat\ndog\n")
    names = sorted(path.name for path in photos.iterdir())
    lines = "".join(f"{name},{index % 4}\n" for index, name in enumerate(names))
    (tmp_path / "photos.csv").write_text(f"file,label\n{lines}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".state"))
    return tmp_path


def plan(text: str) -> dict[str, Any]:
    return {step.name: step for step in make_plan(parse(Path("deploy.toml"), text))}


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_plan_is_data(tiny_project: Path) -> None:
    steps = plan(TINY + '[measure]\ndevices = ["local"]\n')
    files = ("build.tflite", "build.onnx"), ("build_int8.tflite", "build_int8.onnx")
    assert list(steps) == [
        "export:fp32",
        *(f"{kind}:{file}" for file in files[0] for kind in ("convert", "verify")),
        "quantize:int8",
        *(f"{kind}:{file}" for file in files[1] for kind in ("convert", "verify")),
        "evaluate:build.tflite",
        "evaluate:build_int8.tflite",
        "evaluate:build.onnx",
        "evaluate:build_int8.onnx",
        "benchmark:local",
        "gate:build_int8.tflite",
        "gate:build_int8.onnx",
        "package:linux",
    ]
    assert steps["convert:build_int8.onnx"].needs == ("quantize:int8",)
    assert steps["verify:build_int8.onnx"].needs == ("convert:build_int8.onnx", "quantize:int8")
    assert steps["package:linux"].needs == (
        "verify:build_int8.tflite",
        "evaluate:build_int8.tflite",
        "benchmark:local",
        "gate:build_int8.tflite",
    )
    assert set(steps["quantize:int8"].sources) == {"class names", "code of the project", "calibration"}
    assert "calibration" not in steps["export:fp32"].sources
    assert steps["benchmark:local"].device == "local"
    assert steps["gate:build_int8.tflite"].device == ""
    floats = plan("[convert]\nprecision = 'fp16'\n[data]\nimages = 'x'\n")
    assert list(floats) == [
        "export:fp32",
        "convert:mobilenet_v2.tflite",
        "verify:mobilenet_v2.tflite",
        "export:fp16",
        "convert:mobilenet_v2_fp16.tflite",
        "verify:mobilenet_v2_fp16.tflite",
        "evaluate:mobilenet_v2.tflite",
        "evaluate:mobilenet_v2_fp16.tflite",
    ]
    assert list(plan("")) == ["export:fp32", "convert:mobilenet_v2.tflite", "verify:mobilenet_v2.tflite"]
    # One device by two names, and what this machine is, are part of what was measured.
    assert steps["benchmark:local"].settings["address"]["kind"] == "local"
    assert steps["benchmark:local"].settings["address"]["host"]


def test_a_new_target_quantizes_nothing_anew(tiny_project: Path) -> None:
    one = plan(TINY.replace('["tflite", "onnx"]', '["tflite"]'))
    three = plan(TINY.replace('["tflite", "onnx"]', '["tflite", "onnx", "coreml"]'))
    assert {name: three[name] for name in one} == one
    assert set(three) - set(one) == {
        f"{kind}:build{suffix}"
        for kind in ("convert", "verify", "evaluate", "gate")
        for suffix in (".onnx", ".mlpackage", "_int8.onnx", "_int8.mlpackage")
        if not (kind == "gate" and "int8" not in suffix)
    }
    # Layers are kept in float by what the first format's files show.
    drop = plan(TINY.replace('"int8"', '"int8"\nmax-drop = 1'))["quantize:int8"]
    assert drop.settings["drop"] == {
        "points": 1.0,
        "target": "tflite",
        "images": "photos",
        "labels": "photos.csv",
    }


def test_limits_of_files_and_of_time_are_steps_of_their_own(tiny_project: Path) -> None:
    text = TINY.replace('"1MB"', '"1MB"\nmax-median = "1s"') + '[measure]\ndevices = ["local"]\n'
    steps = plan(text)
    still, timed = steps["gate:build_int8.onnx"], steps["gate:build_int8.onnx@local"]
    assert (still.device, list(still.settings["limits"])) == ("", ["max-size"])
    assert (timed.device, list(timed.settings["limits"])) == ("local", ["max-median"])
    assert set(plan(text)["package:linux"].after) == {
        "gate:build_int8.tflite",
        "gate:build_int8.tflite@local",
    }
    # Another limit of size measures nothing anew.
    assert plan(text.replace("1MB", "2MB"))["gate:build_int8.onnx@local"] == timed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[convert]\nprecision = "int8"\n', "line 2: int8 needs the range of each activation"),
        ('[recipe]\nrounding = "nearest"\n', "deploy.toml: calibration, a recipe"),
        ('[model]\npreprocessing = "imagnet"\n', "line 2: there is no preprocessing preset 'imagnet'"),
        ("[convert]\nmax-drop = 1\n", "line 2: a largest drop is for quantized files"),
        ('[data]\nlabels = "x.csv"\n', "line 2: there are no images"),
        ('[gates]\nmax-p90 = "9ms"\n', "line 2: max-p90 is measured on a device, and there is none"),
        ("[gates]\nmax-top1-drop = 1\n", "line 2: max-top1-drop compares with a baseline"),
        ('[gates]\nbaseline = "old"\nmax-top1-drop = 1\n', "line 3: accuracy needs images"),
        ('[gates]\nbaseline = "float"\nmax-size = "1MB"\n', "line 2: the files are the float ones"),
        ('[measure]\ndevices = ["no such"]\n', "line 2: no such: no such device"),
        ('[measure]\naffinity = "3-1"\n', "line 2: affinity '3-1' goes backwards"),
        ('[measure]\nscheduler = "lab"\n', "line 2: 'lab' is no address of a scheduler"),
        ('[gates]\ntime-limit = "5"\n', "line 2: '5' has no unit"),
        ('[data]\nimages = "x"\n[convert]\noutput = "x/y"\n', "line 4: results would be among data.images"),
        ('[packages.ios]\nname = "lower"\n', "line 1: 'lower' cannot be the name of a class"),
        ('[packages.linux]\ntarget = "coreml"\n', "line 1: a package for linux holds coreml, and convert.ta"),
    ],
)
def test_what_does_not_go_together_is_told_before_anything_is_done(text: str, message: str) -> None:
    with pytest.raises(MobileDeployError) as caught:
        plan(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("deploy.toml")


class InThisProcess:
    """Steps as they are, without a process for each."""

    def __call__(self, step: Step, inputs: Any, folder: Path, announce: Any) -> Came:
        try:
            done = perform(step.kind, Task(step.name, step.settings, inputs, folder, announce=announce))
        except MobileDeployError as error:
            return Came(error=describe(error))
        return Came(done.data, done.code, done.final)

    def end(self) -> None:
        """Nothing outlives a call."""


@pytest.mark.slow
def test_a_file_that_differs_is_kept_aside_and_goes_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Its program is not what the module computes.
    Path("odd.py").write_text(
        "import torch\n"
        "class Odd(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x.mean((2, 3)) * (2.0 if torch.compiler.is_exporting() else 1.0)\n"
        "def build():\n"
        "    return Odd().eval(), torch.ones(1, 3, 8, 8)\n"
    )
    steps = list(plan('[model]\nname = "odd:build"\n[gates]\nmax-size = "1MB"\n').values())
    results = {result.step: result for result in quick_steps.run(InThisProcess(), steps)}
    assert {name: result.code for name, result in results.items()} == {
        "export:fp32": 0,
        "convert:build.tflite": 0,
        "verify:build.tflite": 5,
        "gate:build.tflite": 5,
    }
    assert [str(path) for path in Path("build").iterdir()] == ["build/build.tflite.rejected"]
    error = results["verify:build.tflite"].error
    assert error is not None
    assert error["where"] == "build/build.tflite"
    assert "beyond the tolerance" in error["message"]


def test_what_cannot_be_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, data = ask(capsys, "run")
    assert code == 3
    assert "Write one with `mobiledeploy init`" in data["error"]["message"]
    Path("deploy.toml").write_text('[model]\nweights = "gone.pth"\nname = "mobilenet_v1"\n')
    code, data = ask(capsys, "run", "--dry-run")
    assert code == 3
    assert "deploy.toml, line 2: gone.pth: no such file" in data["error"]["message"]
    assert "Did you mean convert" in ask(capsys, "run", "--again", "convrt")[1]["error"]["message"]
    assert not FOLDER.exists()
    Path("gone.pth").write_bytes(b"")
    FOLDER.write_text("a file")
    code, data = ask(capsys, "run")
    assert code == 7
    assert data["error"]["message"].startswith(".mobiledeploy")
    FOLDER.unlink()
    with hold_file(FOLDER / "lock", "run"):
        code, data = ask(capsys, "run")
    assert code == 7
    assert f"process {os.getpid()} for run" in data["error"]["message"]
    code, data = ask(capsys, "run", "--dry-run")
    assert (code, data["steps"][0]["state"]) == (0, "to do")


@pytest.mark.slow
def test_from_a_model_to_a_gated_package(tiny_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, data = ask(capsys, "run")
    assert code == data["exit_code"] == 0, data
    steps = {step["step"]: step for step in data["steps"]}
    assert {step["state"] for step in steps.values()} == {"done"}
    assert steps["verify:build_int8.tflite"]["data"]["verification"]["passed"]
    assert steps["evaluate:build_int8.tflite"]["data"]["against_float"]["agreement"] > 0.5
    assert steps["gate:build_int8.tflite"]["data"]["outcome"] == "pass"
    assert "<testsuite" in Path("build/gates/build_int8.tflite.xml").read_text()
    manifest = json.loads(next(Path("build/packages/linux").rglob("mobiledeploy-package.json")).read_text())
    (accuracy,) = manifest["measured"]["accuracy"]
    assert accuracy["top1"] == steps["evaluate:build_int8.tflite"]["data"]["top1"]["share"]
    assert manifest["contract"]["labels"] == ["ant", "bee", "cat", "dog"]
    first = contents(Path("build"))
    code, data = ask(capsys, "run")
    assert (code, {step["state"] for step in data["steps"]}) == (0, {"fresh"})
    # What the model's code says counts, what it says of itself does not.
    Path("net.py").write_text(NET.replace("ReLU6", "ReLU"))
    Path("notes.txt").write_text("x")
    code, data = ask(capsys, "run", "--dry-run")
    changed = {step["step"]: step["reason"] for step in data["steps"] if step["state"] == "to do"}
    assert changed == dict.fromkeys(("export:fp32", "quantize:int8"), "changed: code of the project")
    Path("net.py").write_text(NET)
    # A new format takes the program that is there.
    Path("deploy.toml").write_text(TINY.replace('"onnx"]', '"onnx", "coreml"]'))
    done = {step["step"]: step["state"] for step in ask(capsys, "run")[1]["steps"]}
    assert {name.partition(".")[2] for name, state in done.items() if state == "done"} == {"mlpackage"}
    Path("deploy.toml").write_text(TINY)
    # A gate that fails keeps the package back, and what was there before is taken away.
    Path("deploy.toml").write_text(TINY.replace("1MB", "1kB"))
    code, data = ask(capsys, "run")
    assert (code, data["steps"][-1]["state"]) == (9, "skipped")
    assert not Path("build/packages/linux").exists()
    Path("deploy.toml").write_text(TINY)
    assert ask(capsys, "run")[0] == 0
    for package in Path("build").glob("*.mlpackage"):
        shutil.rmtree(package)
    next(Path("build/gates").glob("*mlpackage*")).unlink()
    assert contents(Path("build")) == first


@pytest.mark.slow
def test_a_device_is_measured_in_a_lab_and_evaluated(
    tiny_project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """This machine by two names: of a kind, and as a device whose outputs are compared."""
    here = f'[devices.here]\nreference = "local"\nfolder = "{tiny_project / "work"}"\nkind = "board"\n'
    Path("devices.toml").write_text(here)
    text = TINY.replace('["tflite", "onnx"]', '["tflite"]').replace('"1MB"', '"1MB"\nmax-median = "1s"')
    measure = 'devices = ["kind:board"]\nevaluate-on = ["here"]\nlaunches = 1\nseconds = 0\n'
    Path("deploy.toml").write_text(f'{text}[measure]\n{measure}governor = ""\n')
    arguments = ["run", "--history", "runs.db", "--label", "ci"]
    code, data = ask(capsys, *arguments)
    assert code == 0, data
    steps = {step["step"]: step for step in data["steps"]}
    beside = steps["evaluate:build_int8.tflite@here"]["data"]["against_host"]
    assert (beside["images"], beside["sound"]) == (30, True)
    assert steps["benchmark:kind:board"]["data"]["runs"][0]["device"] == "here"
    with open_history("runs.db") as history:
        rows = {row.kind: row for row in history.find(Filter(label="ci"))}
        assert set(rows) == {"latency", "accuracy", "gate"}
        assert rows["latency"].device == rows["accuracy"].device == "here"
        run = history.load(rows["latency"].id)
    assert isinstance(run, LatencyRun)
    assert run.lab is not None
    assert run.lab.kind == "board"
    assert {step["state"] for step in ask(capsys, *arguments)[1]["steps"]} == {"fresh"}


@pytest.mark.slow
def test_killed_at_random_moments(tiny_project: Path, tmp_path: Path) -> None:
    """Twenty kills of the real thing in a row: what was done stays, and the end is the same."""
    # Reports of gates say when they were decided.
    Path("deploy.toml").write_text(TINY.replace('reports = ["junit"]\n', ""))
    assert subprocess.run(RUN, capture_output=True, check=False).returncode == 0
    expected = contents(Path("build"))
    shutil.rmtree("build")
    shutil.rmtree(FOLDER)
    generator = random.Random(11)  # noqa: S311
    for _ in range(20):
        process = subprocess.Popen(RUN, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(generator.uniform(0.1, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(RUN, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    assert contents(Path("build")) == expected
    assert list((FOLDER / "work").iterdir()) == []


@pytest.mark.slow
def test_steps_do_not_outlive_a_run(tiny_project: Path) -> None:
    process = subprocess.Popen(RUN, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "begins" not in process.stderr.readline():
        pass
    # A step is announced before its process is there.
    appear = time.monotonic() + 20
    while not (children := _children(process.pid)):
        assert time.monotonic() < appear
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(Path("/proc", str(child)).exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(status.parent.name))
    return found


@pytest.mark.slow
def test_an_interrupted_run_keeps_what_was_done(tiny_project: Path) -> None:
    process = subprocess.Popen(
        RUN, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    assert process.stderr is not None
    while "export:fp32: done" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["error"]["message"] == "interrupted"
    done = subprocess.run(RUN, capture_output=True, check=True)
    assert json.loads(done.stdout)["steps"][0]["state"] == "fresh"


@pytest.mark.slow
@pytest.mark.data
def test_v1_with_published_weights(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in the issue: checkpoint and 1000 images to gated packages by one command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".state"))
    shutil.copy(data_dir / "weights" / "mobilenet_v1_0.25_224_keras.pth", "v1.pth")
    shutil.copytree(data_dir / "images" / "calib_imagen_300", "calibration")
    Path("images").symlink_to(data_dir / "images" / "imagenet1k_sample_1000")
    shutil.copy(data_dir / "images" / "imagenet1k_sample_1000.csv", "images.csv")
    options = {
        "--model": "mobilenet_v1",
        "--width": "0.25",
        "--weights": "v1.pth",
        "--calibration": "calibration",
        "--images": "images",
        "--labels": "images.csv",
        "--platform": "linux",
    }
    assert ask(capsys, "init", *(text for pair in options.items() for text in pair))[0] == 0
    text = Path("deploy.toml").read_text()
    text = text.replace('# baseline = "float"', 'baseline = "float"').replace(
        "# max-top1-drop", "max-top1-drop"
    )
    Path("deploy.toml").write_text(text)
    code, data = ask(capsys, "run")
    steps = {step["step"]: step for step in data["steps"]}
    assert code == 0, data
    name = "mobilenet_v1_0.25_int8.tflite"
    assert steps[f"evaluate:{name}"]["data"]["top1"]["share"] > 0.57
    assert [gate["outcome"] for gate in steps[f"gate:{name}"]["data"]["gates"]] == ["pass", "pass"]
    assert Path("build/packages/linux/README.md").is_file()
    begun = os.times()
    done = subprocess.run(RUN, capture_output=True, check=True)
    ended = os.times()
    assert {step["state"] for step in json.loads(done.stdout)["steps"]} == {"fresh"}
    # Of the processor: what else the machine does meanwhile is not in it.
    assert ended.children_user + ended.children_system - begun.children_user - begun.children_system < 3
    Path("calibration/0.png").write_bytes(next(Path("calibration").iterdir()).read_bytes())
    states = {step["step"]: step["state"] for step in ask(capsys, "run", "--dry-run")[1]["steps"]}
    exact = name.replace("_int8", "")
    assert states == {
        "export:fp32": "fresh",
        f"convert:{exact}": "fresh",
        f"verify:{exact}": "fresh",
        "quantize:int8": "to do",
        f"convert:{name}": "after",
        f"verify:{name}": "after",
        "evaluate:mobilenet_v1_0.25.tflite": "fresh",
        f"evaluate:{name}": "after",
        f"gate:{name}": "after",
        "package:linux": "after",
    }
