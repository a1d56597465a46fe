"""A bad way to the stand-in device, over adb and ssh, and a device that goes wrong under the harness."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lab.hurried import Hurried
from lab.machine import Machine
from lab.proxy import FROM, TO, Proxy, Trick
from lab.trial import RULE, Trial, pictures, small_model

from mobiledeploy.device_tests import (
    adb,
    chunk_runs,
    conditions,
    device_accuracy,
    load,
    references,
    session,
    shell_run,
    ssh,
)
from mobiledeploy.device_tests import benchmark as benchmark_module
from mobiledeploy.device_tests.adb import AdbTransport
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.probe import probe
from mobiledeploy.device_tests.ssh import SshTransport
from mobiledeploy.device_tests.transport import Transport
from mobiledeploy.runtimes.runner.build import native_runner
from mobiledeploy.runtimes.runner.cache import cache_folder
from mobiledeploy.runtimes.runner.engines import engine_library
from mobiledeploy.runtimes.runner.platforms import Platform
from mobiledeploy.runtimes.runner.request import Timing

pytestmark = [pytest.mark.device, pytest.mark.slow, pytest.mark.timeout(600)]

# Seconds: for a command, for a copy, for the order to stop, for a device to be back.
RUN, COPY, STOP, RECONNECT = 10.0, 12.0, 4.0, 8.0
# A device that boots is back by then.
BOOT = 60.0
# For an operation on a busy host, with its losses.
LIMIT = 240.0
WORK = "/data/local/tmp/mobiledeploy"
EVER = 1e6
# Way, job, the step in which it comes, and what: kind, direction, bytes of that step, seconds.
FAULTS = (
    ("adb", "benchmark", "push", Trick("cut", TO, 5000)),
    ("adb", "benchmark", "launch", Trick("cut", TO, 500, EVER)),
    ("adb", "evaluate", "launch", Trick("cut", FROM, 100)),
    ("ssh", "benchmark", "launch", Trick("cut", FROM, 100, 1.5)),
    ("ssh", "evaluate", "pull", Trick("cut", FROM, 300, EVER)),
    ("adb", "evaluate", "push", Trick("half", TO, 5000, EVER)),
    ("ssh", "benchmark", "launch", Trick("half", FROM, 50, 3.0)),
    ("adb", "benchmark", "enter", Trick("stall", FROM, 0, 2.0)),
    ("ssh", "evaluate", "launch", Trick("stall", TO, 500, EVER)),
    ("adb", "evaluate", "enter", Trick("delay", FROM, 0, 0.02)),
    ("adb", "benchmark", "launch", Trick("garble", TO, 1500)),
    ("adb", "benchmark", "launch", Trick("garble", FROM, 400)),
    ("adb", "evaluate", "push", Trick("garble", TO, 5000)),
)
# The device's own shell looks for a runner, and then does this to it or to what is there.
RUNNER = (
    "$(grep -l '^/data/[^[:cntrl:]]*/store/' /proc/[0-9]*/cmdline 2>/dev/null | head -n 1 | cut -d / -f 3)"
)
AT_RUNNER = {
    "runner killed": "kill -KILL $pid",
    "runner stopped": "kill -STOP $pid",
    "runner paused": "kill -STOP $pid; sleep 1; kill -CONT $pid",
    "session removed": f"rm -rf {WORK}/session",
    "store removed": f"rm -rf {WORK}/store",
    "device restarted": "",
    "device hung": "",
}
DEVICE_FAULTS = tuple((("adb", "ssh")[index % 2], fault) for index, fault in enumerate(AT_RUNNER))
# The engine's library and the runner take 5908 kB.
STORAGE_FAULTS = (("adb", "benchmark", "1m"), ("ssh", "benchmark", "5920k"), ("adb", "evaluate", "5960k"))


class Bench:
    """The stand-in device behind a proxy, by one way."""

    def __init__(self, trial: Trial, proxy: Proxy, machine: Machine) -> None:
        self.trial, self.proxy, self.machine = trial, proxy, machine
        self.hurry = False
        self.copy = COPY
        self.at: tuple[str, Callable[[], None]] | None = None
        self._direct = SshTransport("lab", config=machine.ssh_config)
        self._facts: DeviceFacts | None = None

    def probe(self, transport: Transport, folder: str) -> DeviceFacts:
        """What the device is, which takes it longer than anything else: asked for once."""
        self._facts = self._facts or probe(transport, folder)
        return self._facts

    def begin(self, step: str) -> None:
        """A step begins."""
        if self.at and self.at[0] == step:
            action, self.at = self.at[1], None
            action()

    def attempt(self, job: str, trial: Trial | None = None) -> str:
        """One operation in a hurry, with the fault that comes ``at`` its step."""
        self.hurry = True
        try:
            return (trial or self.trial).attempt(job, LIMIT)
        finally:
            self.hurry = False

    def check(self, job: str, said: str) -> None:
        """It is right in the end, and nothing of a session is left."""
        self.at = None
        self.proxy.set(None)
        assert said == "right" or self.trial.attempt(job, LIMIT) == "right"
        left = self.shell(
            f"ls -d {WORK}/session {WORK}/store/.*.part 2>/dev/null; "
            f"grep -l {session.VARIABLE}= /proc/[0-9]*/environ 2>/dev/null"
        )
        assert left == "", left

    def shell(self, script: str) -> str:
        """On the device, beside the proxy."""
        return self._direct.run(["sh", "-c", script], 60.0).stdout

    def restore(self) -> None:
        """The device runs and can be reached."""
        self.machine.restore()
        self._direct.reconnect(BOOT)


@pytest.fixture(scope="module")
def caches() -> Path:
    """Before adb gets a home of its own."""
    native_runner(Platform("arm64"))
    engine_library("litert", Platform("arm64"))
    return cache_folder().parent


@pytest.fixture(scope="module")
def lab_trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    folder = tmp_path_factory.mktemp("lab_trial")
    return Trial("lab", small_model(folder), pictures(folder / "images"), RULE, timeout=60.0)


@pytest.fixture(scope="module")
def benches(fragile: Machine, lab_trial: Trial) -> Iterator[dict[str, Bench]]:
    """By way."""
    ports = {"adb": fragile.adb_port, "ssh": fragile.ssh_port}
    made = {way: Bench(lab_trial, Proxy(port), fragile) for way, port in ports.items()}
    yield made
    for bench in made.values():
        bench.proxy.close()


@pytest.fixture
def bench(
    request: pytest.FixtureRequest,
    caches: Path,
    benches: dict[str, Bench],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Bench:
    way = request.param
    bench = benches[way]
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches))
    if way == "adb":
        request.getfixturevalue("adb_client")
    for module, name, value in (
        (shell_run, "STOP_TIMEOUT", STOP),
        (chunk_runs, "RECONNECT_TIMEOUT", RECONNECT),
        (benchmark_module, "RECONNECT_TIMEOUT", RECONNECT),
        (session, "LEAVE_TIMEOUT", 5.0),
        (load, "_TWICE", ("sh", "-c", load._TWICE[2].replace("sleep 1", "sleep 0.05"))),
        (adb, "ANSWER_TIMEOUT", 5.0),
        (ssh, "ANSWER_TIMEOUT", 5.0),
        (device_accuracy, "probe", bench.probe),
        (conditions, "probe", bench.probe),
    ):
        monkeypatch.setattr(module, name, value)
    config = through_proxy(bench.machine, benches["ssh"].proxy.port, tmp_path)

    def open_transport(address: references.Address) -> Transport:
        adb_serial = f"127.0.0.1:{bench.proxy.port}"
        plain = AdbTransport(adb_serial) if way == "adb" else SshTransport("lab", config=config)
        return Hurried(plain, bench.begin, lambda: bench.hurry, (RUN, bench.copy))

    monkeypatch.setattr(references, "open_transport", open_transport)
    devices = tmp_path / "config" / "mobiledeploy" / "devices.toml"
    devices.parent.mkdir(parents=True)
    devices.write_text(f'[devices.lab]\nreference = "ssh:lab"\nfolder = "{WORK}"\n')
    if not bench.trial.truth:
        bench.trial.learn()
    return bench


def through_proxy(machine: Machine, port: int, folder: Path) -> Path:
    """Its ssh configuration with another port."""
    real, config, hosts = str(machine.ssh_port), folder / "ssh_config", folder / "known_hosts"
    text = machine.ssh_config.read_text().replace(f"Port {real}", f"Port {port}")
    config.write_text(text.replace(str(machine.folder / "known_hosts"), str(hosts)))
    hosts.write_text((machine.folder / "known_hosts").read_text().replace(real, str(port)))
    return config


@pytest.mark.parametrize(
    ("bench", "job", "step", "trick"),
    [pytest.param(*fault, id=f"{' '.join(fault[:3])} {fault[3]}") for fault in FAULTS],
    indirect=["bench"],
)
def test_a_bad_way(bench: Bench, job: str, step: str, trick: Trick) -> None:
    bench.at = (step, lambda: bench.proxy.set(trick))
    said = bench.attempt(job)
    assert bench.proxy.struck
    assert said == "right" or trick.kind != "delay"
    bench.check(job, said)


def _at_runner(bench: Bench, fault: str, seen: list[str]) -> Callable[[], None]:
    def act() -> None:
        script = f'i=0; while [ $i -lt 100 ]; do pid={RUNNER}; [ -n "$pid" ] && break; i=$((i + 1)); done; '
        seen.append(bench.shell(f"{script} echo $pid; {AT_RUNNER[fault]}").strip())
        if fault == "device restarted":
            bench.machine.reboot()
        if fault == "device hung":
            bench.machine.hang()
            threading.Timer(RUN + STOP + 3, bench.machine.wake).start()

    return act


@pytest.mark.parametrize(
    ("bench", "fault"),
    [pytest.param(*fault, id=" ".join(fault)) for fault in DEVICE_FAULTS],
    indirect=["bench"],
)
def test_a_device_goes_wrong(bench: Bench, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_module, "RECONNECT_TIMEOUT", BOOT)
    seen: list[str] = []
    actor = threading.Thread(target=_at_runner(bench, fault, seen))
    bench.at = ("launch", actor.start)
    said = bench.attempt("benchmark", replace(bench.trial, timing=Timing(1, 0, 5, 2.0)))
    actor.join(2 * BOOT)
    assert seen
    assert seen[0]
    bench.restore()
    bench.check("benchmark", said)


@pytest.mark.parametrize(("bench", "job", "size"), STORAGE_FAULTS, indirect=["bench"])
def test_a_full_device(bench: Bench, job: str, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.shell(f"rm -rf {WORK}; mkdir {WORK}; mount -t tmpfs -o size={size},mode=700 small {WORK}")
    # Here the space shall end, not the time: the emulated machine takes its own for a library.
    monkeypatch.setattr(bench, "copy", 5 * COPY)
    try:
        said = bench.attempt(job)
        assert said == "right" or "no space left" in said.lower(), said
        assert bench.shell(f"ls -A {WORK}/store | grep part") == ""
    finally:
        bench.shell(f"umount {WORK}")
    bench.check(job, said)
