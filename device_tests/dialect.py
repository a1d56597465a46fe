"""How a runner is asked and understood: our own protocol, or TFLite's ``benchmark_model``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.runner.benchmark_model import read_benchmark_model
from mobiledeploy.runtimes.runner.lines import read_report
from mobiledeploy.runtimes.runner.report import Report
from mobiledeploy.runtimes.runner.request import Request

BENCHMARK_MODEL = "benchmark_model"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One language of runners.

    Attributes:
        ask: a request as arguments.
        read: standard output, standard error, and whether it came to its end, to a report.
        aside: what a measurement in it lacks; empty: nothing.
    """

    ask: Callable[[Request], list[str]]
    read: Callable[[str, str, bool], Report]
    aside: str = ""


def _read_lines(stdout: str, _stderr: str, _ended: bool) -> Report:
    report = read_report(stdout)
    if report.ended and report.failure is None and report.digest is None:
        raise InputError(
            "the runner does not say what it computed", hint="Use the runner of this version of mobiledeploy"
        )
    return report


def _ask_benchmark_model(request: Request) -> list[str]:
    timing = request.timing
    if timing is None or request.profile or request.affinity or timing.period_us:
        raise InputError(
            "benchmark_model measures latency in bursts on any core, and no more",
            hint="Leave --profile, --affinity and --period out, or take another runner",
        )
    limit = timing.max_seconds or 1e6
    return [
        f"--graph={request.model}",
        f"--num_threads={request.threads}",
        f"--warmup_runs={timing.warmup_runs}",
        f"--warmup_min_secs={timing.warmup_seconds:g}",
        f"--num_runs={timing.min_runs}",
        f"--min_secs={timing.min_seconds:g}",
        f"--max_secs={limit:g}",
    ]


def _read_benchmark_model(stdout: str, stderr: str, ended: bool) -> Report:
    if not ended:
        return Report(runner=BENCHMARK_MODEL, engine="litert")
    result = read_benchmark_model(stdout + "\n" + stderr)
    return Report(
        runner=BENCHMARK_MODEL,
        engine="litert",
        clock="of benchmark_model",
        delegate=result.delegate,
        nodes=result.nodes,
        delegated=result.delegated,
        init_ns=round(1000 * result.init_us),
        first_ns=round(1000 * result.first_us),
        samples_ns=(round(1000 * result.inference.mean_us),),
        starts_ns=(0,),
        memory_peak=result.memory_peak,
        ended=True,
    )


OURS = Dialect(Request.arguments, _read_lines)
OF_BENCHMARK_MODEL = Dialect(
    _ask_benchmark_model,
    _read_benchmark_model,
    "benchmark_model prints no samples: each one here is the mean of a launch",
)
