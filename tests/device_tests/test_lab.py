"""What a lab decides and carries, without processes and without Dask."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from example_runs import latency_run
from tflite_builder import float_dense

from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.commands.lab import _cores
from mobiledeploy.device_tests.device_file import read_entries
from mobiledeploy.device_tests.errors import DeviceError, DeviceLost
from mobiledeploy.device_tests.gate import KINDS, Gate, parse_gate
from mobiledeploy.device_tests.history import open_history
from mobiledeploy.device_tests.history.documents import read
from mobiledeploy.device_tests.lab.jobs import Answer
from mobiledeploy.device_tests.lab.keeping import cut, pack_runs, unpack_runs
from mobiledeploy.device_tests.lab.leases import FORGET_SECONDS, LeaseTable, Offer
from mobiledeploy.device_tests.lab.parcel import Parcel, pack
from mobiledeploy.device_tests.lab.runs import benchmark_in_lab, devices_of, gate_in_lab, is_for_lab
from mobiledeploy.device_tests.lab.settings import split_address
from mobiledeploy.device_tests.latency_run import LabUse
from mobiledeploy.device_tests.lock import this_process
from mobiledeploy.device_tests.plan import Plan
from mobiledeploy.device_tests.record import findings
from mobiledeploy.errors import EnvironmentProblem, InputError, Refusal, RefusedError
from mobiledeploy.parallel import usable_cores
from mobiledeploy.runtimes.formats import read_artifact

ADA = this_process("benchmark")
USE = LabUse("ab" * 16, "lab1", "pixel8", 2, ("lab2: pixel-b: lost",))


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def offer(device: str, kind: str | None = "pixel8", host: str = "lab1") -> Offer:
    return Offer(device, kind, host, "local", f"tcp://{device}", 1)


def table(clock: Callable[[], float], *offers: Offer) -> LeaseTable:
    made = LeaseTable(60, clock)
    for item in offers:
        made.offer(item)
        made.arrive(item.worker)
    return made


def test_devices_are_given_out_once() -> None:
    leases = table(Clock(), offer("b"), offer("a"), offer("c", "pixel7"), offer("d", None))
    first, second = (leases.take("kind:pixel8", ADA) for _ in range(2))
    assert first
    assert second
    assert (first.offer.device, second.offer.device) == ("a", "b")
    assert leases.take("kind:pixel8", ADA) is None
    assert leases.take("a", ADA) is None
    assert leases.take("kind:None", ADA) is None
    assert [item.device for item in leases.fitting("kind:pixel8")] == ["a", "b"]
    leases.give_back(first.token)
    assert leases.take("kind:pixel8", ADA, but_not=["a"]) is None
    again = leases.take("a", ADA)
    assert again
    assert again.token != first.token


def test_a_lease_is_renewed_or_silent() -> None:
    clock = Clock()
    leases = table(clock, offer("a"))
    lease = leases.take("a", ADA)
    assert lease
    assert leases.watch(lease.token).state == "waiting"
    for _ in range(5):
        clock.now += 50
        assert leases.renew(lease.token, "launch 2") == "go on"
    leases.keep(lease.token, b"measured")
    assert leases.watch(lease.token).state == "running"
    assert leases.watch(lease.token).kept == b""
    clock.now += 61
    watched = leases.watch(lease.token)
    assert (watched.state, watched.said, watched.kept) == ("silent", "launch 2", b"measured")
    # Something may still be running there.
    assert leases.take("a", ADA) is None
    assert [row.state for row in leases.seen()] == ["silent"]
    leases.stop(lease.token)
    # It hears of it, and has the device until it is done.
    assert leases.renew(lease.token) == "stop"
    assert [row.state for row in leases.seen()] == ["running"]
    leases.give_back(lease.token)
    assert [row.state for row in leases.seen()] == ["free"]
    assert leases.take("a", ADA)


def test_a_lease_that_nobody_began_is_dropped() -> None:
    clock = Clock()
    leases = table(clock, offer("a"))
    lease = leases.take("a", ADA)
    assert lease
    clock.now = 61
    assert leases.watch(lease.token).state == "silent"
    assert leases.take("a", ADA)
    assert leases.renew(lease.token) == "gone"
    assert leases.watch(lease.token).state == "ended"


def test_what_a_worker_had_measured_when_it_died_is_told_once() -> None:
    clock = Clock()
    leases = table(clock, offer("a"), offer("b"))
    one, other = leases.take("a", ADA), leases.take("b", ADA)
    assert one
    assert other
    for lease in (one, other):
        leases.renew(lease.token, "launch 3")
        leases.keep(lease.token, b"two launches")
        leases.withdraw(lease.offer.worker)
    assert leases.seen() == []
    told = leases.watch(one.token)
    assert (told.state, told.said, told.kept) == ("ended", "launch 3", b"two launches")
    assert leases.watch(one.token).kept == b""
    clock.now += 60 + FORGET_SECONDS + 1
    leases.seen()
    assert leases.watch(other.token).kept == b""


def test_a_name_is_one_device() -> None:
    leases = table(Clock(), offer("a"))
    with pytest.raises(InputError, match="offered by lab1 already"):
        leases.offer(replace(offer("a", host="lab2"), worker="tcp://other"))
    # Its host starts the worker again before anyone has seen the first one die.
    lease = leases.take("a", ADA)
    assert lease
    leases.offer(replace(offer("a"), worker="tcp://second"))
    assert leases.watch(lease.token).state == "ended"
    # Not before Dask can send it work.
    assert leases.seen() == []
    leases.withdraw("tcp://a")
    leases.arrive("tcp://second")
    assert [row.offer.worker for row in leases.seen()] == ["tcp://second"]
    leases.withdraw("tcp://second")
    leases.offer(replace(offer("a", host="lab2"), worker="tcp://third"))
    leases.withdraw("tcp://third")
    leases.arrive("tcp://third")
    assert leases.seen() == []


def test_parcels_arrive_whole(tmp_path: Path) -> None:
    tree = tmp_path / "m.mlpackage"
    (tree / "Data").mkdir(parents=True)
    (tree / "Data" / "weights.bin").write_bytes(b"\0\1")
    (tree / "Manifest.json").write_text("{}")
    file = tmp_path / "a b.tflite"
    file.write_bytes(b"x" * 1000)
    for path in (tree, file):
        parcel = pickle.loads(pickle.dumps(pack(path)))  # noqa: S301
        target = parcel.unpack(tmp_path / "there")
        assert target.name == path.name
        assert pack(target) == pack(path)
    with pytest.raises(InputError, match="did not arrive"):
        replace(pack(file), members=(("", b"y"),)).unpack(tmp_path / "damaged")
    with pytest.raises(InputError, match="cannot be read"):
        pack(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "member"),
    [("../a", ""), ("/a", ""), ("..", ""), ("", ""), ("a", "../b"), ("a", "/b"), ("a", "b//c"), ("a", "./b")],
)
def test_parcels_cannot_escape(tmp_path: Path, name: str, member: str) -> None:
    folder = tmp_path / "in"
    with pytest.raises(InputError, match="no name of a file"):
        Parcel(name, ((member, b"x"),), "").unpack(folder)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_errors_travel() -> None:
    refusal = Refusal("n", "m", "op", (1, 2), "why", "next")
    for error in (
        InputError("what", where="where", hint="hint"),
        DeviceLost("gone", where="adb:1", stdout="half"),
        RefusedError((refusal,), where="x"),
    ):
        same = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert (type(same), str(same), vars(same)) == (type(error), str(error), vars(error))


def test_gates_travel() -> None:
    for kind in KINDS:
        same = pickle.loads(pickle.dumps(Gate(kind, 1.0)))  # noqa: S301
        assert same.kind is kind


def test_what_is_tried_elsewhere() -> None:
    assert Answer(error=DeviceError("lost", where="adb:1")).trouble == "adb:1: lost"
    assert Answer(error=EnvironmentProblem("no zig")).trouble == "no zig"
    assert not Answer(error=InputError("no such core")).trouble
    assert not Answer().trouble


def test_runs_of_a_lab_are_kept_and_marked() -> None:
    run = replace(latency_run(), lab=USE)
    assert unpack_runs(pack_runs([run, run])) == (run, run)
    assert unpack_runs(b"") == ()
    assert run.complete
    (marked,) = cut([run], "lab1: its worker died")
    assert not marked.complete
    assert "incomplete (lab1: its worker died)" in findings(marked)
    assert cut([latency_run()], "no lab") == (latency_run(),)


def test_a_run_of_a_lab_is_once_in_a_history(history_url: str) -> None:
    run = replace(latency_run(), lab=USE)
    with open_history(history_url) as history:
        assert [history.add(run), history.add(replace(run, threads=1))] == [USE.identity] * 2
        assert history.count() == 1
        assert history.load(USE.identity) == run
        history.add(latency_run())
        history.add(latency_run())
        assert history.count() == 3


def test_runs_from_before_labs_are_read(history_url: str) -> None:
    with open_history(history_url) as history:
        document = history.document(history.add(latency_run()))
    run = {key: value for key, value in document["run"].items() if key != "lab"}
    older = json.loads(json.dumps({**document, "run": {**run, "schema_version": 1}}))
    assert read(older, "row").run == latency_run()


def test_hosts_and_kinds_of_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "devices.toml"
    file.write_text(
        '[devices.a]\nreference = "local"\nhost = "lab1"\nkind = "pixel8"\n'
        '[devices.b]\nreference = "local"\nhost = "lab2"\n[devices.c]\nreference = "local"\n'
    )
    monkeypatch.chdir(tmp_path)
    assert [(item.name, item.kind) for item in devices_of("lab1")] == [("a", "pixel8"), ("c", None)]
    assert [item.name for item in devices_of("lab2", ["b"])] == ["b"]
    with pytest.raises(InputError, match=r"the host lab1 holds no such device\. It holds a, c"):
        devices_of("lab1", ["b"])
    file.write_text('[devices.b]\nreference = "local"\nhost = "lab2"\n')
    with pytest.raises(InputError, match="Give --host, one of lab2"):
        devices_of("lab1")
    # One that only converts; a device that is this machine itself leaves it its cores.
    assert devices_of("lab1", may_lack=True) == []
    assert _cores([]) == usable_cores()
    assert _cores(devices_of("lab2")) == 0
    for wrong in ('host = "a b"', 'kind = ""', "kind = 3", 'kin = "x"'):
        file.write_text(f'[devices.b]\nreference = "local"\n{wrong}\n')
        with pytest.raises(InputError, match=r"devices\.b"):
            read_entries(file)


def test_addresses() -> None:
    assert split_address("tcp://10.0.0.5:8786", "x") == ("tcp", "10.0.0.5", 8786)
    assert split_address("tls://[fe80::1]:1", "x") == ("tls", "fe80::1", 1)
    for wrong in ("", "10.0.0.5:8786", "tcp://a", "tcp://a:99999", "http://a:1", "tcp://a:1/b", "tcp://:1"):
        with pytest.raises(InputError, match="no address of a scheduler"):
            split_address(wrong, "--scheduler")
    assert is_for_lab(["local", "kind:a"], None)
    assert is_for_lab(["a"], "tcp://a:1")
    assert not is_for_lab(["local", "kinda"], None)


def test_without_dask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    assert main(["lab", "status", "--scheduler", "tcp://127.0.0.1:8786"]) == 6
    assert "pip install 'mobiledeploy[lab]'" in capsys.readouterr().err


def test_what_a_lab_does_not_do(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(float_dense(classes=3))
    artifact = read_artifact(path)
    with pytest.raises(InputError, match="named twice"):
        benchmark_in_lab(["kind:a", "kind:a"], Plan((artifact,)))
    with pytest.raises(InputError, match="nothing to measure"):
        benchmark_in_lab(["kind:a"], Plan(()))
    with pytest.raises(InputError, match="not gated in a lab"):
        gate_in_lab("kind:a", artifact, [parse_gate("max-top1-drop", "1")], baseline=artifact)
