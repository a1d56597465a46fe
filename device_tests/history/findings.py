"""What was found out by more than one run: a gate's report, the diagnosis of a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mobiledeploy.device_tests.gate.report import GateReport

FindingKind = Literal["gate", "diagnosis"]
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One of them.

    Attributes:
        kind: ``gate`` or ``diagnosis``.
        model: name of the candidate's file, or of the model.
        sha256: of the file, or of the model's weights; empty: not known.
        device: its reference; None: it is of no device.
        outcome: in a word or a figure.
        data: all of it, as the command prints it with ``--json``.
    """

    kind: FindingKind
    model: str
    sha256: str
    device: str | None
    outcome: str
    data: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def gate_finding(report: GateReport) -> Finding:
    """A gate's report; its runs are stored apart from it."""
    file = report.candidate
    return Finding("gate", file.name, file.sha256, report.device, report.outcome, report.to_dict())


def diagnosis_finding(data: Mapping[str, Any], weights_sha256: str) -> Finding:
    """What ``diagnose --json`` prints.

    Args:
        data: that.
        weights_sha256: of the model's weights; empty: not known.
    """
    total = data["total"]
    outcome = "no noise" if total is None else f"{total:.1f} dB"
    return Finding("diagnosis", data["model"], weights_sha256, None, outcome, _plain(data))


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """As it will come back: JSON has lists alone."""
    plain: dict[str, Any] = json.loads(json.dumps(data))
    return plain
