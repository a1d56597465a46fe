"""Times as users write them: ``7d`` ago, or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from mobiledeploy.device_tests.history.columns import moment
from mobiledeploy.errors import InputError

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_moment(text: str, now: datetime | None = None) -> datetime:
    """``30m``, ``12h``, ``7d`` or ``2w`` before now, a date (its first moment, UTC) or ISO 8601.

    Raises:
        InputError: it is none of these.
    """
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return moment(text.strip(), "time")
    except (InputError, OverflowError) as error:
        raise InputError(
            f"{text!r} is no time", hint="Write 30m, 12h, 7d or 2w (ago), or a date like 2026-03-01"
        ) from error
