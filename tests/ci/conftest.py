"""A project as a CI job finds it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from checkout import ROOT
from steps import Job
from tflite_builder import float_dense


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A checkout with two files, a runner's folders, and mobiledeploy on its path."""
    project = tmp_path / "project"
    (project / "build").mkdir(parents=True)
    (project / "build" / "new.tflite").write_bytes(float_dense())
    (project / "build" / "old.tflite").write_bytes(float_dense())
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "OMP_NUM_THREADS") if name in os.environ}
    runner = tmp_path / "runner"
    runner.mkdir()
    environment = {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # The code of this checkout, whichever is installed.
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(runner),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "MOBILEDEPLOY_HISTORY": str(tmp_path / "history.db"),
    }
    return Job(project, runner, environment)
