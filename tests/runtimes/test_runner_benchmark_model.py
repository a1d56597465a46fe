"""The output of TFLite's benchmark_model, in its own format."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.runner.benchmark_model import Statistics, read_benchmark_model

# As an arm64 build logs it, written from its format.
PRINTED = """\
STARTING!
Log parameter values verbosely: [0]
Min num runs: [50]
Num threads: [4]
Min warmup runs duration (seconds): [0.5]
Graph: [/data/local/tmp/v1.tflite]
Loaded model /data/local/tmp/v1.tflite
INFO: Initialized TensorFlow Lite runtime.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 29 out of 31 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 2 partitions for the whole graph.
The input model file size (MB): 0.497264
Initialized session in 12.087ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=218 first=4820 curr=2267 min=2203 max=4820 avg=2287.32 std=181

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=438 first=2253 curr=2290 min=2199 max=2954 avg=2277.4 std=57

Inference timings in us: Init: 12087, First inference: 4820, Warmup (avg): 2287.32, Inference (avg): 2277.4
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint of the model at runtime. Take the information at your discretion.
Memory footprint delta from the start of the tool (MB): init=3.5 overall=5.75
"""  # noqa: E501
# With Android's log in front of each line.
LOGGED = "".join(f"11-25 07:00:00.000  1234  1234 I tflite  : {line}\n" for line in PRINTED.splitlines())


@pytest.mark.parametrize("text", [PRINTED, LOGGED, PRINTED.replace("\n", "\r\n")])
def test_everything_that_it_says(text: str) -> None:
    result = read_benchmark_model(text)
    assert (result.init_us, result.first_us, result.threads) == (12087, 4820, 4)
    assert result.warmup == Statistics(218, 4820, 2203, 4820, 2287.32, 181)
    assert result.inference == Statistics(438, 2253, 2199, 2954, 2277.4, 57)
    assert (result.delegate, result.nodes, result.delegated) == ("TfLiteXNNPackDelegate", 31, 29)
    assert result.memory_peak is None


def test_peak_memory_and_percentiles() -> None:
    text = PRINTED.replace("std=57", "std=57 p5=2201 median=2270 p95=2390")
    for line in (
        "Overall peak memory footprint (MB) via periodic monitoring: 5.25",
        "Peak memory footprint (MB): init=2 overall=5.25",
    ):
        result = read_benchmark_model(f"{text}{line}\n")
        assert result.inference.mean_us == 2277.4
        assert result.memory_peak == round(5.25 * 2**20)
    assert read_benchmark_model(text + "Peak memory footprint (MB): init=0 overall=0").memory_peak is None


def test_a_single_inference() -> None:
    text = "count=1 curr=812\nInference timings in us: Init: 1e+06, First inference: 812, Warmup (avg): 812, "
    result = read_benchmark_model(text + "Inference (avg): 812")
    assert result.inference == Statistics(1, 812, 812, 812, 812, None)
    assert (result.init_us, result.warmup, result.delegate) == (1e6, None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no timings"),
        (PRINTED[: PRINTED.index("Inference timings")], "no timings"),
        (PRINTED.replace("avg=2277.4", "avg=99"), "Two runs"),
        (PRINTED.replace("avg=2277.4", "mean=1"), "lack 'avg'"),
        (PRINTED.replace("Init: 12087", "Init: 1-2"), "'1-2'"),
        (PRINTED.replace("Init: 12087", "Init: -5"), "'-5'"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_benchmark_model(text)


@given(st.text(), st.integers(0, len(PRINTED)))
def test_garbage_is_refused_or_read(garbage: str, at: int) -> None:
    with contextlib.suppress(InputError):
        read_benchmark_model(PRINTED[:at] + garbage + PRINTED[at:])
