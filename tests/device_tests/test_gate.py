"""Gates from limits to exit codes, with a runner whose samples are made up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_gate import BASE, Script, run
from tflite_builder import float_dense

from mobiledeploy.deploy.cli import main
from mobiledeploy.device_tests.errors import DeviceLost
from mobiledeploy.device_tests.gate import (
    Setting,
    gate,
    gates_from_table,
    measuring,
    parse_gate,
    parse_seconds,
)
from mobiledeploy.device_tests.gate.beside import Beside, around, read_beside, slowed, unlike
from mobiledeploy.device_tests.gate.limits import KINDS, show
from mobiledeploy.device_tests.gate.order import candidate_first
from mobiledeploy.device_tests.gate.trial import check_comparable
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import read_artifact


@pytest.mark.parametrize(
    ("name", "text", "limit"),
    [
        ("max-median", "15ms", 15e6),
        ("max-p90", " 2.5 s ", 2.5e9),
        ("max-init", "200us", 2e5),
        ("max-regression", "3%", 0.03),
        ("max-size", "5MB", 5e6),
        ("max-memory", "1.5MiB", 1.5 * 2**20),
        ("min-delegated", "95%", 0.95),
        ("max-top1-drop", "0.5", 0.5),
        ("max-top1-drop", "1 points", 1.0),
        ("full-integer", "true", 1.0),
    ],
)
def test_limits(name: str, text: str, limit: float) -> None:
    found = parse_gate(name, text)
    assert (found.kind.name, found.limit) == (name, pytest.approx(limit))
    assert found.shown


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("max-median", "15", "'15' has no unit. Write it like 15ms"),
        ("max-median", "15MS", "Did you mean 15ms?"),
        ("max-median", "15mss", "Did you mean 15ms?"),
        ("max-regression", "-3%", "-3% is below 0"),
        ("max-regression", "0.03", "has no unit"),
        ("max-regression", "3ms", "unknown unit"),
        ("max-size", "5mb", "Did you mean 5MB?"),
        ("max-size", "five", "no number"),
        ("max-size", "", "no number"),
        ("max-size", "nan MB", "no number"),
        ("max-size", "1e400MB", "too large"),
        ("min-delegated", "101%", "more than all"),
        ("max-top1-drop", "-1", "below 0"),
        ("full-integer", "yes", "not true"),
        ("max-medium", "15ms", "Did you mean max-median?"),
        ("x\x1b[31m", "15ms", "Gates are max-regression"),
    ],
)
def test_limits_that_are_none(name: str, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_gate(name, text)
    assert message in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_times_and_tables() -> None:
    assert parse_seconds("120s", "x") == 120
    assert parse_seconds("2min", "x") == 120
    for wrong in ("0s", "-1s", "120", "s"):
        with pytest.raises(InputError):
            parse_seconds(wrong, "x")
    table = {"max-median": "15ms", "max-top1-drop": 0.5, "full-integer": False}
    assert [item.limit for item in gates_from_table(table, "deploy.toml")] == [15e6, 0.5]
    for wrong_table, message in (
        ({"max_median": "15ms"}, "Did you mean max-median?"),
        ({"max-median": 15}, "no unit"),
        ({"max-median": ["15ms"]}, "no text"),
        ({"max-median": True}, "no number"),
    ):
        with pytest.raises(InputError, match=message.replace("?", r"\?")):
            gates_from_table(wrong_table, "deploy.toml")
    assert show(float("inf"), "time") == "unknown"


SEEN = """begin
governors performance performance
limits 1000000 1000000
heat 41000 39000
cores 2
ticks 100 0 100 1000 0 0 0 0 0 0
governors performance performance
limits 1000000 {limit}
heat 42500 7
cores 2
ticks {busy} 0 100 1090 0 0 0 0 0 0
0m0.010s 0m0.000s
0m0.900s 0m0.100s
end
"""


def test_what_is_beside_a_launch() -> None:
    seen = read_beside(SEEN.format(limit=800_000, busy=210))
    assert seen.governors == ("performance",)
    assert seen.limits_khz == (1_000_000, 800_000)
    assert seen.celsius == 42.5
    # 110 of 200 ticks of two cores were busy, 100 of them its own.
    assert seen.other_work == pytest.approx(0.1)
    assert slowed([read_beside(SEEN.format(limit=1_000_000, busy=210)), seen]) == (
        "core 1 was limited to 800 of 1000 MHz"
    )
    damaged = "begin\ngovernors\nlimits\nheat x\n" * 2
    for text in ("", "begin\n", "begin\nticks\nend", SEEN[: len(SEEN) // 2], damaged):
        assert read_beside(text).other_work is None
    assert around("/f", ["a", "b c"])[-2:] == ("a", "b c")


def test_arms_that_are_unlike() -> None:
    plain = [Beside(("schedutil",), (1,), 40.0, 0.1)] * 10
    assert unlike(plain, plain) == ()
    assert unlike([Beside()] * 9, [Beside()] * 9) == ()
    governed = [replace(plain[0], governors=("performance",))]
    assert "governor performance against schedutil" in unlike(governed, plain)[0]
    assert "temperature 45.0 C against 40.0 C" in unlike([replace(plain[0], celsius=45.0)] * 3, plain)[0]
    assert "0.50 cores more" in unlike([replace(plain[0], other_work=0.6)] * 10, plain)[0]
    # A few launches beside a neighbour are chance.
    assert unlike([replace(plain[0], other_work=0.9)] * 3 + plain[3:], plain) == ()


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    return data


def test_pass(script: Script, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    script()
    limits = ("--max-regression", "3%", "--max-median", "3ms", "--max-p90", "3ms", "--max-init", "1ms")
    more = ("--max-memory", "6MB", "--max-size", "5kB", "--min-delegated", "75%")
    assert main(run(files, *limits, *more, "--json")) == 0
    data = answer(capsys)
    assert data["outcome"] == "pass"
    names = [item["name"] for item in data["gates"]]
    assert names == [name[2:] for name in (*limits[::2], *more[::2])]
    assert {item["outcome"] for item in data["gates"]} == {"pass"}
    regression = data["gates"][0]
    assert abs(regression["value"]) < 0.01
    assert regression["verdict"]["count"] == regression["count"] == 8
    assert len(data["sessions"]) == 1
    assert len(data["sessions"][0]["log_ratios"]) == 8
    # Both runs, and the report itself.
    assert len(data["history"]["ids"]) == 3
    assert main(run(files, *limits)) == 0
    text = capsys.readouterr().out
    assert "PASS" in text
    assert "all of it is within 3%" in " ".join(text.split())


def test_a_red_is_confirmed_by_a_fresh_session(
    programs: Script, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    state = programs(0.06)
    assert main(run(files, "--max-regression", "3%", "--json")) == 9
    data = answer(capsys)
    assert data["outcome"] == "fail"
    (regression,) = data["gates"]
    assert regression["value"] == pytest.approx(0.06, abs=0.01)
    assert regression["low"] > 0.03
    assert regression["confirmation"]["word"] == regression["verdict"]["word"] == "regressed"
    assert len(data["sessions"]) == 2
    calls = state.with_suffix(".calls").read_text().splitlines()
    assert len(calls) == 32
    models = [words.split()[words.split().index("--model") + 1] for words in calls[:8]]
    assert [model == models[0] for model in models] == [True, False, False, True, False, True, True, False]


def test_a_red_that_is_not_confirmed(
    script: Script, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    script(0.06, until=16)
    assert main(run(files, "--max-regression", "3%", "--json")) == 10
    data = answer(capsys)
    assert data["gates"][0]["verdict"]["word"] == "regressed"
    assert data["gates"][0]["confirmation"]["word"] == "pass"
    assert "not confirmed" in data["gates"][0]["reason"]


def test_inconclusive(script: Script, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    script(0.03, sd=0.02)
    assert main(run(files, "--max-regression", "3%", "--time-limit", "3s", "--json")) == 10
    data = answer(capsys)
    assert data["outcome"] == "inconclusive"
    assert main(run(files, "--max-regression", "3%", "--time-limit", "20ms")) == 10
    assert "too few for a verdict" in " ".join(capsys.readouterr().out.split())


def test_drift_is_not_red(script: Script, files: tuple[Path, Path]) -> None:
    script(drift=0.01)
    assert main(run(files, "--max-regression", "3%")) == 0


def test_limits_of_the_candidate_alone(
    script: Script, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    script()
    command = ["gate", "--candidate", str(files[0]), "--device", "local", "--time-limit", "600s", "--json"]
    assert main([*command, "--max-median", "1.9ms", "--max-p90", "3ms"]) == 9
    gates = {item["name"]: item for item in answer(capsys)["gates"]}
    assert (gates["max-median"]["outcome"], gates["max-p90"]["outcome"]) == ("fail", "pass")
    assert gates["max-median"]["value"] == pytest.approx(BASE, rel=0.01)
    assert main([*command, "--max-size", "100B", "--full-integer"]) == 9
    data = answer(capsys)
    assert [item["outcome"] for item in data["gates"]] == ["fail", "fail"]
    assert data["sessions"] == []
    assert main([*command, "--min-delegated", "80%"]) == 9
    assert answer(capsys)["sessions"][0]["pairs"] == 1


def test_a_runner_that_fails_is_trouble(
    programs: Script, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for at, word in (("0", "killed"), ("3", "idle"), ("5", "garbage"), ("2", "silent")):
        programs(0.5, words={at: word})
        assert main(run(files, "--max-regression", "3%", "--json")) == 8
        data = answer(capsys)
        assert [item["outcome"] for item in data["gates"]] == ["trouble"]
        assert data["trouble"]


def test_trouble_never_looks_like_a_regression(
    script: Script,
    files: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = ("--max-regression", "3%", "--json")
    seen: list[int] = []

    def arm(text: str) -> bool:
        """Whether this is the candidate's launch."""
        seen.append(0)
        return candidate_first((len(seen) - 1) // 2) == (len(seen) % 2 == 1)

    for beside, what in (
        (lambda text: Beside(limits_khz=(1000 if arm(text) else 1000 - 10 * len(seen),)), "throttled"),
        (lambda text: Beside(("performance" if arm(text) else "schedutil",)), "governor"),
        (lambda text: Beside(celsius=50.0 if arm(text) else 40.0), "temperature"),
        (lambda text: Beside(other_work=0.9 if arm(text) else 0.0), "other work"),
    ):
        seen.clear()
        monkeypatch.setattr(measuring, "read_beside", beside)
        script(0.5)
        assert main(run(files, *limit)) == 8
        data = answer(capsys)
        assert data["outcome"] == "trouble"
        assert what in data["gates"][0]["reason"]
        assert data["gates"][0]["confirmation"] is None


def test_another_process_is_told_where_nothing_can_be_decided(
    script: Script,
    files: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "read_beside", lambda text: Beside(other_work=0.8))
    script(0.03, sd=0.05)
    assert main(run(files, "--max-regression", "3%", "--time-limit", "3s")) == 8
    assert "other processes took 0.80 cores" in " ".join(capsys.readouterr().out.split())
    # Where it can, the intervals have seen to it.
    script()
    assert main(run(files, "--max-regression", "3%")) == 0


def test_a_lost_device_makes_the_pair_again(
    script: Script, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    script()
    lost = [3, 6]
    calls: list[int] = []
    really = measuring.launch

    def losing(*arguments: Any, **options: Any) -> Any:
        calls.append(0)
        if len(calls) in lost:
            raise DeviceLost("gone", where="local")
        return really(*arguments, **options)

    monkeypatch.setattr(measuring, "launch", losing)
    artifacts = [read_artifact(path) for path in files]
    limits = [parse_gate("max-regression", "3%")]
    report = gate("local", artifacts[0], limits, baseline=artifacts[1])
    assert report.outcome == "pass"
    assert report.sessions[0].pairs == 8
    orders = sorted(launch.order for run in report.runs for launch in run.launches)
    assert orders == list(range(16))
    lost[:] = range(100)
    report = gate("local", artifacts[0], limits, baseline=artifacts[1])
    assert report.outcome == "trouble"
    assert "gone" in report.trouble[0]
    json.loads(report.to_json())


def test_calibration_and_its_tolerance(
    script: Script, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    script(sd=0.01)
    assert main(run(files)) == 3
    assert "gate calibrate" in capsys.readouterr().err
    command = ["gate", "calibrate", "--device", "local", "--file", str(files[1]), "--json"]
    assert main([*command, "--time-limit", "1ms"]) == 8
    capsys.readouterr()
    assert main([*command, "--time-limit", "20s"]) == 0
    found = answer(capsys)
    assert 0.001 <= found["tolerance"] < 0.05
    assert found["detectable"] == pytest.approx((1 + found["tolerance"]) ** 2 - 1)
    assert found["history"]["ids"] == [found["run"]]
    script(sd=0.001)
    assert main(run(files, "--json")) == 0
    (regression,) = answer(capsys)["gates"]
    assert regression["limit"] == pytest.approx(found["tolerance"], rel=0.9)
    assert regression["limit_source"] == f"calibration {found['run'][:8]}"
    # Of other threads it says nothing.
    assert main(run(files, "--threads", "2")) == 3


def test_a_stored_baseline(
    script: Script, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    bench = ["benchmark", str(files[1]), "--device", "local", "--launches", "2", "--json"]
    ids = []
    for seed in range(4):
        script(seed=seed)
        assert main(bench) == 0
        ids += answer(capsys)["history"]["ids"]
    command = ["gate", "--candidate", str(files[0]), "--device", "local", "--max-regression", "3%", "--json"]
    stored = [*command, "--baseline", f"history:{ids[0]}"]
    script(seed=9)
    assert main(stored) == 0
    data = answer(capsys)
    assert data["baseline_run"] == ids[0]
    assert any("not interleaved" in note and "4 stored sessions" in note for note in data["notes"])
    script(0.2, seed=9)
    assert main(stored) == 9
    capsys.readouterr()
    # Other conditions, no such run, too few sessions.
    assert main([*stored, "--threads", "2"]) == 3
    assert "threads: 2 against 1" in answer(capsys)["error"]["message"]
    assert main([*command, "--baseline", "history:zz"]) == 3
    capsys.readouterr()
    assert main(["history", "remove", *ids[1:3]]) == 0
    capsys.readouterr()
    script(0.2, seed=9)
    assert main(stored) == 10
    assert "at least" in answer(capsys)["gates"][0]["reason"]


def test_gates_of_a_file(
    script: Script, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    script()
    table = Path("deploy.toml")
    table.write_text('[gates]\nmax-size = "100B"\nmax-regression = "3%"\n[model]\nname = "x"\n')
    assert main(run(files, "--json")) == 9
    data = answer(capsys)
    assert [(item["name"], item["outcome"]) for item in data["gates"]] == [
        ("max-size", "fail"),
        ("max-regression", "pass"),
    ]
    assert "deploy.toml: gates.max-size" in data["gates"][0]["limit_source"]
    assert main(run(files, "--max-size", "5kB")) == 0
    for text, message in (
        ('[gates]\nmax-sise = "1MB"\n', "Did you mean max-size?"),
        ("gates = 3\n", "should be a table"),
        ("[other]\nx = 1\n", "line 1: unknown key 'other'"),
        ("[gates\n", "no TOML"),
    ):
        capsys.readouterr()
        table.write_text(text)
        assert main(run(files)) == 3
        assert message in capsys.readouterr().err
    assert main(run(files, "--config", "absent.toml")) == 3


def test_what_cannot_be_gated(
    script: Script, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script()
    other = tmp_path / "other.tflite"
    other.write_bytes(float_dense(classes=5))
    with pytest.raises(InputError, match="outputs differ, 1x3 against 1x5"):
        check_comparable(read_artifact(files[0]), read_artifact(other))
    assert main(run((files[0], other), "--max-regression", "3%")) == 3
    assert main(run(files, "--max-regression", "3")) == 3
    assert main(run(files, "--max-regression", "-3%")) == 3
    assert main(run(files, "--max-top1-drop", "0.5")) == 3
    assert "--images" in capsys.readouterr().err
    alone = ["gate", "--candidate", str(files[0]), "--device", "local"]
    assert main([*alone, "--max-regression", "3%"]) == 3
    assert main(alone) == 3
    assert main(["gate", "--device", "local", "--max-size", "1MB"]) == 2
    assert main(["gate", "--candidate", str(files[0]), "--max-size", "1MB"]) == 2
    assert main([*alone, "--max-median", "1ms", "--time-limit", "5"]) == 3
    assert main([*alone, "--max-median", "1ms", "--affinity", "3-1"]) == 3
    assert main(["gate", "--candidate", "absent.tflite", "--device", "local", "--max-size", "1MB"]) == 3
    assert main(["gate", "--help"]) == 0
    assert "calibrate" in capsys.readouterr().out
    limits = [parse_gate("max-size", "1MB")] * 2
    with pytest.raises(InputError, match="given twice"):
        gate("local", read_artifact(files[0]), limits)


def test_every_kind_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "--help"]) == 0
    text = capsys.readouterr().out
    for kind in KINDS:
        assert f"--{kind.name}" in text


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(600)
def test_a_real_file_is_not_slower_than_itself(v1_files: dict[str, Path]) -> None:
    artifact = read_artifact(v1_files["tflite"])
    limits = [parse_gate("max-regression", "3%"), parse_gate("full-integer", "true")]
    for _ in range(3):
        report = gate("local", artifact, limits, baseline=artifact, setting=Setting(time_limit=20))
        assert report.outcome != "fail"
        assert report.gates[1].outcome == "pass"
        assert report.sessions[0].pairs >= 8
        assert report.sessions[0].other_work is not None
