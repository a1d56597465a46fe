"""What a report shows beside runs: files at hand; diagnoses and gates, in files or in the history."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.device_tests.gate.report import Outcome
from mobiledeploy.device_tests.history.decode import NotDecodable, decode
from mobiledeploy.device_tests.history.findings import Finding
from mobiledeploy.errors import InputError

_T = TypeVar("_T")
# More than any of them has.
_MOST_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class FileCost:
    """A model file at hand: what it holds and costs, counted from its own operations."""

    name: str
    sha256: str
    size: int
    arithmetic: str
    mult_adds: int
    parameters: int


@dataclass(frozen=True, slots=True)
class LayerError:
    """One layer of a diagnosis; dB of signal to quantization noise, None: there is no noise."""

    module: str
    operation: str
    isolated: float | None
    cumulative: float | None
    weights_only: float | None
    activations_only: float | None


@dataclass(frozen=True, slots=True)
class DiagnosisFile:
    """What ``diagnose --json`` printed: the model, dB of all of it, its verdict, its layers."""

    model: str
    total: float | None
    verdict: str
    layers: tuple[LayerError, ...]


@dataclass(frozen=True, slots=True)
class GatedFile:
    """A file of a gate."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class GateLine:
    """One gate: its name, what came out, and why."""

    name: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class GateFile:
    """What ``gate --json`` printed."""

    device: str
    started: str
    candidate: GatedFile
    baseline: GatedFile | None
    gates: tuple[GateLine, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """All of it."""

    files: tuple[FileCost, ...] = ()
    diagnoses: tuple[DiagnosisFile, ...] = ()
    gates: tuple[GateFile, ...] = ()


def read_given(files: Iterable[Path], diagnoses: Iterable[Path], gates: Iterable[Path]) -> Given:
    """Read what the user gave.

    Args:
        files: TFLite, ONNX or Core ML.
        diagnoses: what ``diagnose --json`` printed.
        gates: what ``gate --json`` printed.

    Raises:
        InputError: one is not there, damaged, or something else.
        UnsupportedError: a model file leaves its shapes open.
        EnvironmentProblem: a package that reads it is not on this machine.
    """
    return Given(
        tuple(map(_cost, files)),
        tuple(_read(DiagnosisFile, path, "diagnose") for path in diagnoses),
        tuple(_read(GateFile, path, "gate") for path in gates),
    )


def read_finding(found: Finding, where: str) -> GateFile | DiagnosisFile:
    """What a history holds, as of the files.

    Args:
        found: a gate or a diagnosis.
        where: the row, for messages.

    Raises:
        InputError: it holds something else.
    """
    kind: type[GateFile | DiagnosisFile] = GateFile if found.kind == "gate" else DiagnosisFile
    try:
        return decode(kind, _known(kind, found.data))
    except NotDecodable as error:
        raise InputError(
            f"this is no {found.kind} ({error})", where=where, hint="Delete it: mobiledeploy history remove"
        ) from error


def _cost(path: Path) -> FileCost:
    from mobiledeploy.runtimes.file_cost import file_cost
    from mobiledeploy.runtimes.formats import read_artifact

    artifact = read_artifact(path)
    cost = file_cost(artifact)
    name = one_line(path.name)
    return FileCost(
        name, artifact.sha256, artifact.size, artifact.census.arithmetic, cost.mult_adds, cost.parameters
    )


def _read(kind: type[_T], path: Path, command: str) -> _T:
    hint = f"Give the output of: mobiledeploy {command} ... --json"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"has more than {_MOST_BYTES} bytes", where=str(path), hint=hint)
        return decode(kind, _known(kind, json.loads(path.read_text(encoding="utf-8"))))
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=str(path), hint="Check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        problem = str(error) if isinstance(error, NotDecodable) else "it is no JSON"
        raise InputError(f"not what {command} prints ({problem})", where=str(path), hint=hint) from error


def _known(kind: type[object], data: object) -> object:
    """An object with the fields that are shown, and theirs; newer and other ones are passed over."""
    parts = {"layers": LayerError, "gates": GateLine, "candidate": GatedFile, "baseline": GatedFile}
    if not isinstance(data, dict):
        return data
    names = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    found = {}
    for name in names:
        if name not in data:
            continue
        part, value = parts.get(name), data[name]
        if part and isinstance(value, list):
            value = [_known(part, item) for item in value]
        elif part:
            value = _known(part, value)
        found[name] = value
    return found
