"""What a runner said, as plain data (docs/runner.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output as the engine has it: name, dtype (``int8``...), shape, size of one in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class OpTime:
    """Time of one operator: its name, its kind, nanoseconds of all its calls, number of calls."""

    name: str
    kind: str
    ns: int
    calls: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a runner gave up: one of the codes of docs/runner.md, and one line."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one launch said; what it did not say is None or empty.

    Attributes:
        runner, engine, engine_version, clock: by their own words.
        inputs, outputs: of the model.
        delegate: what took operators over; None: nothing, or the engine does not say.
        nodes, delegated: operators of the graph, and how many of them the delegate took.
        load_ns: to load the engine's library.
        init_ns: from the file to a model that is ready to run.
        first_ns: the first inference.
        warmup_ns: those before the samples, without the first.
        samples_ns: one by one, in order.
        starts_ns: on the clock, of each sample.
        memory_before, memory_peak: resident bytes before the model was loaded, and at most.
        digest: sha256 of the outputs: of the first inference, or of all that ``--outputs`` holds.
        steady: the last outputs for the first input were the same bytes; None: not compared.
        items: inferences whose outputs were written.
        ops: per-operator times.
        failure: what it gave up for.
        ended: the end-of-run line arrived, so nothing is missing.
        odd: lines that are no event, at most the first ten.
    """

    runner: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    clock: str | None = None
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    delegate: str | None = None
    nodes: int | None = None
    delegated: int | None = None
    load_ns: int | None = None
    init_ns: int | None = None
    first_ns: int | None = None
    warmup_ns: tuple[int, ...] = ()
    samples_ns: tuple[int, ...] = ()
    starts_ns: tuple[int, ...] = ()
    memory_before: int | None = None
    memory_peak: int | None = None
    digest: str | None = None
    steady: bool | None = None
    items: int | None = None
    ops: tuple[OpTime, ...] = ()
    failure: Failure | None = None
    ended: bool = False
    odd: tuple[str, ...] = ()
