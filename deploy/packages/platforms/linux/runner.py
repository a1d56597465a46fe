"""The part of the native runner that opens a model and runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from mobiledeploy.contract import Target
from mobiledeploy.deploy.packages.plan import PlannedFile
from mobiledeploy.runtimes.runner.build import SOURCES

# Without its command line, its measuring, and its failures: the example says them in words.
_COMMON = ("arguments.h", "engine.h", "failure.h", "lines.[ch]", "profile.[ch]", "system.[ch]", "tensor.[ch]")
_ENGINES: Mapping[Target, tuple[str, ...]] = {
    "tflite": ("engine_litert.c", "litert_api.h", "litert_model.[ch]", "litert_survey.[ch]"),
    "onnx": ("engine_onnx.c", "onnx_profile.[ch]", "ort_api.h"),
}


def runner_files(target: Target) -> Iterator[PlannedFile]:
    """Its sources for one engine."""
    for pattern in (*_COMMON, *_ENGINES[target]):
        for path in sorted(SOURCES.glob(pattern)):
            yield PlannedFile(PurePosixPath(path.name), path.read_bytes())
