"""JSON lines of a runner to a ``Report``; what a device prints is never trusted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.runner.report import Failure, OpTime, Report, Tensor

PROTOCOL = 1
ODD_LINES = 10
LONGEST_TEXT = 300
# More than any clock or memory that a runner could mean.
LARGEST = 2**63 - 1


def read_report(text: str) -> Report:
    """What a runner printed, as far as it got.

    Args:
        text: its standard output; lines that are no event are kept in ``Report.odd``.

    Raises:
        InputError: an event is not what docs/runner.md says, or the runner speaks another protocol.
    """
    heard = _Heard()
    for line in text.splitlines():
        if line.strip():
            heard.take(line)
    return heard.report()


@dataclass
class _Heard:
    values: dict[str, Any] = field(default_factory=dict)
    warmup: list[int] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        event = _event(line)
        if event is None or self.values.get("ended"):
            if len(self.odd) < ODD_LINES:
                self.odd.append(_printable(line))
            return
        read = _EVENTS.get(str(event["event"]))
        if read is None:
            return
        try:
            read(self, event)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the runner's event {_printable(line)} is damaged ({type(error).__name__}: {error})",
                hint="Update mobiledeploy on both sides, or see what else prints on that device",
            ) from error

    def hello(self, event: Mapping[str, Any]) -> None:
        if event["protocol"] != PROTOCOL:
            raise ValueError(f"protocol {event['protocol']!r} instead of {PROTOCOL}")
        for key in ("runner", "engine", "engine_version", "clock"):
            self.values[key] = _text(event[key])

    def load(self, event: Mapping[str, Any]) -> None:
        self.values["load_ns"] = _count(event["ns"])

    def model(self, event: Mapping[str, Any]) -> None:
        self.values.update(
            inputs=tuple(map(_tensor, event["inputs"])),
            outputs=tuple(map(_tensor, event["outputs"])),
            delegate=_optional(_text, event.get("delegate")),
            nodes=_optional(_count, event.get("nodes")),
            delegated=_optional(_count, event.get("delegated")),
        )

    def init(self, event: Mapping[str, Any]) -> None:
        self.values["init_ns"] = _count(event["ns"])

    def first(self, event: Mapping[str, Any]) -> None:
        self.values["first_ns"] = _count(event["ns"])

    def warm_up(self, event: Mapping[str, Any]) -> None:
        self.warmup += map(_count, event["ns"])

    def add_samples(self, event: Mapping[str, Any]) -> None:
        times, gaps = (list(map(_count, event[key])) for key in ("ns", "gaps"))
        if len(times) != len(gaps):
            raise ValueError(f"{len(times)} times and {len(gaps)} gaps")
        self.samples += times
        self.starts += accumulate(gaps[1:], initial=_count(event["start"])) if gaps else []

    def memory(self, event: Mapping[str, Any]) -> None:
        for key in ("before", "peak"):
            self.values[f"memory_{key}"] = _optional(_count, event.get(key))

    def add_outputs(self, event: Mapping[str, Any]) -> None:
        digest, steady = _text(event["sha256"]), event.get("steady")
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ValueError("sha256 is no digest")
        if steady not in (None, True, False):
            raise ValueError("steady is neither true nor false")
        self.values.update(items=_count(event["items"]), digest=digest, steady=steady)

    def profile(self, event: Mapping[str, Any]) -> None:
        self.values["ops"] = tuple(
            OpTime(_text(op["name"]), _text(op["kind"]), _count(op["ns"]), _count(op["calls"]))
            for op in event["ops"]
        )

    def error(self, event: Mapping[str, Any]) -> None:
        self.values["failure"] = Failure(_text(event["code"]), _text(event["message"]))

    def end(self, event: Mapping[str, Any]) -> None:
        _count(event["exit_code"])
        self.values["ended"] = True

    def report(self) -> Report:
        return Report(
            **self.values,
            warmup_ns=tuple(self.warmup),
            samples_ns=tuple(self.samples),
            starts_ns=tuple(self.starts),
            odd=tuple(self.odd),
        )


_EVENTS: Mapping[str, Callable[[_Heard, Mapping[str, Any]], None]] = {
    "hello": _Heard.hello,
    "load": _Heard.load,
    "model": _Heard.model,
    "init": _Heard.init,
    "first": _Heard.first,
    "warmup": _Heard.warm_up,
    "samples": _Heard.add_samples,
    "memory": _Heard.memory,
    "outputs": _Heard.add_outputs,
    "profile": _Heard.profile,
    "error": _Heard.error,
    "end": _Heard.end,
}


def _event(line: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(line)
    # A line of ten thousand brackets is an error of recursion.
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("event"), str) else None


def _tensor(value: Any) -> Tensor:
    shape = tuple(_count(side) for side in value["shape"])
    return Tensor(_text(value["name"]), _text(value["dtype"]), shape, _count(value["bytes"]))


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise ValueError(f"{_printable(repr(value))} is no count")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{_printable(repr(value))} is no text")
    return _printable(value)


def _optional(read: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else read(value)


def _printable(text: str) -> str:
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain if len(plain) <= LONGEST_TEXT else f"{plain[:LONGEST_TEXT]}..."
