"""How much of the processor other work takes."""

from __future__ import annotations

import re

from mobiledeploy.device_tests.transport import Transport

TIMEOUT = 20.0
_TWICE = ("sh", "-c", "head -n 1 /proc/stat; sleep 1; head -n 1 /proc/stat")
_TICKS = re.compile(r"^cpu +(.*)$", re.MULTILINE)
IDLE_COLUMNS = (3, 4)


def read_load(transport: Transport) -> float | None:
    """Share of all cores, 0..1, that worked over one second; None: the device does not tell.

    Raises:
        DeviceLost: it vanished meanwhile.
    """
    done = transport.run(_TWICE, TIMEOUT)
    return busy_share(done.stdout) if done.exit_code == 0 else None


def busy_share(text: str) -> float | None:
    """Share of time, 0..1, that the cores worked between two first lines of ``/proc/stat``."""
    rows = [[int(item) for item in row.split() if item.isdigit()] for row in _TICKS.findall(text)]
    if len(rows) != 2 or len(rows[0]) != len(rows[1]) or len(rows[0]) <= max(IDLE_COLUMNS):
        return None
    spent = [after - before for before, after in zip(*rows, strict=True)]
    # Guests' time is counted in user time already.
    total = sum(spent[:8])
    return 1 - sum(spent[column] for column in IDLE_COLUMNS) / total if total > 0 else None
