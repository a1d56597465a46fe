"""Launches a runner on this host."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mobiledeploy.runtimes.runner.lines import read_report
from mobiledeploy.runtimes.runner.report import Report

ENGINE_OF: Mapping[str, str] = {".tflite": "litert", ".onnx": "onnxruntime"}


@dataclass(frozen=True)
class Launch:
    """What came of one launch."""

    exit_code: int
    report: Report
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Launcher:
    """Launches a runner on this host."""

    command: tuple[str, ...]
    library_of: Callable[[str], Path | None] = field(repr=False)

    def line(self, model: Path, *options: str) -> list[str]:
        engine = ENGINE_OF[model.suffix]
        library = self.library_of(engine)
        given = ["--library", str(library)] if library else []
        return [*self.command, "--engine", engine, "--model", str(model), *given, *options]

    def __call__(self, model: Path, *options: str) -> Launch:
        return self.run(self.line(model, *options))

    def run(self, line: list[str]) -> Launch:
        done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
        return Launch(done.returncode, read_report(done.stdout), done.stdout, done.stderr)
