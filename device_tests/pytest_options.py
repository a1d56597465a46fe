"""Options of the pytest plugin, which stand back where a project has options of the same names."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

OPTIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "device": {
            "action": "append",
            "metavar": "REF",
            "help": "local, adb:SERIAL, ssh:[USER@]HOST[:PORT], a name of devices.toml; repeatable",
        },
        "artifact": {
            "action": "append",
            "metavar": "FILE",
            "help": "the TFLite, ONNX or Core ML file of the fixture artifact; repeatable",
        },
        "baseline": {"metavar": "FILE", "help": "the file of the fixture baseline"},
        "allow-inconclusive": {
            "action": "store_true",
            "default": False,
            "help": "skip tests that are neither green nor red instead of failing them",
        },
    }
)
_ABSENT = object()


def option(config: pytest.Config, name: str) -> Any:
    """The value of one of ``OPTIONS``; None: not given."""
    return config.getoption(_destination(name), default=None)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: Sequence[str]
) -> Any:
    """Add the options after conftest files have added theirs; ``--mobiledeploy-NAME`` is always ours.

    A plugin's options usually come first, and every project with a ``--device`` of its own would break
    as soon as mobiledeploy is installed.
    """
    _take_values(early_config, args)
    result = yield
    group = parser.getgroup("mobiledeploy", "models on devices (mobiledeploy)")
    for name, attributes in OPTIONS.items():
        free = early_config.getoption(f"--{name}", default=_ABSENT) is _ABSENT
        names = (f"--{name}", f"--mobiledeploy-{name}") if free else (f"--mobiledeploy-{name}",)
        group.addoption(*names, dest=_destination(name), **attributes)
    return result


def _take_values(config: pytest.Config, args: Sequence[str]) -> None:
    """Until the options are known, pytest takes their values for folders with tests."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in OPTIONS:
        if OPTIONS[name].get("action") != "store_true":
            parser.add_argument(
                f"--{name}", f"--mobiledeploy-{name}", action="append", default=[], dest="values"
            )
    folders = config.known_args_namespace.file_or_dir
    for value in parser.parse_known_args(list(args))[0].values:
        if value in folders and not _holds_tests(Path(value.partition("::")[0])):
            folders.remove(value)


def _holds_tests(path: Path) -> bool:
    """A project's own option of the name may be a flag, with its tests behind it."""
    return path.suffix == ".py" or (path.is_dir() and path.suffix != ".mlpackage")


def _destination(name: str) -> str:
    return f"mobiledeploy_{name.replace('-', '_')}"
