"""The house holds together: versions, public names, imports, build files."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mobiledeploy
from mobiledeploy.contract import TARGETS
from mobiledeploy.deploy.matrix import ENGINES, PACKAGES

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def _ranges(requirements: list[str]) -> dict[str, tuple[str, str]]:
    """Distribution -> (least, below)."""
    found = {}
    for line in requirements:
        match = re.fullmatch(r"([\w-]+)>=([\d.]+)(?:,<([\d.]+))?", line)
        assert match, line
        found[match[1]] = (match[2], match[3] or "")
    return found


def test_the_matrix_is_what_is_installed() -> None:
    wanted: dict[str, dict[str, tuple[str, str]]] = {"base": _ranges(PROJECT["dependencies"])}
    for extra in ("torch", *TARGETS, "lab"):
        wanted[extra] = _ranges(EXTRAS[extra])
    for extra, packages in wanted.items():
        ours = {item.name: (item.least, item.below) for item in PACKAGES if extra in item.extras}
        assert ours == packages, extra


def test_every_target_has_an_extra_and_an_engine() -> None:
    assert set(TARGETS) <= set(EXTRAS)
    assert set(ENGINES) == set(TARGETS)


def test_constraints_are_plain_pins_within_the_ranges() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pins = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert {item.name for item in PACKAGES if item.extras != ("fallback",)} <= pins
    assert "torch==2.13.0" in lines


def test_version_is_the_same_everywhere() -> None:
    assert mobiledeploy.__version__ == PROJECT["version"]
    assert f"## {mobiledeploy.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", [name for name in mobiledeploy.__all__ if name != "__version__"])
def test_public_names_are_there(name: str) -> None:
    assert callable(getattr(mobiledeploy, name))
    assert name in dir(mobiledeploy)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = mobiledeploy.no_such_name  # type: ignore[attr-defined]


def test_boards_need_no_torch() -> None:
    """Reading, running and scoring files loads neither torch nor anything that converts."""
    code = (
        "import sys, mobiledeploy\n"
        "mobiledeploy.inspect, mobiledeploy.open_session, mobiledeploy.evaluate, mobiledeploy.paired\n"
        "import mobiledeploy.runtimes.tflite_session, mobiledeploy.runtimes.tflite_file\n"
        "print(sorted({'torch', 'mobiledeploy.models', 'mobiledeploy.converters'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_make_has_what_the_readme_and_ci_call() -> None:
    makefile = (ROOT / "Makefile").read_text()
    called = (ROOT / ".ci" / "run").read_text() + (ROOT / "README.md").read_text()
    for target in {"demo", "test", *re.findall(r"^make ([a-z-]+)", called, re.MULTILINE)}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
