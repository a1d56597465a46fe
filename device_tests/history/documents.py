"""A whole run as a JSON document, and back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from mobiledeploy.device_tests.accuracy_run import SCHEMA_VERSION as ACCURACY_VERSION
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.history.decode import NotDecodable, decode
from mobiledeploy.device_tests.history.findings import SCHEMA_VERSION as FINDING_VERSION
from mobiledeploy.device_tests.history.findings import Finding
from mobiledeploy.device_tests.history.rows import Kind
from mobiledeploy.device_tests.latency_run import SCHEMA_VERSION as LATENCY_VERSION
from mobiledeploy.device_tests.latency_run import LatencyRun
from mobiledeploy.device_tests.tasks.metric import Figure
from mobiledeploy.errors import InputError

Run = LatencyRun | AccuracyRun | Finding
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
SCHEMA_VERSION = 1
# A run of version N becomes one of N + 1; add one for each change of a run's fields.
# Latency 1 knew no labs, and a run without one is as it was.
UPGRADES: dict[str, dict[int, Upgrade]] = {
    "latency": {1: lambda run: run},
    "accuracy": {},
    "gate": {},
    "diagnosis": {},
}
# Kind -> what its document holds, and the latest version of that.
_HELD: dict[Kind, tuple[type[Run], int]] = {
    "latency": (LatencyRun, LATENCY_VERSION),
    "accuracy": (AccuracyRun, ACCURACY_VERSION),
    "gate": (Finding, FINDING_VERSION),
    "diagnosis": (Finding, FINDING_VERSION),
}
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Record:
    """A run, or a finding, and what the history knows beside it.

    Attributes:
        id: 32 hexadecimal digits.
        time: UTC, ISO 8601: when a latency run began, when another one was stored.
        device: its reference; None: an accuracy run of this host, or a diagnosis.
        label: the user's own word.
        commit: of the user's project.
        harness: version of mobiledeploy that measured.
        run: as it was measured.
    """

    id: str
    time: str
    device: str | None
    label: str | None
    commit: str | None
    harness: str
    run: Run

    @property
    def kind(self) -> Kind:
        """What the run is."""
        if isinstance(self.run, Finding):
            return self.run.kind
        return "latency" if isinstance(self.run, LatencyRun) else "accuracy"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with the run's own ``to_dict`` as ``run``."""
        return {
            "schema_version": SCHEMA_VERSION,
            "id": self.id,
            "kind": self.kind,
            "time": self.time,
            "device": self.device,
            "label": self.label,
            "commit": self.commit,
            "harness": self.harness,
            "run": self.run.to_dict(),
        }


def pack(document: Mapping[str, Any]) -> bytes:
    """A document as compressed JSON: raw samples are digits, and shrink to a fraction.

    Raises:
        InputError: it holds a number that JSON has not, like NaN.
    """
    try:
        # ASCII, so that text which is no valid Unicode comes back as it was.
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise InputError(
            "a figure of the run is not a number",
            where=str(document.get("id", "run")),
            hint="Measure again: such a run cannot be stored",
        ) from error
    return zlib.compress(text.encode("ascii"), _LEVEL)


def unpack(packed: bytes, where: str) -> dict[str, Any]:
    """The document that ``pack`` made.

    Args:
        packed: its bytes.
        where: the row, for messages.

    Raises:
        InputError: it is damaged.
    """
    try:
        document = json.loads(zlib.decompress(packed))
    except (zlib.error, ValueError, RecursionError) as error:
        raise _damaged(str(error), where) from error
    if not isinstance(document, dict):
        raise _damaged("it is no object", where)
    return document


def read(
    document: Mapping[str, Any], where: str, upgrades: Mapping[str, Mapping[int, Upgrade]] = UPGRADES
) -> Record:
    """The record in a document; one of an older version is brought up to date first.

    Args:
        document: from ``unpack``.
        where: the row, for messages.
        upgrades: kind -> version -> what makes the next version of a run's data.

    Raises:
        InputError: it is damaged, or of a newer version.
    """
    try:
        # First of all: a newer document may hold what this version would take for damage.
        if document["schema_version"] > SCHEMA_VERSION:
            raise _newer(document["schema_version"], SCHEMA_VERSION, where)
        head = decode(_Head, {key: value for key, value in document.items() if key != "run"})
        run = _read_run(head.kind, document["run"], where, upgrades)
    except NotDecodable as error:
        raise _damaged(str(error), where) from error
    except KeyError as error:
        raise _damaged(f"{error} is missing", where) from error
    except (TypeError, AttributeError) as error:
        raise _damaged(str(error), where) from error
    return Record(head.id, head.time, head.device, head.label, head.commit, head.harness, run)


@dataclass(frozen=True, slots=True)
class _Figures:
    """Those of an accuracy run, as they were drawn when it was stored."""

    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class _Head:
    """A document without its run."""

    schema_version: int
    id: str
    kind: Kind
    time: str
    device: str | None
    label: str | None
    commit: str | None
    harness: str


def _read_run(
    kind: Kind, data: Mapping[str, Any], where: str, upgrades: Mapping[str, Mapping[int, Upgrade]]
) -> Run:
    type_of_run, current = _HELD[kind]
    version = data["schema_version"]
    if type(version) is not int:
        raise NotDecodable("no version", "run.schema_version")
    if version > current:
        raise _newer(version, current, where)
    upgraded = dict(data)
    while version < current:
        if version not in upgrades[kind]:
            raise NotDecodable(f"version {version} was never written", "run.schema_version")
        upgraded = upgrades[kind][version](upgraded)
        version += 1
    upgraded["schema_version"] = version
    # Beside its fields a run writes figures that it draws from them; most are drawn anew.
    names = {item.name for item in fields(type_of_run)}
    try:
        run = decode(type_of_run, {key: value for key, value in upgraded.items() if key in names})
        if isinstance(run, AccuracyRun) and "figures" in upgraded:
            return run.recalling(decode(_Figures, {"figures": upgraded["figures"]}).figures or run.figures)
        return run
    except NotDecodable as problem:
        raise problem.within("run") from None


def _damaged(problem: str, where: str) -> InputError:
    return InputError(
        f"the stored run is damaged ({' '.join(problem.split())})",
        where=where,
        hint="Upgrade mobiledeploy if a newer one stored it; else take it from a backup, or delete it with "
        "`mobiledeploy history remove`",
    )


def _newer(version: object, known: int, where: str) -> InputError:
    return InputError(
        f"the run is of version {version!r}, this mobiledeploy reads up to {known}",
        where=where,
        hint="Upgrade mobiledeploy",
    )
