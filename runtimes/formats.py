"""Which format a file is, and the modules that read and run it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from mobiledeploy.contract import Target
from mobiledeploy.errors import EnvironmentProblem, InputError
from mobiledeploy.runtimes.census import Artifact, FileContents
from mobiledeploy.runtimes.session import Session


class _Reader(Protocol):
    def read(self, path: Path) -> FileContents: ...


class _Runtime(Protocol):
    def open_session(self, path: Path, threads: int | None = None) -> Session: ...


@dataclass(frozen=True, slots=True)
class Format:
    """One file format.

    Attributes:
        target: its name; also the extra that installs what reads and runs it.
        suffixes: of its files; the first is the one that is written.
        reader: module with ``read(path) -> FileContents``.
        runtime: module with ``open_session(path, threads) -> Session``.
    """

    target: Target
    suffixes: tuple[str, ...]
    reader: str
    runtime: str

    @property
    def suffix(self) -> str:
        """The suffix that is written."""
        return self.suffixes[0]


FORMATS: dict[Target, Format] = {
    item.target: item
    for item in (
        Format("tflite", (".tflite",), "tflite_file", "tflite_session"),
        Format("onnx", (".onnx",), "onnx_file", "onnx_session"),
        Format("coreml", (".mlpackage", ".mlmodel"), "coreml_file", "coreml_session"),
    )
}

_CHUNK = 1 << 20


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Turn a failed import inside the block into the command that installs ``extra``.

    Raises:
        EnvironmentProblem: a package is missing, or is there and cannot be imported.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("mobiledeploy"):
            raise
        raise EnvironmentProblem(
            f"the package {error.name.partition('.')[0]} is not installed",
            hint=f"Run: pip install 'mobiledeploy[{extra}]'",
        ) from error
    except ImportError as error:
        raise EnvironmentProblem(
            f"a package cannot be imported ({error})",
            hint="`mobiledeploy doctor` names packages that do not fit together",
        ) from error


def find_format(path: Path) -> Format:
    """The format of a file: by its content where that says so, else by its suffix.

    Raises:
        InputError: the path does not exist, or is nothing that we read.
    """
    head = _head(path)
    if path.is_dir():
        if (path / "Manifest.json").is_file():
            return FORMATS["coreml"]
        raise InputError(
            "this folder is no Core ML package",
            where=str(path),
            hint="Give one model file, or an .mlpackage folder",
        )
    if head[4:8] == b"TFL3":
        return FORMATS["tflite"]
    for item in FORMATS.values():
        if path.suffix.lower() in item.suffixes:
            return item
    # A protobuf whose field 1 is an integer: ONNX's ir_version.  Core ML's bare .mlmodel begins in
    # the same way and is told apart by its suffix, above.
    if head[:1] == b"\x08":
        return FORMATS["onnx"]
    raise InputError(
        "this is no TFLite, ONNX or Core ML file",
        where=str(path),
        hint=f"Files that can be read end in {', '.join(s for f in FORMATS.values() for s in f.suffixes)}",
    )


def read_artifact(path: str | Path) -> Artifact:
    """Read a model file of any format.

    Args:
        path: a ``.tflite``, ``.onnx`` or ``.mlmodel`` file or an ``.mlpackage`` folder.

    Raises:
        InputError: the file is missing, damaged or of no known format.
        EnvironmentProblem: the package that reads it is not installed.
    """
    path = Path(path)
    item = find_format(path)
    with needs(item.target):
        reader = cast(_Reader, import_module(f"mobiledeploy.runtimes.{item.reader}"))
        contents = reader.read(path)
    digest, size = _digest(path)
    return Artifact(path, item.target, digest, size, contents)


def open_session(path: str | Path, threads: int | None = None) -> Session:
    """Open a model file of any format to run it on this host.

    Args:
        path: as for ``read_artifact``.
        threads: of one inference; None: all cores.

    Raises:
        InputError: the file is missing, damaged or of no known format.
        EnvironmentProblem: the engine that runs it is not installed.
    """
    path = Path(path)
    item = find_format(path)
    with needs(item.target):
        runtime = cast(_Runtime, import_module(f"mobiledeploy.runtimes.{item.runtime}"))
        return runtime.open_session(path, threads)


def _head(path: Path) -> bytes:
    try:
        if path.is_dir():
            return b""
        with path.open("rb") as file:
            return file.read(8)
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path), hint="Check the path") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(
            f"the file cannot be read ({reason})", where=str(path), hint="Check the path and its permissions"
        ) from error


def _digest(path: Path) -> tuple[str, int]:
    """(sha256, size) of a file, or of a folder's sorted relative names and bytes."""
    digest, size = hashlib.sha256(), 0
    for file in sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]:
        if file != path:
            # The size in between keeps (name, bytes) pairs apart.
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
    return digest.hexdigest(), size
