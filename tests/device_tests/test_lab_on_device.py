"""A lab whose devices are two virtual machines over ssh: one is lost in mid-run."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab.machine import Machine
from lab_hosts import Hosts
from tflite_builder import float_dense

from mobiledeploy.device_tests.lab.runs import benchmark_in_lab
from mobiledeploy.device_tests.plan import Plan
from mobiledeploy.runtimes.formats import read_artifact
from mobiledeploy.runtimes.runner.request import Timing

pytestmark = [pytest.mark.device, pytest.mark.slow, pytest.mark.timeout(1200)]


def entry(name: str, machine: Machine) -> str:
    return (
        f'[devices.{name}]\nreference = "ssh:lab"\nssh_config = "{machine.ssh_config}"\n'
        'kind = "board"\nhost = "lab1"\n'
    )


def test_a_device_that_is_lost_in_mid_run(machine: Machine, fragile: Machine, tmp_path: Path) -> None:
    fragile.restore()
    path = tmp_path / "net.tflite"
    path.write_bytes(float_dense(classes=10))
    plan = Plan(
        (read_artifact(path),), launches=4, timing=Timing(min_runs=5, min_seconds=1.0), runner="native"
    )
    hosts = Hosts(tmp_path)

    def announce(text: str) -> None:
        if "launch 3 of 4" in text and "board-a" in text:
            fragile.kill()

    try:
        hosts.start_scheduler("--listen", "tcp://127.0.0.1:0")
        hosts.start_host("lab1", entry("board-a", fragile) + entry("board-b", machine))
        (measured,) = benchmark_in_lab(["kind:board"], plan, scheduler=hosts.address, announce=announce)
    finally:
        hosts.end()
        fragile.restore()
    assert measured.error is None
    first, second = measured.runs
    assert first.lab
    assert second.lab
    assert (first.device, first.complete, first.after) == ("board-a", False, None)
    assert "lab1: ssh:lab" in first.lab.cut
    assert 2 <= len(first.launches) < 4
    assert (second.device, second.complete, second.lab.attempt) == ("board-b", True, 2)
    assert second.lab.earlier == (first.lab.cut,)
    assert len(second.launches) == 4
    assert second.facts.abis == first.facts.abis
