"""pytest's plugin: gates as tests.

    from mobiledeploy.device_tests.checks import ms, percent

    def test_quick(device, artifact):
        assert device.benchmark(artifact).p90 < ms(15)

    def test_not_slower(latency, artifact, baseline):
        assert latency(artifact, baseline).regression < percent(3)

Every run of pytest in an environment with mobiledeploy loads this module: it imports nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from mobiledeploy.device_tests.checks import Figure, Latency, Limit, MeasuredDevice, describe, properties
from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.pytest_options import OPTIONS, option, pytest_load_initial_conftests
from mobiledeploy.errors import EnvironmentProblem, OutputError

if TYPE_CHECKING:
    from mobiledeploy.device_tests.gate import GateReport, Setting
    from mobiledeploy.runtimes.census import Artifact

__all__ = ["pytest_load_initial_conftests"]

# Of the device and of this machine: not of the file in question.
_TROUBLE = (DeviceError, EnvironmentProblem)
_REPORTS = pytest.StashKey[list["GateReport"]]()
# Of pytest's own reports, which travel between processes as plain data.
_LINES, _ANNOTATIONS = "mobiledeploy_lines", "mobiledeploy_annotations"


@pytest.fixture
def device(
    mobiledeploy_device: str, gate_setting: Setting | None, request: pytest.FixtureRequest
) -> MeasuredDevice:
    """The device of ``--device``; each of them, if there are several."""
    from mobiledeploy.device_tests.references import resolve

    resolve(mobiledeploy_device)
    item, config = request.node, request.config

    def tell(report: GateReport) -> None:
        item.stash.setdefault(_REPORTS, []).append(report)
        item.user_properties.extend(properties(report).items())

    def inconclusive(report: GateReport) -> NoReturn:
        __tracebackhide__ = True
        end = pytest.skip if option(config, "allow-inconclusive") else pytest.fail
        end(describe(report))

    return MeasuredDevice(mobiledeploy_device, gate_setting, tell, inconclusive)


@pytest.fixture
def latency(device: MeasuredDevice) -> Callable[..., Latency]:
    """``latency(candidate, baseline)``: figures of files on the device."""
    return device.benchmark


@pytest.fixture
def artifact(mobiledeploy_artifact: str) -> Artifact:
    """The file of ``--artifact``; each of them, if there are several."""
    from mobiledeploy.runtimes.formats import read_artifact

    return read_artifact(Path(mobiledeploy_artifact))


@pytest.fixture
def baseline(request: pytest.FixtureRequest) -> Artifact:
    """The file of ``--baseline``."""
    from mobiledeploy.runtimes.formats import read_artifact

    return read_artifact(Path(option(request.config, "baseline") or _lacks("baseline")))


@pytest.fixture
def gate_setting() -> Setting | None:
    """How to measure; None: the usual way. Override it for other threads, cores or time."""
    return None


@pytest.fixture
def mobiledeploy_device(request: pytest.FixtureRequest) -> str:
    """Reference of the device."""
    return str(getattr(request, "param", None) or _lacks("device"))


@pytest.fixture
def mobiledeploy_artifact(request: pytest.FixtureRequest) -> str:
    """Path of the file."""
    return str(getattr(request, "param", None) or _lacks("artifact"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each device and each file. Where a project has its own fixture, ours is not asked for."""
    for name in ("device", "artifact"):
        values = option(metafunc.config, name)
        if values and f"mobiledeploy_{name}" in metafunc.fixturenames:
            ids = [Path(value).name for value in values]
            metafunc.parametrize(f"mobiledeploy_{name}", values, ids=ids, indirect=True)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Why an assertion does not hold: the gate's own words."""
    if not (isinstance(left, Figure) and isinstance(right, Limit) and right in left.answers):
        return None
    from mobiledeploy.device_tests.gate.limits import show

    answer = left.answers[right]
    name = left.gate.partition("-")[2]
    return [f"{name} {op} {show(right.value, right.unit)}", describe(answer.report)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keep what gates said; a device that could not tell is an error, not a failure of the test."""
    report = yield
    if call.when == "call":
        if gates := item.stash.get(_REPORTS, None):
            setattr(report, _LINES, [describe(found) for found in gates])
            setattr(report, _ANNOTATIONS, [text for found in gates for text in _told_github(found)])
        measured = "mobiledeploy_device" in getattr(item, "fixturenames", ())
        if measured and report.failed and call.excinfo and call.excinfo.errisinstance(_TROUBLE):
            # To pytest, and to all who read its reports, errors are what happens around a test.
            report.when = "setup"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """All gates of the session, those that pass too."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    lines = [line for report in reports for line in getattr(report, _LINES, ())]
    if lines:
        terminalreporter.section("device gates")
        for line in lines:
            terminalreporter.write_line(line)
    for report in reports:
        for text in getattr(report, _ANNOTATIONS, ()):
            terminalreporter.write(text)


def _told_github(report: GateReport) -> list[str]:
    """The annotations; the step's summary is a file that any process appends to."""
    from mobiledeploy.device_tests.gate.formats.github import append_summary, in_actions, render

    if not in_actions(os.environ):
        return []
    try:
        append_summary(report, os.environ)
    except OutputError as error:
        # A session that has measured does not end for this.
        return [render(report), f"{error}\n"]
    return [render(report)]


def _lacks(name: str) -> NoReturn:
    pytest.skip(f"needs --{name} {OPTIONS[name]['metavar']}")
