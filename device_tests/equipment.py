"""What a device needs to run a model: a runner that fits it, and the engine's library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.contract import Target
from mobiledeploy.device_tests.copying import measure
from mobiledeploy.device_tests.dialect import BENCHMARK_MODEL, OF_BENCHMARK_MODEL, OURS, Dialect
from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.session import Session
from mobiledeploy.errors import EnvironmentProblem, InputError, UnsupportedError
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.runner.platforms import ARM64, ARMV7, GNU, X86_64, Platform, platform_of

ENGINE_OF: dict[Target, str] = {"tflite": "litert", "onnx": "onnxruntime", "coreml": "coreml"}
RUNNERS = ("auto", "native", "python", BENCHMARK_MODEL)
TIMEOUT = 30.0
# The program that starts every other says what they are linked against.
_LOADERS = (
    ("/lib/ld-linux-aarch64.so.1", Platform(ARM64, GNU)),
    ("/lib/ld-linux-armhf.so.3", Platform(ARMV7, GNU)),
    ("/lib64/ld-linux-x86-64.so.2", Platform(X86_64, GNU)),
)
_MODULES = {
    "litert": ("ai_edge_litert", "tflite_runtime"),
    "onnxruntime": ("onnxruntime",),
    "coreml": ("coremltools",),
}
# $@: modules; succeeds if one of them is there.
_PYTHON = (
    "import importlib.util as u, sys\n"
    "sys.exit(not any(u.find_spec(name) for name in sys.argv[1:]) or u.find_spec('numpy') is None)"
)


@dataclass(frozen=True, slots=True)
class Equipment:
    """A runner on a device.

    Attributes:
        engine: that it drives.
        argv: how it is started there.
        library: the engine's library there; None: the runner has its engine itself.
        runner_sha256: of the program.
        library_sha256: of the library.
        library_version: of the package that it is from; None: given by the user, or none.
        dialect: that it speaks.
    """

    engine: str
    argv: tuple[str, ...]
    library: str | None
    runner_sha256: str
    library_sha256: str | None
    library_version: str | None = None
    dialect: Dialect = OURS


def equip(
    session: Session,
    facts: DeviceFacts,
    engine: str,
    *,
    runner: str = "auto",
    library: Path | None = None,
) -> Equipment:
    """Put a runner and the engine on a device.

    Args:
        session: on the device.
        facts: of the device.
        engine: ``litert``, ``onnxruntime`` or ``coreml``.
        runner: ``native``, ``python``, ``auto`` (the native one where it can be had) or
            ``benchmark_model``: TFLite's own program.
        library: of the engine, for that device; None: from the engine's official wheel.  For
            ``benchmark_model`` that program.

    Raises:
        DeviceError: nothing that is at hand runs on the device.
        InputError: the library is not for the device.
        EnvironmentProblem: what the runner is built with is not on this host.
    """
    if runner == BENCHMARK_MODEL:
        return _benchmark_model(session, engine, library)
    if runner == "python" or (runner == "auto" and engine == "coreml"):
        return _python(session, engine)
    try:
        return _native(session, facts, engine, library)
    except (EnvironmentProblem, NoRunner):
        if runner == "native" or library is not None or not _has_python(session, engine):
            raise
        return _python(session, engine)


class NoRunner(DeviceError):  # noqa: N818
    """No native runner is for this kind of device."""


def _native(session: Session, facts: DeviceFacts, engine: str, library: Path | None) -> Equipment:
    from mobiledeploy.runtimes.runner.build import native_runner
    from mobiledeploy.runtimes.runner.engines import engine_library, given_library

    platform = _platform(session, facts)
    found = given_library(library, engine, platform) if library else engine_library(engine, platform)
    program = native_runner(found.platform)
    return Equipment(
        engine,
        (session.place(program, 0o700, keep=True),),
        session.place(found.path, 0o600, keep=True),
        measure(program).sha256,
        found.sha256,
        found.version,
    )


def _benchmark_model(session: Session, engine: str, program: Path | None) -> Equipment:
    if program is None or engine != "litert":
        raise InputError(
            "benchmark_model is a program for TFLite files, built for the device",
            hint="Name it with --engine-library FILE, or take another runner",
        )
    place = session.place(program, 0o700)
    return Equipment(engine, (place,), None, measure(program).sha256, None, dialect=OF_BENCHMARK_MODEL)


def _python(session: Session, engine: str) -> Equipment:
    from mobiledeploy.runtimes.runner.script import python_runner_source

    if not _has_python(session, engine):
        raise DeviceError(
            f"its {session.device.python} has no numpy with {' or '.join(_MODULES[engine])}",
            where=session.transport.name,
            hint="Install them there, name another python in devices.toml, or take --runner native",
        )
    script = python_runner_source()
    return Equipment(
        engine,
        (session.device.python, session.place(script, keep=True)),
        None,
        measure(script).sha256,
        None,
    )


def _has_python(session: Session, engine: str) -> bool:
    return session.run([session.device.python, "-c", _PYTHON, *_MODULES[engine]], TIMEOUT).exit_code == 0


def _platform(session: Session, facts: DeviceFacts) -> Platform:
    """From the loaders that the device has: a 32-bit system may stand on a 64-bit kernel."""
    script = 'for file in "$@"; do [ -e "$file" ] && echo "$file"; done'
    paths = [path for path, _ in _LOADERS]
    there = session.run(["sh", "-c", script, "sh", *paths], TIMEOUT).stdout.split()
    for path, platform in _LOADERS:
        if path in there:
            return platform
    try:
        return platform_of(facts.abis, android=facts.kind == "android")
    except UnsupportedError as error:
        raise NoRunner(
            error.what,
            where=session.transport.name,
            hint="Install Python with the engine there and take --runner python",
        ) from error


def place_artifact(session: Session, artifact: Artifact) -> str:
    """Have a model file on a device.

    Returns:
        Its path there.

    Raises:
        DeviceError: it cannot be sent.
    """
    if artifact.path.is_dir():
        return session.place_tree(artifact.path, artifact.sha256[:24])
    return session.place(artifact.path)
