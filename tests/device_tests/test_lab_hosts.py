"""A lab of real processes: scheduler, hosts with workers, workers that die or fall silent in mid-run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab.machine import free_port
from lab_hosts import Hosts, command, local_device
from tflite_builder import float_dense

from mobiledeploy.device_tests.benchmark import Measured
from mobiledeploy.device_tests.gate import Setting, parse_gate
from mobiledeploy.device_tests.history import open_history
from mobiledeploy.device_tests.lab.errors import LabUnavailableError
from mobiledeploy.device_tests.lab.leases import Seen
from mobiledeploy.device_tests.lab.runs import benchmark_in_lab, gate_in_lab
from mobiledeploy.device_tests.lab.settings import configure
from mobiledeploy.device_tests.plan import Plan
from mobiledeploy.errors import EnvironmentProblem, InputError
from mobiledeploy.runtimes.formats import read_artifact
from mobiledeploy.runtimes.runner.request import Timing

pytestmark = pytest.mark.slow
LEASE = 4.0
QUICK = Timing(min_runs=5, min_seconds=0.0)
# Long enough to be met in its middle.
LONG = Timing(min_runs=5, min_seconds=1.0)
NO_PYTHON = "/bin/false"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Two equal boards on two hosts, one that works alone, and two of which the first lacks its engine."""
    folder = tmp_path_factory.mktemp("lab")
    hosts = Hosts(folder)
    try:
        hosts.start_scheduler("--listen", "tcp://127.0.0.1:0", "--lease", str(LEASE))
        for host, devices in {
            "lab1": local_device("board-1", folder, "board"),
            "lab2": local_device("board-2", folder, "board")
            + local_device("bare-a", folder, "bare", NO_PYTHON),
            "lab3": local_device("bare-b", folder, "bare"),
        }.items():
            hosts.start_host(host, devices, "--history", str(folder / "hosts.db"))
        yield hosts
    finally:
        hosts.end()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes(float_dense(classes=10))
    return path


def plan(model: Path, timing: Timing = QUICK, launches: int = 2) -> Plan:
    artifacts = (read_artifact(model),)
    return Plan(artifacts, launches=launches, timing=timing, governor="", runner="python")


def seen(lab: Hosts) -> dict[str, Seen]:
    configure()
    from mobiledeploy.device_tests.lab.client import open_lab

    with open_lab(lab.address) as opened:
        return {row.offer.device: row for row in opened.seen()}


def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def all_free(lab: Hosts, count: int = 4) -> bool:
    return [row.state for row in seen(lab).values()] == ["free"] * count


def signal_in_mid_run(lab: Hosts, model: Path, sign: int) -> tuple[Measured, Seen]:
    """Send a signal to the worker whose device has done two of four launches."""
    hit: list[Seen] = []

    def announce(text: str) -> None:
        if "launch 3 of 4" in text and not hit:
            hit.extend(row for row in seen(lab).values() if row.state == "running")
            os.kill(hit[0].offer.pid, sign)

    until(lambda: all_free(lab))
    (measured,) = benchmark_in_lab(
        ["kind:board"], plan(model, LONG, 4), scheduler=lab.address, announce=announce, label="hit"
    )
    assert len(hit) == 1
    return measured, hit[0]


def check_second_attempt(measured: Measured, hit: Seen, why: str) -> None:
    first, second = measured.runs
    assert measured.error is None
    assert {first.device, second.device} == {"board-1", "board-2"}
    assert first.device == hit.offer.device
    assert first.lab
    assert second.lab
    assert (first.lab.attempt, first.lab.host, first.complete) == (1, hit.offer.host, False)
    assert why in first.lab.cut
    assert 2 <= len(first.launches) < 4
    assert (second.lab.attempt, second.lab.kind, second.complete) == (2, "board", True)
    assert second.lab.earlier == (first.lab.cut,)
    assert [len(launch.samples_ns) > 5 for launch in second.launches] == [True] * 4
    assert hit.owner
    assert hit.owner.pid == os.getpid()


def test_a_run_goes_to_a_free_device_and_into_both_histories(lab: Hosts, model: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.db"
    words = [
        "benchmark",
        str(model),
        "--device",
        "kind:board",
        "--scheduler",
        lab.address,
        "--runner",
        "python",
    ]
    quick = ["--governor", "", "--launches", "2", "--seconds", "0", "--runs", "5", "--label", "both"]
    done = subprocess.run(
        command(*words, *quick, "--history", str(own), "--json"), capture_output=True, text=True, check=True
    )
    (run,) = json.loads(done.stdout)["runs"]
    assert (run["device"], run["complete"], run["lab"]["attempt"]) == ("board-1", True, 1)
    assert run["model"]["sha256"] == read_artifact(model).sha256
    assert "board-1: connect" in done.stderr or "launch" in done.stderr
    ids = json.loads(done.stdout)["history"]["ids"]
    assert ids == [run["lab"]["identity"]]
    with open_history(own) as ours, open_history(lab.folder / "hosts.db") as theirs:
        assert ours.load(ids[0]) == theirs.load(ids[0])
        assert theirs.record(ids[0]).label == "both"
        assert theirs.record(ids[0]).commit == ours.record(ids[0]).commit
        # Into a history that has it: not twice.
        assert theirs.add(ours.load(ids[0])) == ids[0]
        assert [row.id for row in theirs.find()].count(ids[0]) == 1


def test_a_worker_that_dies_in_mid_run(lab: Hosts, model: Path) -> None:
    measured, hit = signal_in_mid_run(lab, model, signal.SIGKILL)
    check_second_attempt(measured, hit, "its worker died during the run")
    # It is started again, and its device is as good as before.
    until(lambda: all_free(lab))
    back = seen(lab)[hit.offer.device].offer
    assert back.pid != hit.offer.pid
    (again,) = benchmark_in_lab([hit.offer.device], plan(model), scheduler=lab.address)
    assert again.error is None
    assert again.runs[0].complete


def test_a_worker_that_falls_silent_in_mid_run(lab: Hosts, model: Path) -> None:
    measured, hit = signal_in_mid_run(lab, model, signal.SIGSTOP)
    try:
        check_second_attempt(measured, hit, "not heard of any more")
        # Given to nobody, as something may still be running there.
        assert seen(lab)[hit.offer.device].state == "silent"
    finally:
        os.kill(hit.offer.pid, signal.SIGCONT)
    until(lambda: all_free(lab))
    assert seen(lab)[hit.offer.device].offer.pid == hit.offer.pid
    with open_history(lab.folder / "hosts.db") as history:
        # What it had measured when it came back is no whole run, in no history.
        assert history.record(measured.runs[1].lab.identity).run.complete  # type: ignore[union-attr]
        late = [row for row in history.find() if row.id == measured.runs[0].lab.identity]  # type: ignore[union-attr]
        assert [row.complete for row in late] == [False]


def test_what_an_engine_lacks_is_found_elsewhere(lab: Hosts, model: Path) -> None:
    until(lambda: all_free(lab))
    (measured,) = benchmark_in_lab(["kind:bare"], plan(model), scheduler=lab.address)
    (run,) = measured.runs
    assert measured.error is None
    assert run.lab
    assert (run.device, run.lab.attempt) == ("bare-b", 2)
    assert f"lab2: local: its {NO_PYTHON} has no numpy" in run.lab.earlier[0]
    # Asked for by name it is that one or none.
    (alone,) = benchmark_in_lab(["bare-a"], plan(model), scheduler=lab.address)
    assert alone.runs == ()
    assert alone.error
    assert alone.error.exit_code == 8
    assert "has no numpy" in str(alone.error)


def test_a_gate(lab: Hosts, model: Path) -> None:
    artifact = read_artifact(model)
    gates = [parse_gate("max-size", "50MB"), parse_gate("max-median", "10s")]
    report = gate_in_lab(
        "kind:bare",
        artifact,
        gates,
        setting=Setting(governor="", runner="python", time_limit=60, timing=QUICK),
        scheduler=lab.address,
    )
    assert [item.outcome for item in report.gates] == ["pass", "pass"]
    assert report.device == "bare-b"
    assert report.runs[-1].lab
    assert report.runs[-1].lab.attempt == 2
    assert any("attempt 1: lab2" in note for note in report.notes)
    with pytest.raises(InputError, match="nothing to compare with"):
        gate_in_lab("kind:bare", artifact, [parse_gate("max-regression", "3%")], scheduler=lab.address)


def test_those_who_wait_are_told_for_whom(lab: Hosts, model: Path) -> None:
    until(lambda: all_free(lab))
    said: list[str] = []
    begun = threading.Event()
    first: list[Any] = []

    def announce(text: str) -> None:
        if "launch" in text:
            begun.set()

    def run() -> None:
        long = plan(model, LONG, 2)
        first.extend(benchmark_in_lab(["board-2"], long, scheduler=lab.address, announce=announce))

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(60)
    (refused,) = benchmark_in_lab(["board-2"], plan(model), scheduler=lab.address, wait=0)
    assert isinstance(refused.error, LabUnavailableError)
    assert f"in use all the time: board-2 by {seen(lab)['board-2'].owner}" in str(refused.error)
    (second,) = benchmark_in_lab(["board-2"], plan(model), scheduler=lab.address, announce=said.append)
    thread.join(60)
    assert first[0].runs[0].complete
    assert second.runs[0].complete
    waited = next(text for text in said if "wait for" in text)
    assert f"board-2: in use by {first[0].runs[0].lab and os.environ.get('USER', '')}" in waited
    assert f"process {os.getpid()} for benchmark" in waited


def test_stopping_keeps_what_was_measured(lab: Hosts, model: Path) -> None:
    until(lambda: all_free(lab))
    stop = threading.Event()

    def announce(text: str) -> None:
        if "launch 2" in text:
            stop.set()

    (measured,) = benchmark_in_lab(
        ["board-1"], plan(model, LONG, 20), scheduler=lab.address, announce=announce, stop=stop
    )
    (run,) = measured.runs
    assert measured.error is None
    assert 1 <= len(run.launches) < 20
    assert not run.complete
    until(lambda: all_free(lab))


def test_what_is_not_there(lab: Hosts, model: Path) -> None:
    (measured,) = benchmark_in_lab(["kind:bord"], plan(model), scheduler=lab.address)
    assert isinstance(measured.error, InputError)
    assert "Did you mean kind:board" in str(measured.error)
    with pytest.raises(LabUnavailableError, match="no scheduler answers"):
        benchmark_in_lab(["a"], plan(model), scheduler=f"tcp://127.0.0.1:{free_port()}")
    from mobiledeploy.device_tests.lab.client import check_versions

    with pytest.raises(EnvironmentProblem, match=r"the lab's scheduler distributed 1\.0"):
        check_versions({"mobiledeploy": "0.1.0", "distributed": "1.0"}, lab.address)


def test_a_name_is_offered_once(lab: Hosts, tmp_path: Path) -> None:
    (tmp_path / "devices.toml").write_text(local_device("board-1", tmp_path))
    words = command("lab", "worker", "--scheduler", lab.address, "--host", "lab9")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 3
    assert "error: board-1: a device of that name is offered by lab1 already" in done.stderr


def test_a_scheduler_that_is_no_labs(model: Path) -> None:
    configure()
    from distributed import LocalCluster

    with (
        LocalCluster(0, processes=False, dashboard_address=":0", host="127.0.0.1", protocol="tcp") as cluster,
        pytest.raises(LabUnavailableError, match="this is no scheduler of a lab"),
    ):
        benchmark_in_lab(["a"], plan(model), scheduler=cluster.scheduler_address)


def test_hosts_end_with_their_scheduler(tmp_path: Path) -> None:
    hosts = Hosts(tmp_path)
    try:
        hosts.start_scheduler("--listen", "tcp://127.0.0.1:0")
        hosts.start_host("lab1", local_device("a", tmp_path))
        hosts.start_host("lab2", local_device("b", tmp_path))
        assert hosts.end_host("lab2") == 0
        until(lambda: list(seen(hosts)) == ["a"])
        assert hosts.end_host("scheduler") == 0
        assert hosts.processes["lab1"].wait(60) == 8
        assert "the lab's scheduler has gone" in hosts.log("lab1")
    finally:
        hosts.end()


def test_a_lab_on_this_host_for_one_command(model: Path, tmp_path: Path) -> None:
    devices = local_device("a", tmp_path, "board", NO_PYTHON) + local_device("b", tmp_path, "board")
    (tmp_path / "devices.toml").write_text(devices)
    words = command("benchmark", str(model), "--device", "kind:board", "--runner", "python", "--json")
    quick = ["--governor", "", "--launches", "2", "--seconds", "0", "--runs", "5", "--no-store"]
    done = subprocess.run([*words, *quick], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    assert (run["device"], run["lab"]["attempt"]) == ("b", 2)


@pytest.mark.postgres
def test_a_client_that_dies_loses_nothing(model: Path, tmp_path: Path, postgres: str) -> None:
    hosts = Hosts(tmp_path)
    try:
        hosts.start_scheduler("--listen", "tcp://127.0.0.1:0")
        hosts.start_host("lab1", local_device("a", tmp_path), "--history", postgres)
        words = command("benchmark", str(model), "-d", "a", "--scheduler", hosts.address, "--label", "orphan")
        quick = ["--governor", "", "--launches", "3", "--seconds", "1", "--runner", "python"]
        with subprocess.Popen([*words, *quick, "--history", postgres], stderr=subprocess.PIPE) as client:
            assert client.stderr
            for line in client.stderr:
                if b"launch 2" in line:
                    client.kill()
        with open_history(postgres) as history:
            until(lambda: history.count() == 1)
            (row,) = history.find()
            run = history.load(row.id)
        assert (row.label, row.complete, run.device) == ("orphan", True, "a")
        until(lambda: all_free(hosts, 1))
        # And one whose client lives is in the shared history once.
        done = subprocess.run([*words, *quick, "--history", postgres], capture_output=True, check=False)
        assert done.returncode == 0
        with open_history(postgres) as history:
            assert history.count() == 2
    finally:
        hosts.end()


def test_certificates_keep_others_out(tmp_path: Path) -> None:
    pem, key = tmp_path / "lab.pem", tmp_path / "lab.key"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=lab", "-days", "2"]
    subprocess.run([*words, "-keyout", key, "-out", pem], check=True, capture_output=True)
    tls = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(pem)}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        tls[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = str(pem)
        tls[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = str(key)
    hosts = Hosts(tmp_path, tls)
    try:
        hosts.start_scheduler("--listen", "tls://127.0.0.1:0")
        hosts.start_host("lab1", local_device("a", tmp_path))
        status = command("lab", "status", "--scheduler", hosts.address, "--json")
        done = subprocess.run(status, env=hosts.environment, capture_output=True, text=True, check=True)
        assert [row["offer"]["device"] for row in json.loads(done.stdout)["devices"]] == ["a"]
        for address in (hosts.address, hosts.address.replace("tls", "tcp")):
            status = command("lab", "status", "--scheduler", address)
            done = subprocess.run(status, capture_output=True, text=True, check=False)
            assert done.returncode == 8
            assert "no scheduler answers" in done.stderr
    finally:
        hosts.end()
