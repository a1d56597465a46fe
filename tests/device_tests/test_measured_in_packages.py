"""What a package says about accuracy and latency is what the history holds of that very file."""

from __future__ import annotations

from pathlib import Path

import pytest
from example_runs import accuracy_run, latency_run

from mobiledeploy.deploy.packages.measured import find_measured
from mobiledeploy.device_tests.history import open_history
from mobiledeploy.device_tests.latency_run import EMULATED_CLOCK
from mobiledeploy.errors import InputError

SHA256 = "12" * 32


def test_the_latest_complete_run_of_each_setting(tmp_path: Path) -> None:
    place = tmp_path / "history.db"
    with open_history(place) as history:
        history.add(latency_run(sha256=SHA256, milliseconds=20, started="2026-03-01T12:00:00+00:00"))
        latest = history.add(latency_run(sha256=SHA256, milliseconds=10, started="2026-03-02T12:00:00+00:00"))
        history.add(
            latency_run(sha256=SHA256, milliseconds=5, started="2026-03-03T12:00:00+00:00", complete=False)
        )
        single = history.add(latency_run(sha256=SHA256, threads=1, clock=EMULATED_CLOCK))
        history.add(latency_run(sha256="34" * 32, milliseconds=1))
        accurate = history.add(accuracy_run(images=9))
    found = find_measured(SHA256, str(place))
    assert {item["run"] for item in found["latency"]} == {latest, single}
    assert {item["threads"]: item["notes"] for item in found["latency"]} == {4: [], 1: [EMULATED_CLOCK]}
    (four,) = [item for item in found["latency"] if item["threads"] == 4]
    assert four["median_ns"] == pytest.approx(10e6, rel=0.02)
    assert (four["device"], four["soc"]) == ("Google Pixel 6", "Google Tensor")
    (accuracy,) = found["accuracy"]
    assert (accuracy["run"], accuracy["images"]) == (accurate, 9)


def test_no_history_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MOBILEDEPLOY_HISTORY", raising=False)
    assert find_measured(SHA256, None) == {"accuracy": [], "latency": []}
    assert not (tmp_path / "state").exists()


def test_a_history_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such history"):
        find_measured(SHA256, str(tmp_path / "none.db"))
