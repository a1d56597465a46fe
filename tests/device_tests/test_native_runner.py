"""The native runner on the stand-in device, over adb and ssh, computes what this host computes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lab.machine import Machine

from mobiledeploy.device_tests.adb import AdbTransport
from mobiledeploy.device_tests.folder import work_folder
from mobiledeploy.device_tests.ssh import SshTransport
from mobiledeploy.device_tests.transport import Transport
from mobiledeploy.runtimes import onnx_session, tflite_session
from mobiledeploy.runtimes.runner.build import native_runner
from mobiledeploy.runtimes.runner.engines import engine_library
from mobiledeploy.runtimes.runner.lines import read_report
from mobiledeploy.runtimes.runner.platforms import Platform
from mobiledeploy.runtimes.runner.report import Report
from mobiledeploy.runtimes.runner.request import Request, Timing

pytestmark = [pytest.mark.device, pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(600)]
BOARD = Platform("arm64")
ENGINES = {"tflite": "litert", "onnx": "onnxruntime"}
ITEMS = 3


@pytest.fixture(scope="session")
def programs() -> dict[str, Path]:
    """Before adb gets a home of its own: the caches are in the user's."""
    libraries = {engine: engine_library(engine, BOARD).path for engine in ENGINES.values()}
    return {"runner": native_runner(BOARD), **libraries}


@pytest.fixture(params=["ssh", "adb"])
def device(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Transport]:
    opened: Transport = SshTransport("lab", config=machine.ssh_config)
    if request.param == "adb":
        request.getfixturevalue("adb_client")
        opened = AdbTransport(machine.serial)
    opened.reconnect()
    yield opened
    opened.close()


def launch(device: Transport, runner: str, request: Request) -> Report:
    done = device.run([runner, *request.arguments()], timeout=300)
    report = read_report(done.stdout)
    assert (done.exit_code, report.failure, report.ended) == (0, None, True), done.stderr
    return report


@pytest.mark.parametrize("target", ENGINES)
def test_the_hosts_outputs(
    programs: dict[str, Path], v1_files: dict[str, Path], target: str, device: Transport, tmp_path: Path
) -> None:
    engine, model = ENGINES[target], v1_files[target]
    session = (tflite_session if target == "tflite" else onnx_session).open_session(model, 1)
    shape, dtype = session.inputs[0].shape, session.inputs[0].dtype
    generator = np.random.default_rng(3)
    items = [(generator.random(shape) * 255 - 128).astype(dtype) for _ in range(ITEMS)]
    wanted = b"".join(session.run([item])[0].tobytes() for item in items)
    (tmp_path / "in").write_bytes(b"".join(item.tobytes() for item in items))
    folder = work_folder(device)
    places = {name: f"{folder}/{name}" for name in ("runner", "library", "model", "in", "out")}
    device.push(programs["runner"], places["runner"], 0o755)
    device.push(programs[engine], places["library"])
    device.push(model, places["model"])
    device.push(tmp_path / "in", places["in"])
    request = Request(engine, places["model"], places["library"], inputs=places["in"], outputs=places["out"])

    each = launch(device, places["runner"], replace(request, timing=None))
    device.pull(places["out"], tmp_path / "out")
    assert (each.items, each.steady) == (ITEMS, True)
    assert (tmp_path / "out").read_bytes() == wanted
    assert each.digest == hashlib.sha256(wanted).hexdigest()

    timing = Timing(warmup_runs=1, min_runs=5, min_seconds=0)
    measured = launch(device, places["runner"], replace(request, timing=timing, threads=2))
    assert len(measured.samples_ns) == 5
    assert measured.digest == hashlib.sha256(wanted[: len(wanted) // ITEMS]).hexdigest()
    assert (measured.memory_peak or 0) > (measured.memory_before or 0) > 0
    if engine == "litert":
        assert measured.delegated == round(tflite_session.delegated_share(model) * (measured.nodes or 0))
    device.run(["rm", "-f", *places.values()])
