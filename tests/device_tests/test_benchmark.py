"""Plans, launches and records, with a runner that does as it is told on this machine."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tflite_builder import float_dense

from mobiledeploy.deploy.cli import main
from mobiledeploy.device_tests import benchmark as module
from mobiledeploy.device_tests import conditions
from mobiledeploy.device_tests.affinity import check_affinity, choose_cores
from mobiledeploy.device_tests.benchmark import Measured, benchmark
from mobiledeploy.device_tests.cooling import PAUSE, Coolness, wait_until_cool
from mobiledeploy.device_tests.energy import spent
from mobiledeploy.device_tests.equipment import Equipment
from mobiledeploy.device_tests.errors import DeviceError, DeviceTimeout
from mobiledeploy.device_tests.facts import Core
from mobiledeploy.device_tests.fake import FakeTransport
from mobiledeploy.device_tests.latency_run import LatencyRun
from mobiledeploy.device_tests.plan import Plan
from mobiledeploy.device_tests.record import findings
from mobiledeploy.device_tests.references import Device
from mobiledeploy.device_tests.session import Holder, Session
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import read_artifact

RUNNER = Path(__file__).with_name("scripted_runner.py")


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the next launches do, a word each; its ``.calls`` are their arguments."""
    state = tmp_path / "script"
    state.write_text("")
    equipment = Equipment("litert", (sys.executable, str(RUNNER), str(state)), "/lib.so", "0" * 64, "1" * 64)
    monkeypatch.setattr(module, "equip", lambda *arguments, **options: equipment)
    # Listening to the load takes a second each time.
    monkeypatch.setattr(conditions, "read_load", lambda transport: 0.01)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return state


def model(tmp_path: Path, name: str = "a") -> Path:
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(float_dense(classes=3 + len(name)))
    return path


def measure(tmp_path: Path, **changes: Any) -> Measured:
    plan = Plan((read_artifact(model(tmp_path)),), governor="", launches=2)
    (measured,) = benchmark(["local"], Plan(**{**{f: getattr(plan, f) for f in plan.__slots__}, **changes}))
    return measured


def only(measured: Measured) -> LatencyRun:
    (run,) = measured.runs
    return run


def test_settings_are_interleaved_there_and_back(script: Path, tmp_path: Path) -> None:
    artifacts = tuple(read_artifact(model(tmp_path, name)) for name in ("a", "bb"))
    measured = measure(tmp_path, artifacts=artifacts, threads=(1, 4), launches=3)
    calls = script.with_suffix(".calls").read_text().splitlines()
    threads = [words.split()[words.split().index("--threads") + 1] for words in calls]
    assert threads == ["1", "4", "1", "4", "4", "1", "4", "1", "1", "4", "1", "4"]
    assert [(run.model.name, run.threads) for run in measured.runs] == [
        ("a.tflite", 1),
        ("a.tflite", 4),
        ("bb.tflite", 1),
        ("bb.tflite", 4),
    ]
    assert [launch.order for launch in measured.runs[0].launches] == [0, 7, 8]
    assert len({words.split()[words.split().index("--model") + 1] for words in calls}) == 2


def test_a_record_has_what_a_credible_number_carries(script: Path, tmp_path: Path) -> None:
    measured = measure(tmp_path, profile=True)
    run = only(measured)
    assert measured.error is None
    assert run.complete
    assert [launch.samples_ns for launch in run.launches] == [(100, 110)] * 2
    assert run.launches[0].starts_ns == (10, 110)
    assert (run.engine.delegate, run.engine.delegated_share) == ("XNNPACK", 0.75)
    assert (run.engine.runner_sha256, run.engine.library_sha256) == ("0" * 64, "1" * 64)
    assert run.ops[0].kind == "CONV_2D"
    assert run.after is not None
    assert run.before.time <= run.after.time
    assert run.memory_peak == 5_000_000
    assert run.summary.median == 105
    data = json.loads(run.to_json())
    assert data["summary"]["count"] == 4
    assert data["model"]["sha256"] == read_artifact(tmp_path / "a.tflite").sha256


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("well silent", "without its last line (exit code 0)"),
        ("well garbage", r"without its last line (exit code 3) ( [31m{] "),
        ("well model", "gave up: no such op"),
        ("well killed", "ended by signal 9"),
        ("well idle", "took no sample"),
    ],
)
def test_a_runner_that_fails_is_told_and_the_rest_kept(
    script: Path, tmp_path: Path, words: str, what: str
) -> None:
    script.write_text(words)
    measured = measure(tmp_path)
    assert what in str(measured.error)
    assert "\n" not in str(measured.error)
    assert "\x1b" not in str(measured.error)
    assert [launch.samples_ns for launch in only(measured).launches] == [(100, 110)]


def test_a_launch_that_hangs_keeps_its_samples_and_is_marked(script: Path, tmp_path: Path) -> None:
    script.write_text("well slow")
    measured = measure(tmp_path, timeout=2.0)
    run = only(measured)
    assert isinstance(measured.error, DeviceTimeout)
    assert [launch.complete for launch in run.launches] == [True, False]
    assert run.launches[1].samples_ns == (100, 110)
    assert not run.complete
    assert "incomplete" in findings(run)


@pytest.mark.parametrize("word", ["other", "unsteady"])
def test_outputs_that_differ_are_found(script: Path, tmp_path: Path, word: str) -> None:
    script.write_text(f"well {word}")
    assert "outputs differ for the same input" in findings(only(measure(tmp_path)))


def test_stopping_ends_after_the_launch(script: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def announce(message: str) -> None:
        if "launch 2" in message:
            stop.set()

    plan = Plan((read_artifact(model(tmp_path)),), governor="", launches=5)
    (measured,) = benchmark(["local"], plan, announce=announce, stop=stop)
    assert len(only(measured).launches) == 2
    assert measured.error is None


def test_what_cannot_be_measured(tmp_path: Path) -> None:
    artifact = read_artifact(model(tmp_path))
    with pytest.raises(InputError, match="named twice"):
        benchmark(["local", "local"], Plan((artifact,)))
    with pytest.raises(InputError, match="nothing to measure"):
        benchmark(["local"], Plan(()))
    (measured,) = benchmark(["lokal"], Plan((artifact,)))
    assert measured.runs == ()
    assert "Did you mean local?" in str(measured.error)


def test_the_command(script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(model(tmp_path))
    arguments = ["benchmark", path, "--device", "local", "--launches", "2", "--threads", "1,2"]
    assert main([*arguments, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [run["threads"] for run in data["runs"]] == [1, 2]
    assert data["errors"] == []
    assert main(["history", "list", "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)["runs"]
    # Runs of one moment come in the order of their ids.
    assert {run["id"] for run in stored} == set(data["history"]["ids"])
    assert [run["median_ns"] for run in stored] == [105, 105]
    script.write_text("well well model")
    assert main([*arguments, "--profile"]) == 8
    text = capsys.readouterr().out
    assert "CONV_2D" not in text
    assert "failed" in text
    assert "no such op" in " ".join(text.split())
    script.write_text("model")
    assert main(arguments) == 8
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: local: the runner gave up: no such op")


@pytest.mark.parametrize(
    "wrong", [["--threads", "0"], ["--threads", "1,,2"], ["--threads", "x"], ["--launches", "0"]]
)
def test_wrong_usage(tmp_path: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", str(model(tmp_path)), "--device", "local", *wrong]) == 2
    assert main(["benchmark", str(tmp_path / "absent.tflite"), "--device", "local"]) == 3
    twice = [str(model(tmp_path))] * 2
    assert main(["benchmark", *twice, "--device", "local"]) == 3
    assert main(["benchmark", twice[0], "--device", "local", "--affinity", "3-1"]) == 3


BENCHMARK_MODEL = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/../../asked"
echo 'INFO: Replacing 29 out of 31 node(s) with delegate (TfLiteXNNPackDelegate) node' >&2
echo 'count=50 first=2253 curr=2290 min=2199 max=2954 avg=2277.4 std=57'
echo 'Inference timings in us: Init: 12087, First inference: 4820, Warmup (avg): 1, Inference (avg): 2277.4'
"""


def test_tflites_own_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "benchmark_model"
    program.write_text(BENCHMARK_MODEL)
    monkeypatch.setattr(conditions, "read_load", lambda transport: 0.01)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = only(measure(tmp_path, runner="benchmark_model", library=program, threads=(2,)))
    assert [launch.samples_ns for launch in run.launches] == [(2_277_400,)] * 2
    assert (run.launches[0].init_ns, run.launches[0].first_ns) == (12_087_000, 4_820_000)
    assert run.engine.runner == "benchmark_model"
    assert run.engine.delegated_share == 29 / 31
    assert "mean of a launch" in run.uncontrolled[0].reason
    asked = (tmp_path / "cache" / "asked").read_text().splitlines()[0].split()
    assert "--num_threads=2" in asked
    for changes in ({"library": None}, {"profile": True}, {"affinity": "0"}):
        wrong = measure(tmp_path, **{"runner": "benchmark_model", "library": program, **changes})
        assert isinstance(wrong.error, InputError)


CORES = tuple(Core(index, max_khz=speed) for index, speed in enumerate((1800, 1800, 2400, 2800)))


def test_affinity() -> None:
    assert choose_cores("all", CORES, "d") == ()
    assert choose_cores("fastest", CORES, "d") == (3,)
    assert choose_cores("slowest", CORES, "d") == (0, 1)
    assert choose_cores("0-1, 3", CORES, "d") == (0, 1, 3)
    with pytest.raises(DeviceError, match=r"no core 4 online. Online are 0, 1, 2, 3"):
        choose_cores("3-4", CORES, "d")
    with pytest.raises(DeviceError, match="how fast"):
        choose_cores("fastest", (Core(0),), "d")
    for wrong in ("", "a", "1-", "-1", "3-1", "1;2", "1" * 9):
        with pytest.raises(InputError):
            check_affinity(wrong)


def reading(status: str = "Discharging", **counters: int) -> dict[str, Any]:
    return {"status": status, **counters}


def test_energy_of_a_battery() -> None:
    watt_hours = [reading(energy_now=30_000_000), reading(energy_now=29_999_000)]
    assert spent(watt_hours) == 3_600_000
    ampere_hours = [
        reading(charge_counter=2_000_000, voltage_now=4_000_000),
        reading(charge_counter=1_999_500, voltage_now=3_800_000),
    ]
    assert spent(ampere_hours) == 500 * 3600 * 38 // 10
    assert spent([reading("Charging", energy_now=5), reading("Charging", energy_now=4)]) is None
    assert spent(watt_hours[:1]) is None
    assert spent([reading(), reading(voltage_now=1)]) is None


def test_waiting_until_cool() -> None:
    temperatures = iter(["61000", "58000", "39000"])
    device = FakeTransport(
        {
            ("sh", "-c", "grep -H ''"): "",
            ("sh",): lambda words: (
                f"/sys/class/thermal/thermal_zone0/type:cpu\n"
                f"/sys/class/thermal/thermal_zone0/temp:{next(temperatures)}\n"
                if "thermal_zone" in words[-1]
                else ""
            ),
        }
    )
    holder = Holder("a", "b", 1, "now", "test", "0" * 16)
    session = Session(Device("fake", device), "/work", holder)
    said: list[str] = []
    waited: list[float] = []
    assert wait_until_cool(session, Coolness(40.0), said.append, waited.append) == 2 * PAUSE
    assert waited == [PAUSE, PAUSE]
    assert said == ["fake cools down: 61.0 C (cpu)", "fake cools down: 58.0 C (cpu)"]
    temperatures = iter(["61000"] * 9)
    with pytest.raises(DeviceError, match=r"61.0 C \(cpu\) after 10 s. Cool it"):
        wait_until_cool(session, Coolness(40.0, 10.0), said.append, waited.append)
    silent = Session(Device("fake", FakeTransport()), "/work", holder)
    with pytest.raises(DeviceError, match="tells no temperature"):
        wait_until_cool(silent, Coolness(40.0), said.append, waited.append)
