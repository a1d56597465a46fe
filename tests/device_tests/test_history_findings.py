"""Gates and diagnoses in the history, and a history that knew of none."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from example_history import diagnosis_file, evaluation, gate_file
from example_reports import ALL, EVERY, FAIL, report
from example_runs import latency_run
from scripted_gate import Script
from scripted_gate import run as gate_command

from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.report.build import build
from mobiledeploy.deploy.report.collect import collect
from mobiledeploy.deploy.report.given import Given, read_given
from mobiledeploy.device_tests.gate import GateReport
from mobiledeploy.device_tests.history import Filter, open_history
from mobiledeploy.device_tests.history.columns import to_row
from mobiledeploy.device_tests.history.documents import pack
from mobiledeploy.device_tests.history.engine import make_engine, writing
from mobiledeploy.device_tests.history.findings import Finding, diagnosis_finding, gate_finding
from mobiledeploy.device_tests.history.places import VARIABLE, find_place
from mobiledeploy.device_tests.history.schema import VERSIONS, migrations
from mobiledeploy.device_tests.history.store import _record
from mobiledeploy.errors import InputError

VERSION = "SELECT version_num FROM mobiledeploy_history_version"


def diagnosis(tmp_path: Path) -> Finding:
    return diagnosis_finding(json.loads(diagnosis_file(tmp_path / "d.json").read_text()), "ef" * 32)


@pytest.mark.parametrize("kept", EVERY.values(), ids=list(EVERY))
def test_a_report_comes_back_as_it_was(kept: GateReport, history_url: str) -> None:
    found = gate_finding(kept)
    with open_history(history_url) as history:
        identity = history.add(found, label="nightly")
        assert history.load(identity) == found
        (row,) = history.find(Filter(kind="gate", label="nightly"))
    assert (row.id, row.kind, row.outcome) == (identity, "gate", kept.outcome)
    assert row.median_ns is row.top1 is row.threads is None


def test_a_diagnosis_comes_back_as_it_was(tmp_path: Path, history_url: str) -> None:
    with open_history(history_url) as history:
        identity = history.add(diagnosis(tmp_path))
        assert history.load(identity) == diagnosis(tmp_path)
        (row,) = history.find(Filter(model="efef"))
        assert (row.kind, row.outcome, row.device) == ("diagnosis", "24.5 dB", None)


def test_a_history_of_version_1_keeps_its_runs(history_url: str) -> None:
    """As the version that wrote it left it: made by its script, rows without what came later."""
    place = find_place(history_url)
    engine = make_engine(place)
    config = Config()
    config.set_main_option("script_location", str(migrations()))
    runs = (latency_run(samples=5), evaluation("net.tflite", "ab" * 32, 7, 9))
    from sqlalchemy import insert

    from mobiledeploy.device_tests.history.tables import StoredRun

    with writing(engine, place) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for run in runs:
            record = _record(run, "nightly", "c0ffee")
            values = {**asdict(to_row(record, record.to_dict())), "document": pack(record.to_dict())}
            for later in ("outcome", "metric", "value"):
                del values[later]
            connection.execute(insert(StoredRun).values(values))
    with writing(engine, place) as connection:
        assert connection.exec_driver_sql(VERSION).scalar() == "0001"
    with open_history(history_url) as history:
        rows = history.find(Filter(label="nightly"))
        assert {row.kind: history.load(row.id) for row in rows} == {"latency": runs[0], "accuracy": runs[1]}
        assert {row.outcome for row in rows} == {None}
        assert {(row.metric, row.value) for row in rows} == {(None, None), ("top-1", runs[1].top1.share)}
        history.add(gate_finding(ALL))
        assert history.count() == 3
    with writing(engine, place) as connection:
        assert connection.exec_driver_sql(VERSION).scalar() == VERSIONS[-1]


def test_the_command_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "history.db"))
    with open_history() as history:
        ids = [history.add(item) for item in (latency_run(samples=3), gate_finding(ALL), diagnosis(tmp_path))]

    def ask(*words: str) -> str:
        assert main(["history", *words]) == 0
        return capsys.readouterr().out

    listed = ask("list")
    assert "fail" in listed
    assert "24.5 dB" in listed
    assert "3 of 3" in listed
    assert [row["id"] for row in json.loads(ask("list", "--kind", "gate", "--json"))["runs"]] == [ids[1]]
    shown = ask("show", ids[1])
    assert "max-median" in shown
    assert "beyond 15 ms twice" in shown
    assert "old.tflite" in shown
    assert "features.1" in ask("show", ids[2])
    assert json.loads(ask("show", ids[1], "--json"))["run"]["data"]["outcome"] == "fail"
    rows = list(csv.DictReader(io.StringIO(ask("export"))))
    assert [(row["kind"], row["outcome"]) for row in rows][1:] == [("gate", "fail"), ("diagnosis", "24.5 dB")]
    assert len(ask("export", "--format", "jsonl", "--kind", "diagnosis").splitlines()) == 1
    ask("remove", ids[1])
    # The run is older than what was found out today.
    assert json.loads(ask("prune", "--before", "2026-04-01", "--json"))["count"] == 1
    assert [row["id"] for row in json.loads(ask("list", "--json"))["runs"]] == [ids[2]]


def test_a_report_takes_them_from_the_history(tmp_path: Path) -> None:
    # Of an earlier file of that name: what was decided of its limits alone is still the latest.
    older = report(replace(FAIL, outcome="pass"), replace(FAIL, name="max-init", outcome="trouble"))
    older = replace(older, candidate=replace(older.candidate, sha256="d" * 64))
    with open_history(tmp_path / "history.db") as history:
        history.add(latency_run(samples=3))
        first = history.add(gate_finding(older))
        latest = history.add(gate_finding(ALL))
        history.add(diagnosis(tmp_path))
        collected = collect(history, Filter())
        made = build(collected, Given(), "x")
        gates = [item for item in made.verdicts if item.subject.startswith("new.tflite")]
        # The latest of a file on a device; its evidence is the stored report.
        expected = [*((gate.outcome, latest) for gate in ALL.gates), ("trouble", first)]
        assert sorted((item.word, item.run) for item in gates) == sorted(expected)
        assert latest in {item.run for item in made.provenance}
        layers = next(section for section in made.sections if section.name == "layers")
        assert len(layers.tables[0].rows) == 3
        # The same ones as files are told once.
        files = ([diagnosis_file(tmp_path / "d.json")], [gate_file(tmp_path / "g.json")])
        again = build(collected, read_given((), *files), "x")
        assert again.verdicts == made.verdicts
        assert len(next(item for item in again.sections if item.name == "layers").tables) == 1
        only = build(collect(history, Filter(kind="diagnosis")), Given(), "x")
        assert ("diagnosis among them", "1") in only.facts
        damaged = history.add(Finding("gate", "x", "", None, "pass", {"gates": 3}))
        with pytest.raises(InputError, match=rf"run {damaged}: this is no gate"):
            collect(history, Filter())


def test_a_run_that_is_named_is_shown_however_old(tmp_path: Path) -> None:
    with open_history(tmp_path / "history.db") as history:
        old = history.add(latency_run(started="2020-01-01T00:00:00+00:00", samples=3))
        history.add(latency_run(samples=3))
        assert [run.row.id for run in collect(history, Filter(last=1), [old[:8]]).runs] == [old]
        with pytest.raises(InputError, match=f"{old}: the other filters leave this run out"):
            collect(history, Filter(kind="accuracy"), [old])


def test_gates_store_their_report(
    script: Script, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    script()
    assert main(gate_command(files, "--max-regression", "5%", "--label", "ci", "--json")) == 0
    ids = json.loads(capsys.readouterr().out)["history"]["ids"]
    with open_history() as history:
        (row,) = history.find(Filter(kind="gate", label="ci"))
        assert row.id == ids[-1]
        assert {item.id for item in history.find(Filter(kind="latency"))} == set(ids[:-1])
    assert main(gate_command(files, "--max-regression", "5%", "--no-store", "--json")) == 0
    with open_history() as history:
        assert len(history.find(Filter(kind="gate"))) == 1


def test_hostile_names_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_history(tmp_path / "history.db") as history:
        identity = history.add(gate_finding(EVERY["odd"]))
    assert main(["history", "show", identity, "--history", str(tmp_path / "history.db")]) == 0
    assert "\x1b" not in capsys.readouterr().out
