"""Accuracy and latency on the stand-in device, with the native runner and real models."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.machine import Machine

from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.deploy.evaluation import evaluate, evaluate_device
from mobiledeploy.deploy.sources import as_source
from mobiledeploy.device_tests.benchmark import benchmark
from mobiledeploy.device_tests.gate import Setting, gate, parse_gate
from mobiledeploy.device_tests.latency_run import EMULATED_CLOCK, LatencyRun
from mobiledeploy.device_tests.launch import launch
from mobiledeploy.device_tests.plan import Plan
from mobiledeploy.device_tests.references import connect
from mobiledeploy.device_tests.session import open_session
from mobiledeploy.runtimes.formats import read_artifact
from mobiledeploy.runtimes.runner.build import native_runner
from mobiledeploy.runtimes.runner.engines import engine_library
from mobiledeploy.runtimes.runner.platforms import Platform
from mobiledeploy.runtimes.runner.request import Timing

pytestmark = [pytest.mark.device, pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(1200)]
IMAGES = 100
BOARD = Platform("arm64")
SEEN = "/data/local/tmp/seen"


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    """Before adb gets a home of its own: the caches are in the user's."""
    native_runner(BOARD)
    for engine in ("litert", "onnxruntime"):
        engine_library(engine, BOARD)


@pytest.fixture(scope="session")
def some_images(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of images and their labels."""
    source = data_dir / "images" / "imagenet1k_sample_1000"
    folder = tmp_path_factory.mktemp("images")
    with source.with_suffix(".csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:: 1000 // IMAGES][:IMAGES]
    for row in rows:
        shutil.copy(source / row["file"], folder)
    labels = folder.parent / "labels.csv"
    labels.write_text("file,label\n" + "".join(f"{row['file']},{row['class_index_1000']}\n" for row in rows))
    return folder, labels


@pytest.fixture(scope="session")
def v2_files(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """MobileNet V2 with its published weights in int8, as ``tflite`` and ``onnx``."""
    images = data_dir / "images" / "calib_imagen_300"
    few = tmp_path_factory.mktemp("calibration")
    for path in sorted(images.iterdir())[:16]:
        shutil.copy(path, few)
    made = convert_all(
        as_source("mobilenet_v2", weights=data_dir / "weights" / "mobilenet_v2-b0353104.pth"),
        ("tflite", "onnx"),
        name="v2",
        precision="int8",
        calibration=few,
        output=tmp_path_factory.mktemp("v2"),
    )
    return {conversion.artifact.path.suffix[1:]: conversion.artifact.path for conversion in made}


def devices(machine: Machine, folder: Path, **more: str) -> None:
    """``devices.toml`` in the current folder: ``board`` and ``phone``."""
    extra = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    (folder / "devices.toml").write_text(
        f'[devices.board]\nreference = "ssh:lab"\nssh_config = "{machine.ssh_config}"\n{extra}'
        f'[devices.phone]\nreference = "adb:{machine.serial}"\n'
    )


@pytest.fixture(params=["board", "phone"])
def reference(
    request: pytest.FixtureRequest, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.chdir(tmp_path)
    if request.param == "phone":
        request.getfixturevalue("adb_client")
    devices(machine, tmp_path)
    return str(request.param)


@pytest.mark.parametrize("target", ["tflite", "onnx"])
@pytest.mark.parametrize("model", ["v1_files", "v2_files"])
def test_the_same_predictions_as_on_the_host(
    request: pytest.FixtureRequest, model: str, target: str, reference: str, some_images: tuple[Path, Path]
) -> None:
    path = request.getfixturevalue(model)[target]
    images, labels = some_images
    there = evaluate_device(path, images, reference, labels=labels)
    here = evaluate(path, images, labels=labels)
    assert there.images == IMAGES
    assert there.host is not None
    assert there.host.sound
    if target == "tflite":
        assert there.predictions == here.predictions
        assert there.host.same == IMAGES
    else:
        # On a host with VNNI ONNX Runtime rounds in other places than on ARM: a near tie may fall otherwise.
        firsts = zip(there.predictions, here.predictions, strict=True)
        assert sum(a.classes[0] == b.classes[0] for a, b in firsts) >= IMAGES - 2
        assert there.host.same >= IMAGES - 2
    assert there.device == reference
    assert there.facts is not None
    assert there.engine_seconds is not None
    assert 0 < there.engine_seconds < there.seconds


@pytest.fixture(scope="module", params=["neoverse-n1"])
def counted(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine whose clock counts instructions."""
    request.getfixturevalue("adb_clients")
    running = Machine(tmp_path_factory.mktemp("counted"), request.param, counted=True)
    try:
        running.start()
        yield running
    finally:
        running.kill()


def timed(machine: Machine, path: Path, folder: Path, **changes: object) -> LatencyRun:
    devices(machine, folder, clock="instructions")
    plan = Plan(
        (read_artifact(path),),
        launches=2,
        timing=Timing(min_runs=20, min_seconds=0),
        **changes,  # type: ignore[arg-type]
    )
    (measured,) = benchmark(["board"], plan)
    assert measured.error is None
    (run,) = measured.runs
    assert run.clock == EMULATED_CLOCK
    return run


def test_the_instruction_clock_repeats_and_tells_processors_apart(
    counted: Machine, v1_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (timed(counted, v1_files["tflite"], tmp_path, profile=True) for _ in range(2))
    assert second.summary.median == pytest.approx(first.summary.median, rel=0.005)
    # What LiteRT's own profiler adds up to, operator by operator.
    own = sum(op.ns / op.calls for op in first.ops)
    assert own == pytest.approx(first.summary.median, rel=0.01)
    little = Machine(tmp_path, "cortex-a53", counted=True)
    try:
        little.start()
        slower = timed(little, v1_files["tflite"], tmp_path)
    finally:
        little.kill()
    assert slower.facts.cores[0].name == "Cortex-A53"
    assert slower.summary.interval.low > 1.5 * first.summary.interval.high


def test_a_gate_on_the_instruction_clock(
    counted: Machine,
    v1_files: dict[str, Path],
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The int8 file passes against itself within half a percent, its float twin is red."""
    monkeypatch.chdir(tmp_path)
    devices(counted, tmp_path, clock="instructions")
    weights = data_dir / "weights" / "mobilenet_v1_0.25_224_keras.pth"
    source = as_source("mobilenet_v1", weights=weights, width=0.25)
    (twin,) = convert_all(source, ("tflite",), name="twin", output=tmp_path / "twin")
    artifact = read_artifact(v1_files["tflite"])
    timing = Timing(warmup_runs=1, min_runs=5, min_seconds=0)
    setting = Setting(timing=timing, time_limit=1000)
    limits = [parse_gate("max-regression", "0.5%")]
    report = gate("board", artifact, limits, baseline=artifact, setting=setting)
    assert report.clock == EMULATED_CLOCK
    assert (report.outcome, report.sessions[0].pairs) == ("pass", 8)
    report = gate("board", twin.artifact, limits, baseline=artifact, setting=setting)
    assert (report.outcome, len(report.sessions)) == ("fail", 2)


CPUFREQ = """
mkdir -p /tmp/cpu/cpu0/cpufreq && echo schedutil >/tmp/cpu/cpu0/cpufreq/scaling_governor
for name in online possible present; do cat /sys/devices/system/cpu/$name >/tmp/cpu/$name; done
mount --bind /tmp/cpu /sys/devices/system/cpu
"""


def test_the_governor_is_set_and_put_back(
    fragile: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    devices(fragile, tmp_path)
    now = ["cat", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"]
    said = (
        {"event": "outputs", "items": 1, "sha256": "0" * 64, "steady": True},
        {"event": "end", "exit_code": 0},
    )
    echo = "; ".join(f"echo {shlex.quote(json.dumps(line))}" for line in said)
    runner = ["sh", "-c", f"{' '.join(now)} >{SEEN}; {echo}"]
    with connect("board") as device, open_session(device, "test") as session:
        assert session.run(["sh", "-c", CPUFREQ]).exit_code == 0
        try:
            done = launch(session, runner, 0, governor="performance")
            assert done.governor == (1, 1)
            assert session.run(["cat", SEEN]).stdout == "performance\n"
            assert session.run(now).stdout == "schedutil\n"
            # A launch that is ended puts it back, too.
            killed = launch(session, ["sleep", "60"], 1, governor="performance", timeout=2)
            assert killed.error is not None
            assert session.run(now).stdout == "schedutil\n"
        finally:
            session.run(["umount", "/sys/devices/system/cpu"])
