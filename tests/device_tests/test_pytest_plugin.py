"""The pytest plugin in sessions of its own, with a runner whose samples are made up."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from checkout import ROOT, copy_checkout
from scripted_gate import Script

from mobiledeploy.device_tests.checks import (
    InconclusiveError,
    MeasuredDevice,
    megabytes,
    ms,
    percent,
    us,
)
from mobiledeploy.device_tests.gate import measuring
from mobiledeploy.errors import EnvironmentProblem, InputError

pytest_plugins = ["pytester"]
PLUGIN = "mobiledeploy.device_tests.pytest_plugin"
HEAD = """
import pytest
from mobiledeploy.device_tests.checks import megabytes, ms, percent
"""
Files = tuple[Path, Path]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project that has the plugin and no other."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-p {PLUGIN}")
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return pytester


def session(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    # The fixture of the runner works in a folder of its own.
    with chdir(project.path):
        return project.runpytest_inprocess(*arguments)


def go(project: pytest.Pytester, files: Files, test: str, *more: str) -> pytest.RunResult:
    project.makepyfile(HEAD + test)
    given = ("--device", "local", "--artifact", str(files[0]), "--baseline", str(files[1]))
    return session(project, *given, *more)


QUICK = """
def test_quick(device, artifact):
    assert device.benchmark(artifact).p90 < ms({limit})
"""


def test_a_figure_within_its_limit_passes(project: pytest.Pytester, script: Script, files: Files) -> None:
    script()
    done = go(project, files, QUICK.format(limit=3), "--junitxml=junit.xml", "-v")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(
        [
            "*test_quick[[]local-new.tflite[]] PASSED*",
            "*device gates*",
            "PASS: new.tflite on local: max-p90: *",
        ]
    )
    found = {
        item.get("name"): item.get("value") for item in ET.parse(project.path / "junit.xml").iter("property")
    }
    assert found["max-p90.outcome"] == "pass"
    assert float(found["max-p90.value"] or 0) == pytest.approx(2e6, rel=0.02)
    assert float(found["max-p90.limit"] or 0) == 3e6
    assert found["device"] == "local"


def test_a_figure_beyond_its_limit_fails_and_says_why(
    project: pytest.Pytester, script: Script, files: Files
) -> None:
    script()
    done = go(project, files, QUICK.format(limit=1.5))
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "*> * assert device.benchmark(artifact).p90 < ms(1.5)",
            "E*assert p90 < 1.5 ms",
            "E*FAIL: new.tflite on local: max-p90: *in a fresh session: beyond 1.5 ms twice*",
        ]
    )
    assert "_within" not in done.stdout.str()


REGRESSION = """
def test_not_slower(latency, artifact, baseline):
    assert latency(artifact, baseline).regression < percent(3)

@pytest.fixture
def gate_setting():
    from mobiledeploy.device_tests.gate import Setting
    return Setting(time_limit={seconds})
"""


def test_regression_against_a_baseline(project: pytest.Pytester, script: Script, files: Files) -> None:
    script()
    go(project, files, REGRESSION.format(seconds=600)).assert_outcomes(passed=1)
    script(0.06)
    done = go(project, files, REGRESSION.format(seconds=600))
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["E*assert regression < 3%", "E*FAIL: new.tflite against old.tflite on local*"])


def test_what_is_inconclusive_is_never_green(project: pytest.Pytester, script: Script, files: Files) -> None:
    script(0.03)
    test = REGRESSION.format(seconds=0.02)
    for assertion in ("assert latency", "assert not latency"):
        done = go(project, files, test.replace("assert latency", assertion))
        done.assert_outcomes(failed=1)
        done.stdout.fnmatch_lines(["*INCONCLUSIVE: *too few for a verdict*"])
    done = go(project, files, test, "--allow-inconclusive", "-rs")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["SKIPPED*INCONCLUSIVE: *too few for a verdict*"])


def test_a_device_in_trouble_is_an_error(project: pytest.Pytester, programs: Script, files: Files) -> None:
    programs(words={"0": "killed"})
    done = go(project, files, QUICK.format(limit=1.5), "--junitxml=junit.xml")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*DeviceError: local: it could not tell (*", "TROUBLE: *"])
    suite = ET.parse(project.path / "junit.xml").getroot()[0]
    assert (suite.get("errors"), suite.get("failures"), suite.get("tests")) == ("1", "0", "1")
    assert suite.find("testcase/error") is not None


def test_what_this_machine_lacks_is_an_error(
    project: pytest.Pytester, script: Script, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    script()

    def equip(*arguments: object, **options: object) -> None:
        raise EnvironmentProblem("no compiler is here", hint="Install mobiledeploy[runner]")

    monkeypatch.setattr(measuring, "equip", equip)
    done = go(project, files, QUICK.format(limit=1.5))
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*no compiler is here. Install*"])


def test_trouble_of_a_test_that_measures_nothing_is_its_failure(project: pytest.Pytester) -> None:
    project.makepyfile(
        "from mobiledeploy.device_tests.errors import DeviceError\n"
        "def test_theirs():\n    raise DeviceError('gone', where='local')\n"
    )
    session(project).assert_outcomes(failed=1)


def test_several_limits_in_one_session(project: pytest.Pytester, script: Script, files: Files) -> None:
    state = script()
    test = """
def test_all(device, artifact):
    assert device.gate(artifact, max_median="3ms", max_p90="3ms", max_size="5kB", min_delegated="75%")

def test_one_is_red(device, artifact):
    assert device.gate(artifact, max_median="3ms", max_size="1B")
"""
    done = go(project, files, test)
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["E*FAIL: new.tflite on local: max-size: new.tflite has *"])
    assert len(state.with_suffix(".calls").read_text().splitlines()) == 16


def test_each_device_and_each_file(project: pytest.Pytester, script: Script, files: Files) -> None:
    script()
    (project.path / "devices.toml").write_text('[devices.here]\nreference = "local"\n')
    test = """
def test_small(device, artifact):
    assert device.gate(artifact, max_size="5kB")
"""
    done = go(project, files, test, "--device", "here", "--artifact", str(files[1]), "-v")
    done.assert_outcomes(passed=4)
    for name in ("local-new", "local-old", "here-new", "here-old"):
        done.stdout.fnmatch_lines([f"*test_small[[]*{name}.tflite[]] PASSED*"])


def test_what_is_not_given_skips_with_its_option(project: pytest.Pytester) -> None:
    project.makepyfile(HEAD + QUICK.format(limit=3) + REGRESSION.format(seconds=1))
    done = session(project, "-rs")
    done.assert_outcomes(skipped=2)
    done.stdout.fnmatch_lines(["SKIPPED*needs --device REF"])
    done = session(project, "-rs", "--device", "local")
    done.assert_outcomes(skipped=2)
    done.stdout.fnmatch_lines(["SKIPPED*needs --artifact FILE"])


def test_a_reference_that_means_nothing_is_an_error(project: pytest.Pytester, files: Files) -> None:
    project.makepyfile(HEAD + QUICK.format(limit=3))
    done = session(project, "--device", "locall", "--artifact", str(files[0]))
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*Did you mean local?*"])


def test_a_project_keeps_its_own_options_and_fixtures(
    project: pytest.Pytester, script: Script, files: Files
) -> None:
    """Their options stand in a folder that pytest finds only if it takes no value for a folder."""
    script()
    project.makeini("[pytest]\ntestpaths = tests\n")
    project.mkdir("tests")
    (project.path / "tests" / "conftest.py").write_text(
        "import pytest\n"
        "def pytest_addoption(parser):\n"
        "    parser.addoption('--device', default='cpu')\n"
        "@pytest.fixture\n"
        "def device(request):\n"
        "    return request.config.getoption('--device')\n"
    )
    (project.path / "tests" / "test_theirs.py").write_text(
        f"{HEAD}\n"
        "def test_theirs(device):\n"
        "    assert device == 'cuda'\n"
        "def test_ours(mobiledeploy_device, artifact):\n"
        "    assert mobiledeploy_device == 'local'\n"
    )
    given = ("--device", "cuda", "--mobiledeploy-device", "local", "--artifact", str(files[0]))
    session(project, *given).assert_outcomes(passed=2)
    session(project, "--help").stdout.fnmatch_lines(["*--mobiledeploy-device*REF*"])


def test_a_flag_of_a_project_takes_no_folder(project: pytest.Pytester) -> None:
    project.mkdir("tests")
    (project.path / "tests" / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--baseline', action='store_true')\n"
    )
    (project.path / "tests" / "test_theirs.py").write_text(
        "def test_theirs(request):\n    assert request.config.getoption('--baseline') is True\n"
    )
    session(project, "--baseline", "tests").assert_outcomes(passed=1)


def test_in_github_actions(
    project: pytest.Pytester, script: Script, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    script()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    done = go(
        project, files, 'def test_small(device, artifact):\n    assert device.gate(artifact, max_size="1B")'
    )
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["::error title=max-size failed::new.tflite on local: *"])
    assert "Gate: fail" in (project.path / "summary.md").read_text()


@pytest.mark.slow
def test_in_several_processes(
    project: pytest.Pytester, script: Script, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    script()
    test = 'def test_small(device, artifact):\n    assert device.gate(artifact, max_size="1B")'
    done = go(project, files, test, "-p", "xdist", "-n", "1")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*device gates*", "FAIL: new.tflite on local: max-size: *"])


def test_comparisons_that_mean_nothing(files: Files) -> None:
    figures = MeasuredDevice("local").benchmark(files[0])
    for compare, message in (
        (lambda: figures.p90 < 15, "no unit"),
        (lambda: figures.p90 < percent(3), "cannot be compared with time"),
        (lambda: figures.p90 > ms(3), "Write <"),
        (lambda: figures.delegated < percent(3), "Write >"),
        (lambda: bool(figures.p90), "no value by itself"),
        (lambda: ms(-1), "no limit"),
        (lambda: percent(float("nan")), "no limit"),
        (lambda: figures.regression < percent(3), "--baseline"),
        (lambda: figures.device.gate(files[0], max_p90="15"), "no unit"),
        (lambda: figures.device.gate(files[0], max_p9="15ms"), "Did you mean max-p90?"),
    ):
        with pytest.raises(InputError, match=message.replace("?", r"\?")):
            compare()
    assert (us(1500), megabytes(1).value) == (ms(1.5), 1e6)


def test_without_pytest_what_is_inconclusive_raises(script: Script, files: Files) -> None:
    from mobiledeploy.device_tests.gate import Setting

    script(0.03)
    device = MeasuredDevice("local", Setting(time_limit=0.02))
    with pytest.raises(InconclusiveError, match="too few"):
        bool(device.benchmark(*files).regression < percent(3))


def test_the_plugin_is_cheap_to_import() -> None:
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        f"import {PLUGIN}\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert PLUGIN in loaded
    others = {name.partition(".")[0] for name in loaded} - {"mobiledeploy"} - set(sys.stdlib_module_names)
    assert others == set()
    assert len([name for name in loaded if name.startswith("mobiledeploy")]) < 8


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(600)
def test_the_example_runs_on_this_machine(v1_files: dict[str, Path], tmp_path: Path) -> None:
    model = str(v1_files["tflite"])
    # Other tests measure this machine at the same time.
    text = f'[devices.here]\nreference = "local"\nfolder = "{tmp_path / "device"}"\n'
    (tmp_path / "devices.toml").write_text(text)
    words = (
        "-p",
        PLUGIN,
        "--device=here",
        f"--artifact={model}",
        f"--baseline={model}",
        "-p",
        "no:cacheprovider",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(ROOT / "examples" / "test_latency.py"), *words, "--rootdir=."],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "device gates" in done.stdout, done.stdout
    # A machine that others use may leave a gate open, or be in trouble; nothing is red.
    assert "FAIL: " not in done.stdout, done.stdout
    assert done.returncode == 0 or "TROUBLE: " in done.stdout or "INCONCLUSIVE: " in done.stdout
    assert done.stdout.count(" on here: ") >= 4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_installed_package_brings_the_plugin(tmp_path: Path) -> None:
    """Built and installed as users do, without what it depends on: that is here."""
    source = copy_checkout(tmp_path / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "site")]
    subprocess.run([*pip, str(source)], check=True, capture_output=True)
    (tmp_path / "test_it.py").write_text("def test_it(device):\n    assert device.reference == 'local'\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    environment.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD", None)
    words = ("-p", "no:cacheprovider", "--device", "local", "test_it.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "mobiledeploy-" in done.stdout
    # The repository's own tests have fixtures and options beside it.
    tests = ("tests/device_tests/test_gate_decision.py", "tests/device_tests/test_conditions.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
