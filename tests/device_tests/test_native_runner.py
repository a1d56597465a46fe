"""The native runner on the stand-in device, as on a board and as on a phone: this host's outputs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from lab.machine import ROOT, Machine

from mobiledeploy.device_tests.adb import AdbTransport
from mobiledeploy.device_tests.folder import work_folder
from mobiledeploy.device_tests.ssh import SshTransport
from mobiledeploy.device_tests.transport import Transport
from mobiledeploy.runtimes import onnx_session, tflite_session
from mobiledeploy.runtimes.runner.build import NDK_VARIABLE, native_runner
from mobiledeploy.runtimes.runner.engines import engine_library, given_library
from mobiledeploy.runtimes.runner.lines import read_report
from mobiledeploy.runtimes.runner.platforms import Platform
from mobiledeploy.runtimes.runner.report import Report
from mobiledeploy.runtimes.runner.request import Request, Timing

pytestmark = [pytest.mark.device, pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(900)]
BOARD, PHONE = Platform("arm64"), Platform("arm64", "android")
ENGINES = {"tflite": "litert", "onnx": "onnxruntime"}
ITEMS = 3
ANDROID_LAB = Path(os.environ.get("MOBILEDEPLOY_ANDROID_LAB", ROOT / "build" / "android-lab"))
PROVISION = Path(__file__).parent / "lab" / "android" / "provision.sh"
# Where musl's loader looks for libraries when it stands in /system/bin.
LOADER_PATH = "/system/etc/ld-musl-aarch64.path"


@dataclass(frozen=True)
class Programs:
    """A runner and its engines' libraries on this host."""

    runner: Path
    libraries: dict[str, Path]


@pytest.fixture(scope="session")
def board_programs() -> Programs:
    """Before adb gets a home of its own: the caches are in the user's."""
    libraries = {engine: engine_library(engine, BOARD).path for engine in ENGINES.values()}
    return Programs(native_runner(BOARD), libraries)


@pytest.fixture(scope="session")
def phone_programs() -> Programs:
    """Built by the stand-in NDK, with ONNX Runtime's own build for Android."""
    if not ANDROID_LAB.is_dir():
        if lacking := [name for name in ("npm", "dpkg-deb", "apt-get") if not shutil.which(name)]:
            pytest.skip(f"the stand-in for Android needs {', '.join(lacking)}")
        subprocess.run([PROVISION, ANDROID_LAB, sys.executable], check=True, timeout=600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(NDK_VARIABLE, str(ANDROID_LAB / "ndk"))
        library = given_library(ANDROID_LAB / "onnxruntime.aar", "onnxruntime", PHONE)
        return Programs(native_runner(PHONE), {"onnxruntime": library.path})


@pytest.fixture(params=["ssh", "adb"])
def device(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Transport]:
    opened: Transport = SshTransport("lab", config=machine.ssh_config)
    if request.param == "adb":
        request.getfixturevalue("adb_client")
        opened = AdbTransport(machine.serial)
    opened.reconnect()
    yield opened
    opened.close()


@pytest.fixture
def phone(device: Transport, phone_programs: Programs) -> Iterator[Transport]:
    """The device with what Android has where Android has it, as far as a runner needs it."""
    places = {
        "linker64": "/system/bin/linker64",
        "liblog.so": "/system/lib64/liblog.so",
        "libandroid.so": "/system/lib64/libandroid.so",
    }
    device.run(["mkdir", "-p", "/system/lib64", "/system/etc"])
    for name, place in places.items():
        device.push(ANDROID_LAB / name, place, 0o755)
    device.run(["sh", "-c", f"echo /system/lib64 >{LOADER_PATH}"])
    yield device
    device.run(["rm", "-f", LOADER_PATH, *places.values()])


def check(device: Transport, programs: Programs, model: Path, folder: Path) -> Report:
    """The outputs are the host's, to the bit; returns what a measurement said."""
    engine = ENGINES[model.suffix[1:]]
    session = (tflite_session if engine == "litert" else onnx_session).open_session(model, 1)
    generator = np.random.default_rng(3)
    spec = session.inputs[0]
    items = [(generator.random(spec.shape) * 255 - 128).astype(spec.dtype) for _ in range(ITEMS)]
    wanted = b"".join(session.run([item])[0].tobytes() for item in items)
    (folder / "in").write_bytes(b"".join(item.tobytes() for item in items))
    there = work_folder(device)
    places = {name: f"{there}/{name}" for name in ("runner", "library", "model", "in", "out")}
    device.push(programs.runner, places["runner"], 0o755)
    device.push(programs.libraries[engine], places["library"])
    device.push(model, places["model"])
    device.push(folder / "in", places["in"])
    request = Request(engine, places["model"], places["library"], inputs=places["in"], outputs=places["out"])

    each = launch(device, places["runner"], replace(request, timing=None))
    device.pull(places["out"], folder / "out")
    assert (each.items, each.steady) == (ITEMS, True)
    assert (folder / "out").read_bytes() == wanted
    assert each.digest == hashlib.sha256(wanted).hexdigest()

    timing = Timing(warmup_runs=1, min_runs=5, min_seconds=0)
    measured = launch(device, places["runner"], replace(request, timing=timing, threads=2))
    assert len(measured.samples_ns) == 5
    assert measured.digest == hashlib.sha256(wanted[: len(wanted) // ITEMS]).hexdigest()
    assert (measured.memory_peak or 0) > (measured.memory_before or 0) > 0
    device.run(["rm", "-f", *places.values()])
    return measured


def launch(device: Transport, runner: str, request: Request) -> Report:
    done = device.run([runner, *request.arguments()], timeout=300)
    report = read_report(done.stdout)
    assert (done.exit_code, report.failure, report.ended) == (0, None, True), done.stderr
    return report


@pytest.mark.parametrize("target", ENGINES)
def test_as_a_board(
    board_programs: Programs, v1_files: dict[str, Path], target: str, device: Transport, tmp_path: Path
) -> None:
    measured = check(device, board_programs, v1_files[target], tmp_path)
    if target == "tflite":
        share = tflite_session.delegated_share(v1_files[target])
        assert measured.delegated == round(share * (measured.nodes or 0))


def test_as_a_phone(
    phone_programs: Programs, v1_files: dict[str, Path], phone: Transport, tmp_path: Path
) -> None:
    measured = check(phone, phone_programs, v1_files["onnx"], tmp_path)
    assert measured.engine_version == "1.29.0"
