"""The stand-in device for tests marked ``device``, and adb and state apart from the user's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.machine import Machine, adb_programs, free_port, missing
from lab.trial import RULE, Trial, pictures, small_model
from needed import lacks
from postgres_server import MAKE_POSTGRES, Server, find_programs
from scripted_gate import files, programs, script

__all__ = ["files", "programs", "script"]

from mobiledeploy.device_tests import launch, load

MAKE_LAB = "make lab"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"device: needs the stand-in device ({MAKE_LAB})")


def _require_lab() -> None:
    """Where CI is set the lab has to be there; elsewhere tests skip and say how to get it."""
    if lacking := missing():
        lacks(f"the lab machine needs {lacking}; enable these tests with: {MAKE_LAB}")


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks and configuration of the test alone."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


class AdbClients:
    """Every adb there is here, each with a server of its own that is ended afterwards."""

    def __init__(self, home: Path) -> None:
        self._home, self._ports = home, dict[str, int]()

    def use(self, client: str, patch: pytest.MonkeyPatch) -> None:
        """Let mobiledeploy find this adb and no other."""
        patch.setenv("MOBILEDEPLOY_ADB", client)
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(self._ports.setdefault(client, free_port())))
        # Its keys; and nothing that is plugged into this host.
        patch.setenv("HOME", str(self._home))
        patch.setenv("ADB_MDNS", "0")
        patch.setenv("ADB_USB", "0")

    def end(self) -> None:
        for client, port in self._ports.items():
            environment = {**os.environ, "ANDROID_ADB_SERVER_PORT": str(port)}
            subprocess.run(
                [client, "kill-server"], env=environment, capture_output=True, check=False, timeout=30
            )


@pytest.fixture(scope="session")
def adb_clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbClients]:
    _require_lab()
    clients = AdbClients(tmp_path_factory.mktemp("adb"))
    yield clients
    clients.end()


@pytest.fixture
def adb_client(adb_clients: AdbClients, monkeypatch: pytest.MonkeyPatch) -> str:
    """The first adb that is found, in use."""
    (client, *_) = adb_programs()
    adb_clients.use(client, monkeypatch)
    return client


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The stand-in device, booted once; leave it as it was."""
    _require_lab()
    running = Machine(tmp_path_factory.mktemp("machine"))
    try:
        running.start()
        yield running
    finally:
        running.kill()


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Another one, for tests that hang or kill it; each leaves it running."""
    _require_lab()
    running = Machine(tmp_path_factory.mktemp("fragile"))
    try:
        running.start()
        yield running
    finally:
        running.kill()


@pytest.fixture(scope="session")
def small_trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """The smallest one, on this machine as the device ``lab``."""
    folder = tmp_path_factory.mktemp("trial")
    return Trial("lab", small_model(folder), pictures(folder / "images"), RULE)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Where ``trial`` works on its device."""
    return tmp_path / "on the 'device'"


@pytest.fixture
def governors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Two cores whose governor can be set, and are as they were when the test is over."""
    cores = [tmp_path / "cpus" / f"cpu{index}" / "cpufreq" / "scaling_governor" for index in range(2)]
    for core in cores:
        core.parent.mkdir(parents=True)
        core.write_text("schedutil\n")
    tree = str(tmp_path / "cpus")
    assert "/sys/devices/system/cpu" in launch._AROUND
    monkeypatch.setattr(launch, "_AROUND", launch._AROUND.replace("/sys/devices/system/cpu", tree))
    return cores


@pytest.fixture
def trial(
    small_trial: Trial,
    work: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    governors: list[Path],
) -> Trial:
    """A benchmark and an evaluation, ready to be disturbed."""
    config = tmp_path / "config" / "mobiledeploy" / "devices.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'[devices.lab]\nreference = "local"\nfolder = "{work}"\n')
    monkeypatch.setattr(load, "_TWICE", ("sh", "-c", load._TWICE[2].replace("sleep 1", "sleep 0.01")))
    if not small_trial.truth:
        small_trial.learn()
    return small_trial


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL server; where CI is set its programs have to be there."""
    programs = find_programs()
    if programs is None:
        lacks(f"no PostgreSQL server programs here; enable these tests with: {MAKE_POSTGRES}")
    server = Server(programs)
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture
def postgres(postgres_server: Server) -> str:
    """The URL of an empty database, with a password."""
    return postgres_server.make_database()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def history_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new history of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "history.db")
    url: str = request.getfixturevalue("postgres")
    return url
