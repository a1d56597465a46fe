"""What an attempt had measured when it was cut: as JSON on its way, marked as incomplete when it arrives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from mobiledeploy.device_tests.history.decode import decode
from mobiledeploy.device_tests.history.documents import pack, unpack
from mobiledeploy.device_tests.latency_run import LatencyRun


@dataclass(frozen=True, slots=True)
class _Kept:
    runs: tuple[LatencyRun, ...] = ()


def pack_runs(runs: Sequence[LatencyRun]) -> bytes:
    """Compressed JSON of runs.

    Raises:
        InputError: a figure is not a number.
    """
    return pack(asdict(_Kept(tuple(runs))))


def unpack_runs(kept: bytes) -> tuple[LatencyRun, ...]:
    """What ``pack_runs`` packed; of nothing, none.

    Raises:
        InputError, NotDecodable: it is damaged.
    """
    return decode(_Kept, unpack(kept, "lab")).runs if kept else ()


def cut(runs: Iterable[LatencyRun], why: str) -> tuple[LatencyRun, ...]:
    """Runs of a lab, marked as those of an attempt that did not come to its end."""
    return tuple(replace(run, lab=replace(run.lab, cut=why)) if run.lab else run for run in runs)
