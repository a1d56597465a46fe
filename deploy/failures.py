"""Errors as data: what ``--json`` prints, and what a process tells the one that started it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mobiledeploy.errors import MobileDeployError, RefusedError


def describe(error: MobileDeployError) -> dict[str, Any]:
    """An error that was raised on purpose."""
    described: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": str(error),
        "what": error.what,
        "where": error.where,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }
    if isinstance(error, RefusedError):
        described["refusals"] = [asdict(refusal) for refusal in error.refusals]
    return described


def describe_defect(error: Exception) -> dict[str, Any]:
    """Any other."""
    text = " ".join(str(error).split())
    message = (
        f"{type(error).__name__}: {text}. This is a defect in mobiledeploy: please report it with "
        "the command and what MOBILEDEPLOY_DEBUG=1 prints"
    )
    return {"kind": type(error).__name__, "message": message, "exit_code": MobileDeployError.exit_code}
