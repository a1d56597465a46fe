"""What ``mobiledeploy run`` measures: accuracy on devices, gates against the history, in a lab."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from example_runs import accuracy_run, latency_run
from scripted_gate import Script

from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.pipeline.plan import make_plan
from mobiledeploy.deploy.pipeline.scheduling import next_steps
from mobiledeploy.deploy.pipeline.step import Step
from mobiledeploy.deploy.pipeline.work import Done, Task, evaluating, perform
from mobiledeploy.deploy.pipeline.work.files import library_of
from mobiledeploy.deploy.pipeline.work.records import read_run
from mobiledeploy.deploy.project.defaults import defaults_for
from mobiledeploy.deploy.project.loading import Project, parse
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.history import open_history
from mobiledeploy.device_tests.host_comparison import HostComparison
from mobiledeploy.device_tests.lab import runs
from mobiledeploy.errors import InputError

INT8 = '[convert]\nprecision = "int8"\n[data]\ncalibration = "none"\nimages = "photos"\n'
LOCAL = '[measure]\ndevices = ["local"]\n'
FILE = "mobilenet_v2_int8.tflite"


def project(text: str) -> Project:
    return parse(Path("deploy.toml"), text)


def plan(text: str) -> dict[str, Step]:
    return {step.name: step for step in make_plan(project(text))}


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        plan(text)
    return str(caught.value)


def done(step: Step, folder: Path, **inputs: Path) -> Done:
    return perform(step.kind, Task(step.name, step.settings, inputs, folder, store=True))


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOBILEDEPLOY_HISTORY", str(tmp_path / "history.db"))
    Path("devices.toml").write_text('[devices.board]\nreference = "ssh:pi@pi"\nkind = "pi"\n')


@pytest.mark.usefixtures("board")
def test_devices_are_evaluated_where_the_project_says_so() -> None:
    assert not any("@" in name for name in plan(INT8 + '[measure]\ndevices = ["board"]\n'))
    steps = plan(INT8 + '[measure]\nevaluate-on = ["board"]\n[packages.linux]\nname = "A"\n')
    step = steps[f"evaluate:{FILE}@board"]
    assert (step.device, step.settings["address"]["kind"]) == ("board", "ssh")
    # Of float files this host is told about alone.
    assert [name for name in steps if "@" in name] == [step.name]
    assert step.needs == (f"verify:{FILE}", "evaluate:mobilenet_v2.tflite")
    assert step.name in steps["package:linux"].needs
    slow = plan(INT8 + '[measure]\nevaluate-on = ["board"]\nrunner = "benchmark_model"\n')
    assert slow[step.name].settings["runner"] == "auto"
    assert "line 2: there are no images" in refused('[measure]\nevaluate-on = ["board"]\n')
    assert "line 7: accuracy is not measured in a lab" in refused(
        INT8 + '[measure]\nevaluate-on = ["kind:pi"]\n'
    )
    assert "line 7: bord: no such device. Did you mean board?" in refused(
        INT8 + '[measure]\nevaluate-on = ["bord"]\n'
    )


def evaluated(device: str, worst: float | None) -> AccuracyRun:
    host = HostComparison("LiteRT 2", 10, 9, 3, 100.0, 1.0, worst, "n1/photo.jpg")
    return replace(accuracy_run(), device=device, host=host)


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(("worst", "code"), [(None, 0), (60.0, 0), (3.0, 5)])
def test_a_mismatch_of_a_device_is_bad_news(
    worst: float | None, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def evaluate(file: Path, images: str, device: str, **options: Any) -> AccuracyRun:
        asked.append((file, images, device, options["options"].runner))
        return evaluated(device, worst)

    monkeypatch.setattr(evaluating, "evaluate_device", evaluate)
    step = plan(INT8 + '[measure]\nevaluate-on = ["board"]\n')[f"evaluate:{FILE}@board"]
    came = done(step, tmp_path, file=Path("x.tflite"))
    assert asked == [(Path("x.tflite"), "photos", "board", "auto")]
    assert (came.code, came.final) == (code, True)
    assert came.data["against_host"]["same"] == 9
    assert came.data["against_host"]["sound"] is (code == 0)
    assert read_run(tmp_path / "run.json").run.device == "board"
    with open_history() as history:
        assert [row.id for row in history.find()] == came.data["history"]["ids"]


@pytest.mark.usefixtures("board")
def test_a_lab_gives_the_devices() -> None:
    kind = '[measure]\ndevices = ["kind:pi"]\n'
    step = plan(kind)["benchmark:kind:pi"]
    assert step.settings["address"] == {"kind": "lab", "where": "kind:pi"}
    assert "line 2: no device of devices.toml is of the kind pj" in refused(kind.replace("pi", "pj"))
    # A name is that of the lab, which this host need not know.
    far = '[measure]\ndevices = ["pixel", "kind:x"]\nscheduler = "tcp://lab:8786"\n'
    steps = plan(far)
    assert steps["benchmark:pixel"].settings["address"] == {"kind": "lab", "where": "pixel"}
    pair = [steps["benchmark:pixel"], steps["benchmark:kind:x"]]
    assert next_steps(pair, [], 1) == pair
    assert "no such device" in refused('[measure]\ndevices = ["pixel"]\n')
    given = defaults_for("benchmark", {}, project('[model]\nname = "mobilenet_v1"\n' + far))
    assert (given["scheduler"], given["wait"]) == ("tcp://lab:8786", 600.0)
    given = defaults_for("gate", {"device": "local"}, project('[model]\nname = "mobilenet_v1"\n' + far))
    assert "scheduler" not in given
    other = project(far).with_lab("tcp://other:1", None).settings.measure
    assert (other.scheduler, other.wait) == ("tcp://other:1", 600.0)


@pytest.mark.slow
def test_a_stored_run_as_the_baseline(
    script: Script, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = []
    for seed in range(3):
        script(seed=seed)
        bench = ["benchmark", str(files[1]), "--device", "local", "--launches", "2", "--json"]
        assert main(bench) == 0
        ids += json.loads(capsys.readouterr().out)["history"]["ids"]
    gates = f'[gates]\nbaseline = "history:{ids[0][:12]}"\nmax-regression = "3%"\ntime-limit = "600s"\n'
    step = plan(INT8 + LOCAL + gates)[f"gate:{FILE}@local"]
    assert step.settings["stored"] == ids[0]
    assert "baseline" not in {**step.takes, **step.sources}
    script(seed=9)
    assert done(step, tmp_path, file=files[0]).data["outcome"] == "pass"
    script(0.2, seed=9)
    came = done(step, tmp_path, file=files[0])
    assert (came.code, came.data["outcome"]) == (9, "fail")
    for text, message in (
        (INT8 + LOCAL + gates.replace(ids[0][:12], "zz"), "history.db: no run has the id"),
        (INT8 + LOCAL.replace('"]', '", "local2"]') + gates, "no such device"),
        ('[convert]\ntargets = ["tflite", "onnx"]\n' + LOCAL + gates, "has tflite and onnx on 1"),
        (INT8 + LOCAL + gates + "max-top1-drop = 1\n", "a stored run has no accuracy"),
    ):
        assert message in refused(text)


@pytest.mark.slow
def test_a_calibrated_tolerance(
    script: Script, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gates = '[gates]\nbaseline = "old.tflite"\nmax-regression = "calibrated"\ntime-limit = "600s"\n'
    assert "line 10: local: no tolerance is given, and the device has no cal" in refused(INT8 + LOCAL + gates)
    script(sd=0.002)
    calibrate = ["gate", "calibrate", "--device", "local", "--file", str(files[1]), "--time-limit", "20s"]
    assert main([*calibrate, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    step = plan(INT8 + LOCAL + gates)[f"gate:{FILE}@local"]
    assert step.settings["calibrated"] == {"tolerance": found["tolerance"], "run": found["run"]}
    for slower, outcome in ((0.0, "pass"), (0.3, "fail")):
        script(slower, sd=0.002)
        came = done(step, tmp_path, file=files[0])
        assert came.data["outcome"] == outcome
        assert came.data["gates"][0]["limit"] == f"{100 * found['tolerance']:.4g}%"
    # The command reads it from the same table, and has to find one.
    Path("deploy.toml").write_text(gates)
    command = ["gate", "--candidate", str(files[0]), "--baseline", str(files[1]), "--json"]
    script(sd=0.002)
    assert main([*command, "--device", "local", "--time-limit", "600s"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["gates"]
    assert told["limit_source"] == f"calibration {found['run'][:8]}"
    assert main([*command, "--device", "local", "--threads", "2"]) == 3
    assert "no calibration" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_a_history_of_a_newer_version_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "history.db"
    monkeypatch.setenv("MOBILEDEPLOY_HISTORY", str(file))
    open_history().close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE mobiledeploy_history_version SET version_num = '9999'")
    text = refused(INT8 + LOCAL + '[gates]\nbaseline = "history:ab"\nmax-regression = "3%"\n')
    assert text.startswith(f"deploy.toml, line 9: {file}: the history has version 9999")


@pytest.mark.usefixtures("board")
def test_the_engine_of_devices_is_an_input() -> None:
    text = INT8 + '[measure]\ndevices = ["board"]\nevaluate-on = ["board"]\nengine-library = "litert.aar"\n'
    steps = plan(text + '[gates]\nmax-median = "1s"\n')
    with_it = {name for name, step in steps.items() if "engine library" in step.sources}
    assert with_it == {"benchmark:board", f"evaluate:{FILE}@board", f"gate:{FILE}@board"}
    step = steps["benchmark:board"]
    assert step.sources["engine library"].where == "deploy.toml, line 9"
    assert library_of(step.settings) == Path("litert.aar")
    given = defaults_for("benchmark", {}, project('[model]\nname = "mobilenet_v1"\n' + text))
    assert given["engine_library"] == "litert.aar"


def test_gates_are_decided_in_the_lab(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def in_lab(device: str, *_: object, **options: Any) -> Any:
        asked.update(options, device=device)
        raise InputError("the lab has no such device", where=device)

    monkeypatch.setattr(runs, "gate_in_lab", in_lab)
    text = '[measure]\ndevices = ["pixel"]\nscheduler = "tcp://lab:1"\n[gates]\nmax-median = "1s"\n'
    step = plan(text)["gate:mobilenet_v2.tflite@pixel"]
    task = Task(step.name, step.settings, {"file": files[0]}, tmp_path, scheduler="tcp://lab:1", wait=5.0)
    with pytest.raises(InputError, match="pixel"):
        perform(step.kind, task)
    assert (asked["device"], asked["scheduler"], asked["wait"]) == ("pixel", "tcp://lab:1", 5.0)


def test_runs_of_one_file_here_and_on_a_device_are_two(tmp_path: Path) -> None:
    """A package tells both."""
    from mobiledeploy.deploy.pipeline.work.records import measured_in, write_run

    runs = (replace(accuracy_run(), device=None), evaluated("board", None), latency_run())
    places = [tmp_path / str(number) for number in range(3)]
    for run, place in zip(runs, places, strict=True):
        write_run(run, place)
    measured = measured_in(places)
    assert [item["device"] for item in measured["accuracy"]] == ["this host", "board"]
    assert len({item["run"] for item in (*measured["accuracy"], *measured["latency"])}) == 3
