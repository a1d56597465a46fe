"""What is on this machine, what clashes, and what works."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mobiledeploy.contract import TARGETS, Target
from mobiledeploy.deploy.matrix import CLASHES, ENGINES, PACKAGES, Package, as_numbers

IMPORT_TIMEOUT = 120.0  # seconds; a cold disk makes torch slow


@dataclass(frozen=True, slots=True)
class PackageState:
    """One package on this machine.

    Attributes:
        package: distribution.
        installed: version, empty if it is not.
        tested: range, for people.
        verdict: ``ok``, ``not installed``, ``too old``, ``newer than tested`` or why it does not import.
    """

    package: str
    installed: str
    tested: str
    verdict: str

    @property
    def works(self) -> bool:
        """Whether it can be used."""
        return self.verdict in {"ok", "newer than tested"}


@dataclass(frozen=True, slots=True)
class TargetState:
    """What can be done with one format here; empty where it cannot.

    Attributes:
        target: the format.
        converts: ``yes``.
        runs: the engine.
    """

    target: Target
    converts: str
    runs: str


@dataclass(frozen=True, slots=True)
class ModelState:
    """Whether a model's weights are at hand."""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that ``doctor`` says.

    Attributes:
        python, platform: of this machine.
        packages, targets, models: one entry each.
        clashes: installed packages that do not work, or not together; one sentence each.
        advice: what could be installed.
    """

    python: str
    platform: str
    packages: tuple[PackageState, ...]
    targets: tuple[TargetState, ...]
    models: tuple[ModelState, ...]
    clashes: tuple[str, ...]
    advice: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def diagnose() -> Diagnosis:
    """Look at this machine; imports each package in a process of its own, so that a crash is only told."""
    names = {item.name for item in PACKAGES} | {
        name for clash in CLASHES for name in (clash.first, clash.second)
    }
    installed = {name: text for name in sorted(names) if (text := _version(name))}
    with ThreadPoolExecutor() as pool:
        packages = tuple(pool.map(lambda item: _package_state(item, installed), PACKAGES))
    working = {item.package for item in packages if item.works}
    targets = tuple(_target_state(target, working) for target in TARGETS)
    return Diagnosis(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        packages=packages,
        targets=targets,
        models=_models(),
        clashes=find_clashes(packages, installed),
        advice=_advice(targets, packages),
    )


def find_clashes(packages: tuple[PackageState, ...], installed: Mapping[str, str]) -> tuple[str, ...]:
    """Installed packages that do not work alone or together.

    Args:
        packages: each one's state.
        installed: distribution -> version.
    """
    broken = [
        f"{item.package} {item.installed}: {item.verdict} (tested: {item.tested})"
        for item in packages
        if item.installed and not item.works
    ]
    together = [
        f"{clash.first} {installed[clash.first]} and {clash.second} {installed[clash.second]}: "
        f"{clash.reason}; {clash.advice}"
        for clash in CLASHES
        if clash.first in installed
        and clash.second in installed
        and as_numbers(installed[clash.second]) >= as_numbers(clash.second_least)
    ]
    return tuple(broken + together)


def judge(item: Package, installed: str) -> str:
    """The verdict on a version, before it is imported."""
    if not installed:
        return "not installed"
    numbers = as_numbers(installed)
    if numbers < as_numbers(item.least):
        return "too old"
    return "newer than tested" if item.below and numbers >= as_numbers(item.below) else "ok"


def _package_state(item: Package, installed: Mapping[str, str]) -> PackageState:
    found = installed.get(item.name, "")
    verdict = judge(item, found)
    if found and verdict != "too old":
        verdict = _import_problem(item.module) or verdict
    return PackageState(item.name, found, item.tested, verdict)


def _import_problem(module: str) -> str:
    """Why a module does not import, empty if it does."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"import {module}"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=IMPORT_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"does not import within {IMPORT_TIMEOUT:.0f} s"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return f"does not import ({lines[-1] if lines else f'exit code {done.returncode}'})"


def _target_state(target: Target, working: set[str]) -> TargetState:
    needed = {item.name for item in PACKAGES if {"base", "torch", target} & set(item.extras)}
    engine = next((group for group in ENGINES[target] if set(group) <= working), ())
    runs = engine[0] if engine else ""
    if engine and target == "coreml":
        runs = "Core ML" if sys.platform == "darwin" else "reference, not Core ML"
    return TargetState(target, "yes" if needed <= working else "", runs)


def _models() -> tuple[ModelState, ...]:
    from mobiledeploy.models import catalogue

    return tuple(
        ModelState(
            item.name,
            f"on this machine ({item.local})"
            if item.local
            else ("downloaded when used" if item.weights else "give --weights"),
        )
        for item in catalogue()
    )


def _advice(targets: tuple[TargetState, ...], packages: tuple[PackageState, ...]) -> tuple[str, ...]:
    missing = {item.package for item in packages if not item.installed}
    advice = []
    if "torch" in missing:
        advice.append("to convert: pip install 'mobiledeploy[torch]'")
    advice += [
        f"for {item.target}: pip install 'mobiledeploy[{item.target}]'" for item in targets if not item.runs
    ]
    advice += [
        f"{item.package} {item.installed} is newer than tested (tested: {item.tested})"
        for item in packages
        if item.verdict == "newer than tested"
    ]
    return tuple(advice)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
