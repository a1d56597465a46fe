"""Runs go in and come back, in SQLite and in PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from example_runs import accuracy_run, latency_run

from mobiledeploy.device_tests.history import Filter, History, Row, open_history
from mobiledeploy.device_tests.history.commits import VARIABLES
from mobiledeploy.device_tests.history.tables import StoredRun
from mobiledeploy.device_tests.latency_run import EMULATED_CLOCK
from mobiledeploy.errors import InputError

WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from example_runs import latency_run
from mobiledeploy.device_tests.history import open_history
with open_history(sys.argv[1]) as history:
    for index in range(25):
        history.add(latency_run(samples=5, seed=index), label=sys.argv[3], commit="0123456789")
"""


@pytest.fixture
def history(history_url: str) -> History:
    return open_history(history_url)


def test_a_run_comes_back_equal(history: History) -> None:
    latency, accuracy = latency_run(), accuracy_run()
    first = history.add(latency, label="nightly", commit="0123456789abcdef")
    second = history.add(accuracy)
    assert history.load(first) == latency
    assert history.load(second[:12]) == accuracy
    record = history.record(first)
    assert (record.id, record.kind, record.label, record.commit) == (
        first,
        "latency",
        "nightly",
        "0123456789abcdef",
    )
    assert json.loads(json.dumps(record.to_dict())) == history.document(first)
    assert history.document(first)["run"]["summary"]["median"] == latency.summary.median


def test_columns_are_those_of_the_run(history: History) -> None:
    run = latency_run(started="2026-03-01T14:00:00+02:00")
    identity = history.add(run, label="nightly", commit="0123456789abcdef")
    (row,) = history.find()
    summary = run.summary
    assert row == Row(
        id=identity,
        kind="latency",
        time=datetime(2026, 3, 1, 12, tzinfo=UTC),
        device="adb:0A041FDD4003XK",
        device_name="Google Pixel 6",
        soc="Google Tensor",
        build="google/oriole/oriole:14/AP1A",
        device_kind="android",
        emulated=False,
        clock="monotonic",
        model_name="mobilenet_v2_int8.tflite",
        model_sha256="ab" * 32,
        model_size=3_600_000,
        target="tflite",
        arithmetic="full-integer",
        engine="LiteRT",
        engine_version="2.1.0",
        threads=4,
        affinity="4-7",
        mode="burst",
        complete=True,
        samples=40,
        median_ns=summary.median,
        low_ns=summary.interval.low,
        high_ns=summary.interval.high,
        p90_ns=summary.p90,
        p99_ns=summary.p99,
        init_ns=2_000_000,
        memory_peak=30_000_001,
        images=None,
        top1=None,
        top5=None,
        outcome=None,
        harness="0.1.0",
        git_commit="0123456789abcdef",
        label="nightly",
        metric=None,
        value=None,
    )
    assert row.notes == ()


def test_accuracy_has_columns_too(history: History) -> None:
    before = datetime.now(UTC)
    history.add(accuracy_run())
    (row,) = history.find(Filter(kind="accuracy"))
    assert before <= row.time <= datetime.now(UTC)
    assert (row.images, row.top1, row.device, row.engine) == (10, 0.6, "local", "ONNX Runtime 1.32.0")
    assert row.median_ns is None
    assert (row.metric, row.value) == ("top-1", 0.6)


def test_every_column_but_the_document_is_in_a_row() -> None:
    assert [column.name for column in StoredRun.__table__.columns] == [
        *(item.name for item in fields(Row)),
        "document",
    ]


def test_filters(history: History) -> None:
    day = datetime(2026, 3, 1, 12, tzinfo=UTC)
    runs = [("adb:AAA", "v1.tflite", "a1"), ("ssh:pi@board", "V2_100%.onnx", "b2")]
    runs += [("adb:BBB", "v1.tflite", "c3")]
    for index, (device, model, digest) in enumerate(runs):
        history.add(
            latency_run(
                device=device,
                model=model,
                sha256=digest * 32,
                started=(day + timedelta(days=index)).isoformat(),
                complete=index != 2,
                name=("Pixel 6", "Pi 5", "Pixel 8")[index],
            ),
            label="nightly" if index else None,
        )
    history.add(accuracy_run(), label="nightly")

    def models(**wanted: object) -> list[str]:
        return [row.model_name for row in history.find(Filter(**wanted))]  # type: ignore[arg-type]

    v1, v2, accurate = "v1.tflite", "V2_100%.onnx", "mobilenet_v2.onnx"
    assert models() == [v1, v2, v1, accurate]
    assert models(last=2) == [v1, accurate]
    assert models(device="ADB:") == [v1, v1]
    assert models(device="pixel 8") == models(device="BBB") == [v1]
    assert models(model="v2") == [v2, accurate]
    assert models(model="b2b2B2") == [v2]
    # In LIKE these two stand for anything.
    assert models(model="%") == [v2]
    assert models(model="_100") == [v2]
    assert models(engine="onnx runtime") == [accurate]
    assert models(kind="accuracy") == [accurate]
    assert models(label="nightly") == [v2, v1, accurate]
    assert models(label="night") == []
    assert models(since=day + timedelta(days=1)) == [v2, v1, accurate]
    assert models(since=day, before=day + timedelta(days=2)) == [v1, v2]
    assert models(complete=False) == [v1]
    assert models(complete=True, kind="latency") == [v1, v2]
    assert models(model="\0") == models(model="' OR 1=1 --") == []
    assert history.count() == 4


def test_ids_and_their_beginnings(history: History) -> None:
    identities = [history.add(latency_run(samples=2)) for _ in range(20)]
    assert history.identify([identities[3].upper()[:20], identities[4]]) == identities[3:5]
    with pytest.raises(InputError, match=r"begins 20 ids.*and 15 more"):
        history.load("")
    wrong = identities[7][:8] + ("0" if identities[7][8] != "0" else "1")
    with pytest.raises(InputError, match=f"Did you mean .*{identities[7]}"):
        history.load(wrong)
    with pytest.raises(InputError, match="history list"):
        history.load("zzz%")
    with pytest.raises(InputError):
        history.load("%")


def test_remove_is_all_or_nothing(history: History) -> None:
    identities = [history.add(latency_run(samples=2, seed=seed)) for seed in range(3)]
    with pytest.raises(InputError):
        history.remove([identities[0], "nothing"])
    assert history.count() == 3
    first, second, third = identities
    assert history.remove([first, first[:20], third]) == [first, third]
    assert [row.id for row in history.find()] == [second]


def test_prune(history: History) -> None:
    for day in (1, 2, 3):
        history.add(latency_run(started=f"2026-03-0{day}T12:00:00+00:00", samples=2))
    border = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert history.prune(border, dry_run=True) == 1
    assert history.count() == 3
    assert history.prune(border) == 1
    assert [row.time.day for row in history.find()] == [2, 3]


def test_an_emulated_clock_and_a_cut_run_are_noted(history: History) -> None:
    history.add(latency_run(clock=EMULATED_CLOCK, complete=False))
    (row,) = history.find()
    assert row.emulated
    assert row.notes == (EMULATED_CLOCK, "incomplete")


def test_a_run_without_samples(history: History) -> None:
    run = replace(latency_run(), launches=())
    assert history.load(history.add(run)) == run
    (row,) = history.find()
    assert (row.samples, row.median_ns, row.complete) == (0, None, False)


def test_hostile_text(history: History) -> None:
    ugly = "\x1b[31mred\x00 \u202e[bold]\ud800'; DROP TABLE mobiledeploy_runs; --" + "x" * 1000
    run = replace(latency_run(name=ugly, model=ugly, device=ugly), started="2026-03-01T12:00:00")
    identity = history.add(run, label=ugly, commit="0123456")
    assert history.load(identity) == run
    assert history.record(identity).label == ugly
    (row,) = history.find(Filter(label=ugly))
    for text in (row.model_name, row.device, row.device_name, row.label):
        assert text
        assert text.isprintable()
        assert len(text) < 320


def test_numbers_that_no_column_holds(history: History) -> None:
    run = latency_run()
    run = replace(run, model=replace(run.model, size=2**70))
    assert history.load(history.add(run)) == run
    (row,) = history.find()
    assert row.model_size is None
    with pytest.raises(InputError, match="not a number"):
        history.add(replace(accuracy_run(), seconds=float("nan")))
    with pytest.raises(InputError, match="no time"):
        history.add(replace(run, started="yesterday"))
    assert history.count() == 1


@pytest.mark.slow
def test_a_hundred_thousand_samples(history: History) -> None:
    run = latency_run(launches=4, samples=25_000)
    document = {"run": run.to_dict()}
    began = time.perf_counter()
    from mobiledeploy.device_tests.history.documents import pack

    packed = pack(document)
    assert time.perf_counter() - began < 5
    # 9 bytes a time, and as many or more for its start, if it were plain JSON.
    assert len(packed) < 1_000_000
    identity = history.add(run)
    began = time.perf_counter()
    assert history.load(identity) == run
    assert time.perf_counter() - began < 5


@pytest.mark.slow
def test_four_processes_that_write_at_once_lose_nothing(history_url: str) -> None:
    # They find no history: they make it at once, too.
    program = [sys.executable, "-c", WRITER, history_url, str(Path(__file__).parent)]
    writers = [
        subprocess.Popen([*program, f"writer {number}"], stderr=subprocess.PIPE) for number in range(4)
    ]
    for writer in writers:
        _, complaint = writer.communicate(timeout=300)
        assert writer.returncode == 0, complaint.decode()
    with open_history(history_url) as history:
        rows = history.find()
        assert len({row.id for row in rows}) == 100
        for number in range(4):
            assert len(history.find(Filter(label=f"writer {number}"))) == 25
        assert history.load(rows[-1].id) in [latency_run(samples=5, seed=seed) for seed in range(25)]


def test_the_commit_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    history = open_history(tmp_path / "history.db")
    run = latency_run(samples=2)

    def stored() -> str | None:
        return history.record(history.add(run)).commit

    assert stored() is None
    subprocess.run(["git", "init", "-q"], check=True)
    assert stored() is None
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
    subprocess.run(
        ["git", "commit", "-q", "--allow-empty", "-m", "x"],
        check=True,
        env={**os.environ, **who, "GIT_COMMITTER_EMAIL": "a@b"},
    )
    assert re.fullmatch(r"[0-9a-f]{40}", stored() or "")
    monkeypatch.setenv("GITHUB_SHA", "not a commit")
    monkeypatch.setenv("CI_COMMIT_SHA", "ABCDEF0123")
    assert stored() == "abcdef0123"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI_COMMIT_SHA")
    assert stored() is None
