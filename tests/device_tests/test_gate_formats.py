"""Reports for CI: what reads them reads them, whatever names they hold."""

from __future__ import annotations

import json
import pkgutil
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from example_reports import ALL, EMPTY, EVERY, HOSTILE, ODD, PASS, report, result
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from scripted_gate import Script, run

from mobiledeploy.deploy.cli import main
from mobiledeploy.device_tests.gate import GateReport, formats
from mobiledeploy.device_tests.gate.formats import FORMATS
from mobiledeploy.device_tests.gate.formats.github import append_summary
from mobiledeploy.device_tests.gate.formats.plot import bar, spark
from mobiledeploy.errors import OutputError

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
every = pytest.mark.parametrize("shown", EVERY.values(), ids=EVERY)


def test_every_format_is_picked_up() -> None:
    modules = [
        __import__(f"{formats.__name__}.{item.name}", fromlist=["render"])
        for item in pkgutil.iter_modules(formats.__path__)
    ]
    renders = {module.render for module in modules if hasattr(module, "render")}
    assert set(FORMATS.values()) == renders


@every
def test_no_format_lets_names_out(shown: GateReport) -> None:
    for kind, render in FORMATS.items():
        text = render(shown)
        assert render(shown) == text
        text.encode()
        assert "\x1b" not in text or kind == "github"
        assert text.endswith("\n") or text == ""


@every
def test_junit(shown: GateReport) -> None:
    text = FORMATS["junit"](shown)
    SCHEMA.validate(text)
    suite = ET.fromstring(text.encode())[0]
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [item.name for item in shown.gates]
    elements = {"pass": "system-out", "fail": "failure", "inconclusive": "skipped", "trouble": "error"}
    for case, item in zip(cases, shown.gates, strict=True):
        assert [child.tag for child in case] == [elements[item.outcome]]
        assert case[0].get("type") in (None, item.outcome)
    for total, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.get(total, "")) == len(suite.findall(f"testcase/{tag}"))
    assert suite.get("tests") == str(len(cases))


@every
def test_openmetrics(shown: GateReport) -> None:
    text = FORMATS["openmetrics"](shown)
    samples = [item for family in text_string_to_metric_families(text) for item in family.samples]
    values = {(item.labels["gate"], item.labels["figure"]): item.value for item in samples}
    assert len(values) == len(samples)
    scales = {"time": 1e9}
    for item in shown.gates:
        assert values[item.name, "limit"] == pytest.approx(item.limit / scales.get(item.unit, 1))
        if item.value is not None:
            assert values[item.name, "value"] == pytest.approx(item.value / scales.get(item.unit, 1))
    # As GitLab takes a line apart: what follows a # is a comment, the rest words of a shell.
    for line in (re.sub("#.*", "", line) for line in text.splitlines()):
        assert len(shlex.split(line)) in (0, 2)


def test_metrics_of_everything() -> None:
    text = FORMATS["openmetrics"](ALL)
    labels = 'gate="max-median",figure="high",candidate="new.tflite",device="pixel"'
    assert f"mobiledeploy_gate_seconds{{{labels}}} 0.0224" in text.splitlines()
    assert text.endswith("# EOF\n")


def test_github_annotations() -> None:
    lines = FORMATS["github"](ALL).splitlines()
    assert [line.split("::")[1].split()[0] for line in lines] == ["error", "warning", "error"]
    assert lines[0] == (
        "::error title=max-median failed::new.tflite against old.tflite on pixel: beyond 15 ms twice"
    )
    assert "title=max-memory the device could not tell" in lines[2]
    assert FORMATS["github"](report(PASS)) == ""
    # One line: nothing in it begins a command of its own, and it means the text that went in.
    (odd,) = FORMATS["github"](ODD).splitlines()
    message = odd.split("::", 2)[2]
    meant = message.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
    assert meant.endswith(HOSTILE.encode("utf-8", "backslashreplace").decode())


def test_github_properties_are_escaped() -> None:
    (line,) = FORMATS["github"](report(result("a:b,c%", "fail"))).splitlines()
    assert line.startswith("::error title=a%3Ab%2Cc%25 failed::")


def test_summary_is_appended(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    append_summary(ALL, {"GITHUB_STEP_SUMMARY": str(file)})
    assert file.read_text() == "before\n" + FORMATS["markdown"](ALL)
    append_summary(ALL, {})
    with pytest.raises(OutputError, match="GITHUB_STEP_SUMMARY"):
        append_summary(ALL, {"GITHUB_STEP_SUMMARY": str(tmp_path)})


@every
def test_markdown(shown: GateReport) -> None:
    text = FORMATS["markdown"](shown)
    assert f"Gate: {shown.outcome}" in text.splitlines()[0]
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(shown.gates)
    # No name adds a cell or a tag.
    assert {row.count("|") for row in rows} == {6}
    assert "<" not in text
    assert text.count("`") in (0, 6)
    assert max(map(len, re.findall("```text\n(.*?)```", text, re.DOTALL)), default=0) < 1000


def test_a_device_in_trouble_says_so_everywhere() -> None:
    for render in FORMATS.values():
        assert "fail" not in re.sub('failures="0"', "", render(EMPTY))
    assert "the device was lost" in FORMATS["markdown"](EMPTY)
    assert "the device was lost" in FORMATS["junit"](EMPTY)


def test_plots() -> None:
    assert bar(PASS) == "···──────────●───────────···········┃···"
    assert bar(result(low=None, high=None)).count("─") + 2 == len(bar(PASS)) == 40
    assert set(bar(result(value=0.0, low=0.0, high=0.0, limit=0.0))) == {"·", "┃"}
    assert spark([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"
    assert spark([1.0]) == "▁"
    assert len(spark(list(range(308)))) == 40
    assert spark(list(range(308))) == "".join(sorted(spark(list(range(308)))))


def test_command_writes_reports(
    script: Script,
    files: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script(0.06)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    wanted = [word for kind in FORMATS for word in ("--report", f"{kind}=out/{kind}.txt")]
    assert main(run(files, "--max-regression", "3%", "--max-size", "5kB", *wanted, "--json")) == 9
    said = capsys.readouterr()
    data = json.loads(said.out)
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(f"{kind}.txt" for kind in FORMATS)
    suite = ET.fromstring(Path("out/junit.txt").read_bytes())[0]
    assert suite.find("testcase[@name='max-regression']/failure").get("message") == data["gates"][0]["reason"]  # type: ignore[union-attr]
    assert suite.find("testcase[@name='max-size']/system-out") is not None
    assert Path("summary.md").read_text() == Path("out/markdown.txt").read_text()
    assert Path("out/github.txt").read_text() in said.err
    assert "::error title=max-regression failed::new.tflite against old.tflite on local: +5" in said.err
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert main(run(files, "--max-size", "1B")) == 9
    assert "::" not in capsys.readouterr().err


def test_reports_that_cannot_be_are_refused_before_anything_runs(
    programs: Script,
    files: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = programs()
    (tmp_path / "folder").mkdir()
    for words, message in (
        (["--report", "junitt=a.xml"], "Did you mean junit?"),
        (["--report", "pdf=a.xml"], "Kinds are junit, markdown"),
        (["--report", "junit"], "names no file"),
        (["--report", "junit=folder"], "folder is a folder"),
        (["--report", "junit=a", "--report", "markdown=a"], "named twice"),
    ):
        assert main(run(files, "--max-regression", "3%", *words)) == 3
        assert message in capsys.readouterr().err
    assert not state.with_suffix(".calls").exists()
    (tmp_path / "file").write_text("")
    assert main(run(files, "--max-size", "5kB", "--report", "junit=file/a.xml")) == 7
