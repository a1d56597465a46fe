"""A bad way to the stand-in device, over adb and ssh, and a device that goes wrong under the harness."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from lab.machine import Machine
from lab.proxy import FROM, TO, Proxy, Trick
from lab.trial import RULE, Trial, pictures, small_model

from mobiledeploy.device_tests import (
    adb,
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
from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.probe import probe
from mobiledeploy.device_tests.ssh import SshTransport
from mobiledeploy.device_tests.transport import Completed, Transport
from mobiledeploy.runtimes.runner.build import native_runner
from mobiledeploy.runtimes.runner.cache import cache_folder
from mobiledeploy.runtimes.runner.engines import engine_library
from mobiledeploy.runtimes.runner.platforms import Platform
from mobiledeploy.runtimes.runner.request import Timing

pytestmark = [pytest.mark.device, pytest.mark.slow, pytest.mark.timeout(600)]

SEED = 20260302
RUN, COPY, STOP, RECONNECT = 8.0, 12.0, 4.0, 25.0
WORK = "/data/local/tmp/mobiledeploy"
EVER = 1e6
# No fault of the way, but the hurry.
NOTHING = Trick("none", TO, 10**15)
WAYS, JOBS = ("adb", "ssh"), ("benchmark", "evaluate")
# Kind, direction, seconds.
BAD_WAYS = (
    *(("cut", TO, 0.0), ("cut", FROM, 0.0), ("cut", TO, 1.5), ("cut", FROM, EVER)),
    *(("half", TO, EVER), ("half", FROM, 3.0), ("stall", FROM, 2.0), ("stall", TO, EVER)),
    *(("delay", FROM, 0.02), ("garble", TO, 0.0), ("garble", FROM, 0.0)),
)
# What the device's own shell does to a runner, 30 ms after it has begun, or to what is there.
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


def generated() -> tuple[tuple[str, str, str, str, float, float], ...]:
    """Way, job, kind, direction, seconds, and the share of the bytes after which it comes."""
    chance = random.Random(SEED)  # noqa: S311
    return tuple(
        (way, JOBS[(index + turn) % 2], *bad, round(chance.uniform(0.02, 0.95), 3))
        for turn, way in enumerate(WAYS)
        for index, bad in enumerate(BAD_WAYS)
    )


FAULTS = generated()
DEVICE_FAULTS = tuple((WAYS[index % 2], JOBS[index // 2 % 2], fault) for index, fault in enumerate(AT_RUNNER))
STORAGE_FAULTS = (("adb", "benchmark", 1), ("ssh", "evaluate", 5), ("adb", "evaluate", 10))


class Hurried:
    """Waits less long for an answer than a user would, while ``hurry`` is true."""

    def __init__(self, inner: Transport, hurry: Callable[[], bool]) -> None:
        self._inner, self._hurry, self.name = inner, hurry, inner.name
        self.reconnect, self.close = inner.reconnect, inner.close

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> Completed:
        return self._inner.run(argv, self._limit(timeout, RUN))

    def push(self, local: Path, remote: str, mode: int = 0o644, timeout: float = 600.0) -> None:
        self._inner.push(local, remote, mode, self._limit(timeout, COPY))

    def pull(self, remote: str, local: Path, timeout: float = 600.0) -> None:
        self._inner.pull(remote, local, self._limit(timeout, COPY))

    def _limit(self, timeout: float, hurried: float) -> float:
        return min(timeout, hurried) if self._hurry() else timeout


@pytest.fixture(scope="module")
def caches() -> Path:
    """Before adb gets a home of its own."""
    native_runner(Platform("arm64"))
    engine_library("litert", Platform("arm64"))
    return cache_folder().parent


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trial]:
    """A benchmark of MobileNet V1 0.25 for 128 pixels in int8, an evaluation of the smallest model."""
    from mobiledeploy.deploy.conversion import convert

    folder = tmp_path_factory.mktemp("mobilenet")
    made = convert(
        "mobilenet_v1",
        weights="random",
        width=0.25,
        resolution=128,
        precision="int8",
        calibration="none",
        output=folder / "v1.tflite",
        verify=False,
    )
    images = pictures(folder / "images")
    return {
        "benchmark": Trial("lab", made, images, timeout=60.0),
        "evaluate": Trial("lab", small_model(folder), images, RULE, timeout=60.0),
    }


@pytest.fixture(scope="module")
def proxies(fragile: Machine) -> Iterator[dict[str, Proxy]]:
    made = {"adb": Proxy(fragile.adb_port), "ssh": Proxy(fragile.ssh_port)}
    yield made
    for proxy in made.values():
        proxy.close()


@pytest.fixture(scope="module")
def known() -> dict[str, Bench]:
    """By way, with the bytes that an undisturbed run takes in each direction."""
    return {}


class Bench:
    """The stand-in device behind a proxy, by one way."""

    def __init__(self, way: str, trials: dict[str, Trial], proxy: Proxy, machine: Machine) -> None:
        self.way, self.trials, self.proxy, self.machine = way, trials, proxy, machine
        self.bytes: dict[str, dict[str, int]] = {}
        self.direct = SshTransport("lab", config=machine.ssh_config)
        self.facts: DeviceFacts | None = None
        self.asked = False
        self.seen = ""

    def probe(self, transport: Transport, folder: str) -> DeviceFacts | None:
        """What the device is: asked for once under each fault, not by the runs that see what is left."""
        if not self.asked:
            self.facts, self.asked = probe(transport, folder), True
        return self.facts

    def attempt(self, job: str, trick: Trick | None = None) -> str:
        """One operation with one fault."""
        self.proxy.set(trick)
        self.asked = self.facts is not None and trick is None
        try:
            # Losses, each with a time-out, the order to stop, and the time to come back; and the end.
            return self.trials[job].attempt(job, 4 * (RUN + STOP + RECONNECT))
        finally:
            self.disturbed = dict(self.proxy.passed)
            self.proxy.set(None)

    def shell(self, script: str, timeout: float = 30.0) -> str:
        """On the device, beside the proxy."""
        try:
            return self.direct.run(["sh", "-c", script], timeout).stdout
        except DeviceError:
            self.direct.reconnect(60)
            return self.direct.run(["sh", "-c", script], timeout).stdout

    def check_clean(self) -> None:
        """Nothing of a session is left."""
        left = self.shell(
            f"ls -d {WORK}/session {WORK}/store/.*.part 2>/dev/null; "
            f"grep -l {session.VARIABLE}= /proc/[0-9]*/environ 2>/dev/null"
        )
        assert left == "", left


@pytest.fixture
def bench(
    request: pytest.FixtureRequest,
    caches: Path,
    trials: dict[str, Trial],
    fragile: Machine,
    proxies: dict[str, Proxy],
    known: dict[str, Bench],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Bench:
    way = request.param
    fragile.restore()
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches))
    for module, name, value in (
        (shell_run, "STOP_TIMEOUT", STOP),
        (device_accuracy, "RECONNECT_TIMEOUT", RECONNECT),
        (benchmark_module, "RECONNECT_TIMEOUT", RECONNECT),
        (session, "LEAVE_TIMEOUT", 5.0),
        (load, "_TWICE", ("sh", "-c", load._TWICE[2].replace("sleep 1", "sleep 0.05"))),
        (adb, "ANSWER_TIMEOUT", 3.0),
        (ssh, "ANSWER_TIMEOUT", 3.0),
    ):
        monkeypatch.setattr(module, name, value)
    proxy = proxies[way]
    config = tmp_path / "ssh_config"
    real, seen = str(fragile.ssh_port), str(proxies["ssh"].port)
    hosts = tmp_path / "known_hosts"
    config.write_text(
        fragile.ssh_config.read_text()
        .replace(f"Port {real}", f"Port {seen}")
        .replace(str(fragile.folder / "known_hosts"), str(hosts))
    )
    hosts.write_text((fragile.folder / "known_hosts").read_text().replace(real, seen))
    if way == "adb":
        request.getfixturevalue("adb_client")

    def open_transport(address: references.Address) -> Transport:
        plain = (
            AdbTransport(f"127.0.0.1:{proxy.port}") if way == "adb" else SshTransport("lab", config=config)
        )
        return Hurried(plain, lambda: proxy.tricky)

    monkeypatch.setattr(references, "open_transport", open_transport)
    devices = tmp_path / "config" / "mobiledeploy" / "devices.toml"
    devices.parent.mkdir(parents=True)
    devices.write_text(f'[devices.lab]\nreference = "ssh:lab"\nfolder = "{WORK}"\n')
    proxy.set(None)
    if way not in known:
        made = Bench(way, trials, proxy, fragile)
        # Everything that is kept there is there, and then the bytes are counted.
        for job, trial in trials.items():
            trial.attempt(job, 100) if trial.truth else trial.learn()
        for job in JOBS:
            assert made.attempt(job) == "right"
            made.bytes[job] = made.disturbed
        known[way] = made
    for module in (device_accuracy, conditions):
        monkeypatch.setattr(module, "probe", known[way].probe)
    return known[way]


@pytest.mark.parametrize(
    ("bench", "job", "kind", "direction", "seconds", "share"),
    [pytest.param(*fault, id=" ".join(map(str, fault))) for fault in FAULTS],
    indirect=["bench"],
)
def test_a_bad_way(bench: Bench, job: str, kind: str, direction: str, seconds: float, share: float) -> None:
    said = bench.attempt(job, Trick(kind, direction, int(share * bench.bytes[job][direction]), seconds))
    if kind == "delay":
        assert said == "right"
    assert bench.attempt(job) == "right"
    bench.check_clean()


def _at_runner(bench: Bench, fault: str) -> Callable[[], None]:
    def act() -> None:
        script = f'i=0; while [ $i -lt 200 ]; do pid={RUNNER}; [ -n "$pid" ] && break; i=$((i + 1)); done; '
        bench.seen = bench.shell(f"{script} echo $pid; {AT_RUNNER[fault]}")
        if fault == "device restarted":
            bench.machine.reboot()
        if fault == "device hung":
            bench.machine.hang()
            threading.Timer(RUN + STOP + 3, bench.machine.wake).start()

    return act


@pytest.mark.parametrize(
    ("bench", "job", "fault"),
    [pytest.param(*fault, id=" ".join(fault)) for fault in DEVICE_FAULTS],
    indirect=["bench"],
)
def test_a_device_goes_wrong(bench: Bench, job: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.trials["benchmark"], "timing", Timing(1, 0, 5, 1.5))
    actor = threading.Thread(target=_at_runner(bench, fault))
    actor.start()
    bench.attempt(job, NOTHING)
    actor.join(60)
    assert not actor.is_alive()
    assert bench.seen.strip()
    bench.machine.restore()
    assert bench.attempt(job) == "right"
    bench.check_clean()


@pytest.mark.parametrize(("bench", "job", "megabytes"), STORAGE_FAULTS, indirect=["bench"])
def test_a_full_device(bench: Bench, job: str, megabytes: int) -> None:
    name = f"{WORK}/store"
    bench.shell(f"rm -rf {name}; mkdir {name}; mount -t tmpfs -o size={megabytes}m small {name}")
    try:
        said = bench.attempt(job, NOTHING)
        assert ("no space left" in said) is (megabytes < 10), said
        assert bench.shell(f"ls -A {name} | grep part") == ""
    finally:
        bench.shell(f"umount {name}")
    assert bench.attempt(job) == "right"
    bench.check_clean()
