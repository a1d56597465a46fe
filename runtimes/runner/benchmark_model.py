"""What TFLite's own ``benchmark_model`` prints, as plain data: statistics, since it prints no samples."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mobiledeploy.errors import InputError

LARGEST_TEXT = 10_000_000
_NUMBER = r"[-+0-9.e]+"
# Like "count=50 first=812 curr=790 min=780 max=901 avg=795.3 std=12"; newer ones add percentiles.
_STATISTICS = re.compile(rf"\bcount=([0-9]+)((?: +[a-z0-9]+={_NUMBER})+)")
_PAIR = re.compile(rf"([a-z0-9]+)=({_NUMBER})")
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: ({_NUMBER}), First inference: ({_NUMBER}), "
    rf"Warmup \(avg\): ({_NUMBER}), Inference \(avg\): ({_NUMBER})"
)
_PEAK = re.compile(
    rf"[Pp]eak memory footprint \(MB\)(?: via periodic monitoring)?: (?:init={_NUMBER} overall=)?({_NUMBER})"
)
_THREADS = re.compile(r"Num threads: \[([0-9]+)\]")
_DELEGATED = re.compile(r"Replacing ([0-9]+) out of ([0-9]+) node\(s\) with delegate \(([\w.-]+)\)")
_KEYS = ("first", "min", "max", "avg", "std")


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of a series of inferences; microseconds.

    Attributes:
        count: inferences.
        first_us: the first one.
        min_us, max_us, mean_us, std_us: over all of them; ``std_us`` is None where it was not printed, as
            with a single one.
    """

    count: int
    first_us: float
    min_us: float
    max_us: float
    mean_us: float
    std_us: float | None


@dataclass(frozen=True, slots=True)
class BenchmarkModelResult:
    """What one launch said; what it did not say is None.

    Attributes:
        init_us: from the file to a model that is ready to run.
        first_us: the first inference.
        warmup: statistics of the warm-up.
        inference: statistics of the measurement.
        memory_peak: resident bytes at most, over everything.
        threads: of the engine, where it printed its parameters.
        delegate: what took operators over.
        nodes, delegated: operators of the graph, and how many of them the delegate took.
    """

    init_us: float
    first_us: float
    warmup: Statistics | None
    inference: Statistics
    memory_peak: int | None
    threads: int | None
    delegate: str | None
    nodes: int | None
    delegated: int | None


def read_benchmark_model(text: str) -> BenchmarkModelResult:
    """Read the output of one ``benchmark_model`` launch.

    Args:
        text: its standard output and standard error, in any order: the log's lines may carry prefixes.

    Raises:
        InputError: the summary of the timings is missing, so that the run did not come to its end, or
            its statistics do not belong to it.
    """
    text = text[:LARGEST_TEXT]
    summary = _SUMMARY.search(text)
    series = [_statistics(found) for found in _STATISTICS.finditer(text)]
    if summary is None or not series:
        raise InputError(
            "benchmark_model printed no timings",
            where=_last_line(text),
            hint="It was cut off or failed: see what it printed",
        )
    init, first, _, mean = map(_number, summary.groups())
    inference = series[-1]
    # Its summary has at most six digits.
    if abs(inference.mean_us - mean) > 1e-3 * mean + 1:
        raise InputError(
            f"benchmark_model's summary says {mean:g} us and its statistics {inference.mean_us:g} us",
            hint="Two runs were mixed up: give the output of one",
        )
    peak, threads = _PEAK.search(text), _THREADS.search(text)
    replaced = list(_DELEGATED.finditer(text))
    return BenchmarkModelResult(
        init_us=init,
        first_us=first,
        warmup=series[-2] if len(series) > 1 else None,
        inference=inference,
        memory_peak=round(_number(peak[1]) * 2**20) if peak and _number(peak[1]) > 0 else None,
        threads=int(threads[1]) if threads else None,
        delegate=replaced[0][3] if replaced else None,
        nodes=int(replaced[0][2]) if replaced else None,
        delegated=sum(int(found[1]) for found in replaced) if replaced else None,
    )


def _statistics(found: re.Match[str]) -> Statistics:
    values = {key: _number(value) for key, value in _PAIR.findall(found[2])}
    # A single inference has only "count=1 curr=812".
    if only := values.get("curr") if int(found[1]) == 1 else None:
        values = {**dict.fromkeys(_KEYS[:-1], only), **values}
    try:
        first, least, most, mean = (values[key] for key in _KEYS[:-1])
    except KeyError as error:
        raise InputError(
            f"benchmark_model's statistics lack {error}",
            where=_last_line(found[0]),
            hint="Its format is another: say so to mobiledeploy",
        ) from error
    return Statistics(int(found[1]), first, least, most, mean, values.get("std"))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise InputError(f"benchmark_model printed {text!r} where a number belongs") from error
    if not 0 <= value < float("inf"):
        raise InputError(f"benchmark_model printed {text!r} where a time belongs")
    return value


def _last_line(text: str) -> str:
    (*_, last) = text.strip().splitlines() or [""]
    return "".join(char if char.isprintable() else " " for char in last)[:200]
