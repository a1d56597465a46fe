"""What a runner prints becomes a report, whatever stands between the lines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.runner.lines import read_report
from mobiledeploy.runtimes.runner.report import Failure, OpTime, Report, Tensor
from mobiledeploy.runtimes.runner.request import Request, Timing

HELLO = {
    "event": "hello",
    "protocol": 1,
    "runner": "native 1",
    "engine": "litert",
    "engine_version": "2.3.0",
    "clock": "CLOCK_MONOTONIC",
    "pid": 7,
}
TENSOR = {"name": "x", "dtype": "int8", "shape": [1, 2], "bytes": 2}
SAMPLES = {"event": "samples", "start": 1000, "gaps": [0, 10, 12], "ns": [9, 8, 7]}
END = {"event": "end", "exit_code": 0}


def lines(*events: dict[str, Any]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def test_everything_that_was_said() -> None:
    said = lines(
        HELLO,
        {"event": "load", "ns": 5},
        {
            "event": "model",
            "inputs": [TENSOR],
            "outputs": [TENSOR],
            "delegate": "XNNPACK",
            "nodes": 3,
            "delegated": 2,
        },
        {"event": "init", "ns": 6},
        {"event": "first", "ns": 11},
        {"event": "warmup", "ns": [10, 9]},
        SAMPLES,
        {**SAMPLES, "start": 2000},
        {"event": "memory", "before": 100, "peak": 200},
        {"event": "outputs", "items": 1, "sha256": "a" * 64, "steady": True},
        {"event": "profile", "ops": [{"name": "n", "kind": "CONV_2D", "ns": 4, "calls": 2}]},
        {"event": "of a later runner", "odd": None},
        END,
    )
    tensor = Tensor("x", "int8", (1, 2), 2)
    assert read_report(said) == Report(
        runner="native 1",
        engine="litert",
        engine_version="2.3.0",
        clock="CLOCK_MONOTONIC",
        inputs=(tensor,),
        outputs=(tensor,),
        delegate="XNNPACK",
        nodes=3,
        delegated=2,
        load_ns=5,
        init_ns=6,
        first_ns=11,
        warmup_ns=(10, 9),
        samples_ns=(9, 8, 7, 9, 8, 7),
        starts_ns=(1000, 1010, 1022, 2000, 2010, 2022),
        memory_before=100,
        memory_peak=200,
        digest="a" * 64,
        steady=True,
        items=1,
        ops=(OpTime("n", "CONV_2D", 4, 2),),
        ended=True,
    )


def test_a_run_that_was_cut_off_keeps_what_it_had() -> None:
    whole = lines(HELLO, SAMPLES, SAMPLES, END)
    cut = read_report(whole[: whole.index('"end"')])
    assert cut.samples_ns == (9, 8, 7) * 2
    assert not cut.ended
    half_a_line = read_report(lines(HELLO, SAMPLES) + json.dumps(SAMPLES)[:30])
    assert half_a_line.samples_ns == (9, 8, 7)
    assert half_a_line.odd


def test_what_else_the_engine_prints_is_kept_apart() -> None:
    report = read_report("INFO: \x1b[31mhello\n" + lines(HELLO, END) + "[" * 100_000)
    assert report.odd[0] == "INFO:  [31mhello"
    assert report.ended


def test_a_failure() -> None:
    said = lines({"event": "error", "code": "model", "message": "a\nb"}, {**END, "exit_code": 66})
    assert read_report(said).failure == Failure("model", "a b")


@pytest.mark.parametrize(
    "event",
    [
        {**HELLO, "protocol": 2},
        {**SAMPLES, "ns": [1]},
        {**SAMPLES, "ns": [1, -2, 3]},
        {**SAMPLES, "ns": [1, True, 3]},
        {**SAMPLES, "ns": [1, 2.5, 3]},
        {**SAMPLES, "ns": 7},
        {"event": "samples"},
        {"event": "init", "ns": 2**63},
        {"event": "model", "inputs": [1], "outputs": []},
        {"event": "outputs", "items": 1, "sha256": "../" * 20},
        {"event": "profile", "ops": [{}]},
    ],
)
def test_a_damaged_event_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="damaged"):
        read_report(lines(event))


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_garbage_gives_no_samples(garbage: str) -> None:
    report = read_report(lines(HELLO) + garbage + "\n")
    assert (report.samples_ns, report.ended) == ((), False)


def test_a_request_as_arguments() -> None:
    request = Request(
        "litert",
        "/data/m.tflite",
        library="/data/lib.so",
        threads=2,
        affinity=(4, 5),
        inputs="/data/in",
        timing=Timing(period_us=33_333),
    )
    assert " ".join(request.arguments()) == (
        "--engine litert --model /data/m.tflite --threads 2 --library /data/lib.so --affinity 4,5 "
        "--inputs /data/in --warmup-runs 1 --warmup-seconds 0 --min-runs 50 --min-seconds 1 "
        "--max-seconds 0 --period-us 33333"
    )
    each = Request("onnxruntime", "m", inputs="i", outputs="o", timing=None).arguments()
    assert each[-1] == "--each"
