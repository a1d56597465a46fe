"""One run as a list shows it, and which runs to list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mobiledeploy.device_tests.latency_run import EMULATED_CLOCK

Kind = Literal["latency", "accuracy", "gate", "diagnosis"]


@dataclass(frozen=True, slots=True)
class Row:
    """What is looked for and drawn; all of it is drawn from the run's document.

    Texts are one line without control characters, cut to 300 characters.  None: the run does not say.

    Attributes:
        id: 32 hexadecimal digits.
        kind: of ``Kind``; a ``gate`` and a ``diagnosis`` are no runs, and have no figures.
        time: UTC: when a latency run began, when another one was stored.
        device: its reference.
        device_name, soc, build, device_kind: maker and model, chip, system, ``android``...
        emulated: a virtual device.
        clock: of the samples; ``EMULATED_CLOCK`` where times are no device's.
        model_name, model_sha256, model_size, target, arithmetic: the file; size in bytes.
        engine, engine_version, threads, affinity, mode: the setting; affinity like ``4-7`` or ``all``,
            mode ``burst`` or ``paced 33 ms``.
        complete: nothing was cut short.
        samples: of latency.
        median_ns, low_ns, high_ns, p90_ns, p99_ns: nanoseconds; low and high: 95% of the median.
        init_ns: median over launches, nanoseconds.
        memory_peak: bytes.
        images: number.
        top1, top5: shares, 0..1, of a classifier.
        outcome: of a gate or a diagnosis.
        harness: version of mobiledeploy.
        git_commit: of the user's project.
        label: the user's own word.
        metric, value: name and value, 0..1, of the figure that stands for an evaluation.
    """

    id: str
    kind: str
    time: datetime
    device: str | None
    device_name: str | None
    soc: str | None
    build: str | None
    device_kind: str | None
    emulated: bool | None
    clock: str | None
    model_name: str
    model_sha256: str
    model_size: int | None
    target: str | None
    arithmetic: str | None
    engine: str
    engine_version: str | None
    threads: int | None
    affinity: str | None
    mode: str | None
    complete: bool
    samples: int | None
    median_ns: float | None
    low_ns: float | None
    high_ns: float | None
    p90_ns: float | None
    p99_ns: float | None
    init_ns: int | None
    memory_peak: int | None
    images: int | None
    top1: float | None
    top5: float | None
    outcome: str | None
    harness: str
    git_commit: str | None
    label: str | None
    metric: str | None
    value: float | None

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to stand beside its figures."""
        emulated = (EMULATED_CLOCK,) if self.clock == EMULATED_CLOCK else ()
        return emulated if self.complete else (*emulated, "incomplete")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs; None and empty: whatever they are.

    Attributes:
        device: part of its reference or name, upper or lower case alike.
        model: part of the file's name, or the beginning of its sha256.
        engine: part of its name.
        kind: one of ``Kind``.
        label: the whole label.
        since, before: UTC; ``since`` included.
        complete: only those that came to their end, or only the others.
        last: only so many, the latest.
    """

    device: str = ""
    model: str = ""
    engine: str = ""
    kind: Kind | None = None
    label: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    complete: bool | None = None
    last: int | None = None
