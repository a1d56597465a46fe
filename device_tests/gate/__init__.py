"""Whether a model became slower, larger or worse: decided with known error rates (docs/gate.md).

from mobiledeploy.device_tests.gate import gate, parse_gate

report = gate("local", candidate, [parse_gate("max-regression", "3%")], baseline=baseline)
print(report.outcome)
"""

from __future__ import annotations

from mobiledeploy.device_tests.gate.decision import Verdict
from mobiledeploy.device_tests.gate.limits import KINDS, Gate, gates_from_table, parse_gate, parse_seconds
from mobiledeploy.device_tests.gate.measuring import Setting
from mobiledeploy.device_tests.gate.report import GateReport, GateResult
from mobiledeploy.device_tests.gate.trial import Stored, gate

__all__ = [
    "KINDS",
    "Gate",
    "GateReport",
    "GateResult",
    "Setting",
    "Stored",
    "Verdict",
    "gate",
    "gates_from_table",
    "parse_gate",
    "parse_seconds",
]
