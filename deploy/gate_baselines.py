"""What the history gives to a gate: stored runs in place of a baseline's file, and calibrated tolerances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobiledeploy.device_tests.latency_run import LatencyRun
from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    from mobiledeploy.device_tests.gate import Setting, Stored
    from mobiledeploy.device_tests.gate.calibrate import Calibration
    from mobiledeploy.device_tests.history import History

# A baseline that begins so is the id of a stored run.
STORED = "history:"
# Runs of the same file that are looked through for further sessions.
_SESSIONS = 50


def stored_baseline(history: History, reference: str) -> Stored:
    """A stored run, and the others of its file.

    Args:
        history: open.
        reference: ``history:`` and an id, or the beginning of one.

    Raises:
        InputError: there is no such run, or it is no latency.
    """
    from mobiledeploy.device_tests.gate import Stored
    from mobiledeploy.device_tests.history import Filter

    (identity,) = history.identify([reference.removeprefix(STORED)])
    run = history.load(identity)
    if not isinstance(run, LatencyRun):
        raise InputError(
            "this is no run of latency", where=reference, hint="Take one of latency: history list"
        )
    rows = history.find(Filter(model=run.model.sha256, kind="latency", complete=True, last=_SESSIONS))
    loaded = [history.load(row.id) for row in rows if row.id != identity]
    return Stored(identity, run, tuple(item for item in loaded if isinstance(item, LatencyRun)))


def find_calibration(
    history: History | None, device: str, setting: Setting, *, needed: bool
) -> Calibration | None:
    """The latest calibration of a device; None: there is none.

    Args:
        history: open; None: there is none.
        device: its reference.
        setting: of the gate.
        needed: refuse where there is none.

    Raises:
        InputError: there is none for these threads, cores and runs.
    """
    from mobiledeploy.device_tests.gate.calibrate import stored_calibration

    found = stored_calibration(history, device, setting) if history else None
    if found is None and needed:
        raise InputError(
            "no tolerance is given, and the device has no calibration for these threads, cores and runs",
            where=device,
            hint=f"Give a max-regression of 3%, or run: mobiledeploy gate calibrate --device {device}",
        )
    return found
