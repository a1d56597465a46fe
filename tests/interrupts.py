"""Ctrl-C for processes that tests start."""

from __future__ import annotations

import signal


def heed_interrupts() -> None:
    """For ``preexec_fn``: shells let processes in the background ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
