"""What a candidate must keep, and how people write it: ``15ms``, ``3%``, ``5MB``."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.errors import InputError

Unit = Literal["time", "share", "bytes", "points", "flag", "text"]
_TIMES = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
_BYTES = {
    "B": 1.0,
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
}
_SHARES = {"%": 0.01}
_POINTS = {"": 1.0, "points": 1.0}
_UNITS: dict[Unit, dict[str, float]] = {"time": _TIMES, "share": _SHARES, "bytes": _BYTES, "points": _POINTS}
_EXAMPLES: dict[Unit, str] = {"time": "15ms", "share": "3%", "bytes": "5MB", "points": "0.5"}
_NUMBER = re.compile(r"\s*(?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<unit>[^\d\s]*)\s*")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of gate.

    Attributes:
        name: as on the command line and in ``[gates]``.
        unit: of its limit.
        against: needs a baseline.
        runs: needs launches on the device.
    """

    name: str
    unit: Unit
    against: bool = False
    runs: bool = False

    def __reduce__(self) -> tuple[Callable[[str], Kind], tuple[str]]:
        """Kinds are told apart by identity: in another process it is the one of that name there."""
        return _known, (self.name,)


def _known(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.name == name)


REGRESSION = Kind("max-regression", "share", against=True, runs=True)
MEDIAN = Kind("max-median", "time", runs=True)
P90 = Kind("max-p90", "time", runs=True)
INIT = Kind("max-init", "time", runs=True)
MEMORY = Kind("max-memory", "bytes", runs=True)
DELEGATED = Kind("min-delegated", "share", runs=True)
SIZE = Kind("max-size", "bytes")
TOP1_DROP = Kind("max-top1-drop", "points", against=True)
INTEGER = Kind("full-integer", "flag")
KINDS = (REGRESSION, MEDIAN, P90, INIT, MEMORY, DELEGATED, SIZE, TOP1_DROP, INTEGER)


@dataclass(frozen=True, slots=True)
class Gate:
    """One limit.

    Attributes:
        kind: what is limited.
        limit: nanoseconds, bytes, a share (0.03 for 3%) or percentage points; 1 for a flag.
        source: where it was written, or how it was found.
    """

    kind: Kind
    limit: float
    source: str = ""

    @property
    def shown(self) -> str:
        """The limit for people."""
        return show(self.limit, self.kind.unit)


def parse_gate(name: str, text: str, source: str = "") -> Gate:
    """A gate from its name and its limit.

    Args:
        name: of one of ``KINDS``.
        text: number and unit; for a flag ``true``.
        source: for messages; empty: the name as an option.

    Raises:
        InputError: no such gate (names the nearest), no number, no unit, an unknown one, or below 0.
    """
    where = source or f"--{one_line(name)}"
    kind = next((kind for kind in KINDS if kind.name == name), None)
    if kind is None:
        names = [kind.name for kind in KINDS]
        near = difflib.get_close_matches(name, names, 1, 0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Gates are {', '.join(names)}"
        raise InputError(f"there is no gate {one_line(name)!r}", where=where, hint=hint)
    if kind.unit == "flag":
        if text.strip().lower() != "true":
            raise InputError(
                f"{one_line(text)!r} is not true", where=where, hint="Write true, or leave it out"
            )
        return Gate(kind, 1.0, where)
    value = _parse(text, kind.unit, where)
    if kind is DELEGATED and value > 1:
        raise InputError(f"{one_line(text)} is more than all", where=where, hint="Give at most 100%")
    return Gate(kind, value, where)


def parse_seconds(text: str, where: str) -> float:
    """Seconds from ``120s``, ``2min`` or ``500ms``.

    Raises:
        InputError: no number, no unit, an unknown one, or not above 0.
    """
    value = _number(text, {**_TIMES, "min": 60e9, "h": 3600e9}, "120s", where) / 1e9
    if value <= 0:
        raise InputError(f"{one_line(text)} leaves no time", where=where, hint="Give some, like 120s")
    return value


def gates_from_table(table: Mapping[str, object], source: str) -> tuple[Gate, ...]:
    """The gates of a ``[gates]`` table; those of flags that are false are left out.

    Args:
        table: name -> text, a number for points, or a truth value for flags.
        source: the file, for messages.

    Raises:
        InputError: see ``parse_gate``; a value of another type.
    """
    gates = []
    for name, value in table.items():
        where = f"{source}: gates.{one_line(name)}"
        if value is False and name == INTEGER.name:
            continue
        if not isinstance(value, (str, int, float)):
            raise InputError("the limit is no text", where=where, hint='Write it like "15ms"')
        gates.append(parse_gate(name, str(value).lower() if isinstance(value, bool) else str(value), where))
    return tuple(gates)


def show(value: float, unit: Unit) -> str:
    """A value for people, in a unit that fits it."""
    if not math.isfinite(value):
        return "unknown"
    if unit == "share":
        return f"{100 * value:.4g}%"
    if unit == "points":
        return f"{value:.4g} points"
    if unit in ("flag", "text"):
        return "yes" if value else "no"
    names = (("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0))
    if unit == "bytes":
        names = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0))
    name, scale = next((item for item in names if abs(value) >= item[1]), names[-1])
    return f"{value / scale:.4g} {name}"


def _parse(text: str, unit: Unit, where: str) -> float:
    value = _number(text, _UNITS[unit], _EXAMPLES[unit], where)
    if value < 0:
        raise InputError(f"{one_line(text)} is below 0", where=where, hint=f"Give it like {_EXAMPLES[unit]}")
    return value


def _number(text: str, units: Mapping[str, float], example: str, where: str) -> float:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InputError(f"{one_line(text)!r} is no number with a unit", where=where, hint=f"Like {example}")
    unit = match["unit"]
    if unit not in units:
        names = [name for name in units if name]
        folded = [name for name in names if name.lower() == unit.lower()]
        near = folded or difflib.get_close_matches(unit, names, 1, 0.5)
        problem = f"{one_line(text)!r} has an unknown unit" if unit else f"{one_line(text)!r} has no unit"
        suggestion = f"Did you mean {match['number']}{near[0]}?" if near else f"Write it like {example}."
        raise InputError(problem, where=where, hint=f"{suggestion} Units: {', '.join(names)}")
    value = float(match["number"]) * units[unit]
    if not math.isfinite(value):
        raise InputError(f"{one_line(text)!r} is too large", where=where, hint=f"Write it like {example}")
    return value
