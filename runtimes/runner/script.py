"""The Python runner as a file to copy to a device."""

from __future__ import annotations

from pathlib import Path


def python_runner_source() -> Path:
    """The script, which needs nothing else of mobiledeploy: Python 3.8 or later runs it on a device."""
    return Path(__file__).with_name("python_runner.py")
