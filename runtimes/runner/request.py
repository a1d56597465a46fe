"""What a runner is asked to do: the arguments that every runner understands (docs/runner.md)."""

from __future__ import annotations

from dataclasses import dataclass

ENGINES = ("litert", "onnxruntime", "coreml")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a measurement goes on.

    Attributes:
        warmup_runs, warmup_seconds: inferences before the samples: at least that many, at least so long.
        min_runs, min_seconds: samples: at least that many, at least so long.
        max_seconds: no sample begins later than this after the first one; 0: no limit.
        period_us: paced: a sample begins every so many microseconds; 0: burst, one after the other.
    """

    warmup_runs: int = 1
    warmup_seconds: float = 0.0
    min_runs: int = 50
    min_seconds: float = 1.0
    max_seconds: float = 0.0
    period_us: int = 0

    def arguments(self) -> list[str]:
        """As options of a runner."""
        return [
            *("--warmup-runs", str(self.warmup_runs), "--warmup-seconds", f"{self.warmup_seconds:g}"),
            *("--min-runs", str(self.min_runs), "--min-seconds", f"{self.min_seconds:g}"),
            *("--max-seconds", f"{self.max_seconds:g}", "--period-us", str(self.period_us)),
        ]


@dataclass(frozen=True, slots=True)
class Request:
    """One launch of a runner.

    Attributes:
        engine: one of ``ENGINES``.
        model: path on the device.
        library: path on the device of the engine's library; None: the runner has its engine itself.
        threads: of the engine, at least 1.
        affinity: cores that it may run on; empty: all.
        inputs: packed file on the device: the bytes of every input tensor, item after item; None: made up.
        outputs: packed file to write, the same way; None: none is written.
        timing: how long to measure; None: every item of ``inputs`` once, for its outputs.
        profile: report the time of each operator, of inferences after those that are measured.
    """

    engine: str
    model: str
    library: str | None = None
    threads: int = 1
    affinity: tuple[int, ...] = ()
    inputs: str | None = None
    outputs: str | None = None
    timing: Timing | None = Timing()
    profile: bool = False

    def arguments(self) -> list[str]:
        """The runner's command line, without its name."""
        words = ["--engine", self.engine, "--model", self.model, "--threads", str(self.threads)]
        for option, value in (
            ("--library", self.library),
            ("--affinity", ",".join(map(str, self.affinity))),
            ("--inputs", self.inputs),
            ("--outputs", self.outputs),
        ):
            words += [option, value] if value else []
        words += self.timing.arguments() if self.timing else ["--each"]
        return [*words, "--profile"] if self.profile else words
