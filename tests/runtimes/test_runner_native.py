"""The native runner computes what the Python sessions compute, measures as asked, and says why it cannot."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from runner_launch import Launch, Launcher
from tflite_builder import G, N, T, build

from mobiledeploy.runtimes import onnx_session, tflite_session
from mobiledeploy.runtimes.runner.lines import read_report
from mobiledeploy.runtimes.session import Session

ONCE = ("--min-runs", "1", "--min-seconds", "0", "--warmup-runs", "0")
TARGETS = ("tflite", "onnx")


def session_of(path: Path) -> Session:
    return (tflite_session if path.suffix == ".tflite" else onnx_session).open_session(path, 1)


def some_items(path: Path, count: int) -> list[list[np.ndarray]]:
    generator = np.random.default_rng(7)
    return [
        [
            (generator.random([abs(side) for side in spec.shape]) * 200 - 100).astype(spec.dtype)
            for spec in session_of(path).inputs
        ]
        for _ in range(count)
    ]


def packed(arrays: list[np.ndarray]) -> bytes:
    return b"".join(array.tobytes() for array in arrays)


def check_each(native: Launcher, model: Path, folder: Path, count: int = 5, *options: str) -> Launch:
    """Every item through the runner is what the session makes of it, to the bit."""
    items, session = some_items(model, count), session_of(model)
    wanted = b"".join(packed(session.run(item)) for item in items)
    (folder / "in").write_bytes(b"".join(map(packed, items)))
    paths = ("--inputs", str(folder / "in"), "--outputs", str(folder / "out"))
    launch = native(model, *paths, "--each", *options)
    report = launch.report
    assert (launch.exit_code, report.failure, report.ended) == (0, None, True), launch.stderr
    assert (folder / "out").read_bytes() == wanted
    assert (report.items, report.digest) == (count, hashlib.sha256(wanted).hexdigest())
    assert report.steady is True
    assert len(report.samples_ns) == count - 1
    return launch


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_bits_as_the_session(
    target: str, native: Launcher, small_files: dict[str, Path], tmp_path: Path
) -> None:
    model = small_files[target]
    report = check_each(native, model, tmp_path).report
    session = session_of(model)
    for ours, theirs in ((report.inputs, session.inputs), (report.outputs, session.outputs)):
        assert [(t.name, t.dtype, t.shape) for t in ours] == [(s.name, s.dtype, s.shape) for s in theirs]


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("threads", [1, 2])
def test_real_networks(
    target: str, threads: int, native: Launcher, v1_files: dict[str, Path], tmp_path: Path
) -> None:
    check_each(native, v1_files[target], tmp_path, 5, "--threads", str(threads))


@pytest.mark.slow
@pytest.mark.data
def test_files_of_others(native: Launcher, data_dir: Path, tmp_path: Path) -> None:
    for model in sorted((data_dir / "tflite").glob("*.tflite")):
        check_each(native, model, tmp_path)


def test_inputs_and_outputs_in_the_files_order(native: Launcher, tmp_path: Path) -> None:
    """A signature's order is another; shapes differ, so that a mix-up would show."""
    graph = G(
        [T("y", (1, 3)), T("x", (1, 4)), T("w", (3, 4)), T("q", (1, 4))],
        [N("FULLY_CONNECTED", ("x", "w", None), ("y",)), N("ABS", ("x",), ("q",))],
        ["w", "x"],
        ["q", "y"],
        {"a": "x", "b": "w", "c": "y", "d": "q"},
    )
    model = tmp_path / "two.tflite"
    model.write_bytes(build(graph))
    report = check_each(native, model, tmp_path).report
    assert [tensor.bytes for tensor in report.inputs] == [48, 16]
    assert [tensor.shape for tensor in report.outputs] == [(1, 4), (1, 3)]


@pytest.mark.parametrize(
    ("dtype", "kind"), [("INT64", "ADD"), ("INT32", "ADD"), ("BOOL", "LOGICAL_OR"), ("INT16", "MAXIMUM")]
)
def test_dtypes(dtype: str, kind: str, native: Launcher, tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    graph = G([T("x", (2, 3), dtype), T("y", (2, 3), dtype)], [N(kind, ("x", "x"), ("y",))], ["x"], ["y"])
    model.write_bytes(build(graph))
    report = check_each(native, model, tmp_path).report
    assert report.inputs[0].dtype == dtype.lower()


@pytest.mark.parametrize("size", [1, 55, 56, 63, 64, 65, 119, 120])
def test_digests_of_any_length(size: int, native: Launcher, tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    tensors = [T("x", (size,), "BOOL"), T("y", (size,), "BOOL")]
    model.write_bytes(build(G(tensors, [N("LOGICAL_NOT", ("x",), ("y",))], ["x"], ["y"])))
    check_each(native, model, tmp_path, 3)


def test_signatures(native: Launcher, tmp_path: Path) -> None:
    """Compiled models are called by signature: one of another graph must not get the main graph's buffers."""
    tensors, nodes = [T("x", (4,)), T("y", (4,))], [N("ABS", ("x",), ("y",))]
    other = G([T("p", (2,)), T("q", (2,))], [N("NEG", ("p",), ("q",))], ["p"], ["q"], {"i": "p", "o": "q"})
    model = tmp_path / "m.tflite"
    model.write_bytes(build(G(tensors, nodes, ["x"], ["y"], {"i": "x", "o": "y"}), other))
    check_each(native, model, tmp_path)
    model.write_bytes(build(G(tensors, nodes, ["x"], ["y"]), other))
    launch = native(model, *ONCE)
    assert launch.exit_code == 66
    assert "signature" in str(launch.report.failure)


def test_names_are_ascii_on_the_line(native: Launcher, tmp_path: Path) -> None:
    name = 'x"\\\n\tü☃😀'
    model = tmp_path / "m.tflite"
    model.write_bytes(build(G([T(name, (1,)), T("y", (1,))], [N("ABS", (name,), ("y",))], [name], ["y"])))
    launch = native(model, *ONCE)
    assert launch.stdout.isascii()
    (said,) = {
        json.loads(line)["inputs"][0]["name"] for line in launch.stdout.splitlines() if '"inputs"' in line
    }
    assert said == name


def test_open_dimensions_become_one(native: Launcher, tmp_path: Path) -> None:
    sides = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 3])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Abs", ["x"], ["y"])], "g", [sides], [out])
    imports = [onnx.helper.make_opsetid("", 17)]
    model = tmp_path / "open.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=imports, ir_version=8), model)
    report = check_each(native, model, tmp_path).report
    assert report.inputs[0].shape == report.outputs[0].shape == (1, 3)


@pytest.mark.parametrize("target", TARGETS)
def test_a_measurement(target: str, native: Launcher, small_files: dict[str, Path], tmp_path: Path) -> None:
    model, out = small_files[target], tmp_path / "out"
    options = ("--warmup-runs", "3", "--min-runs", "20", "--min-seconds", "0.05", "--outputs", str(out))
    report = native(model, *options).report
    assert report.failure is None
    assert (report.runner, report.clock) == ("native 1", "CLOCK_MONOTONIC")
    assert len(report.warmup_ns) == 3
    assert len(report.samples_ns) >= 20
    last = report.starts_ns[-1] + report.samples_ns[-1]
    assert last - report.starts_ns[0] >= 50e6
    # In order, and none begins before the one before it has ended.
    ends = [start + ns for start, ns in zip(report.starts_ns, report.samples_ns, strict=True)]
    assert all(end <= start for end, start in zip(ends, report.starts_ns[1:], strict=False))
    for figure in (report.load_ns, report.init_ns, report.first_ns, report.memory_before, report.memory_peak):
        assert figure
    assert report.memory_peak > report.memory_before
    assert (report.items, report.steady) == (1, True)
    assert report.digest == hashlib.sha256(out.read_bytes()).hexdigest()


def test_as_long_as_asked(native: Launcher, small_files: dict[str, Path]) -> None:
    model = small_files["tflite"]
    times = ("--warmup-runs", "0", "--warmup-seconds", "0.2", "--min-runs", "1000000", "--max-seconds", "0.2")
    report = native(model, *times).report
    assert sum(report.warmup_ns) < 0.3e9
    assert 0 < len(report.samples_ns) < 1_000_000
    assert report.starts_ns[-1] - report.starts_ns[0] <= 0.2e9


def test_lines_come_at_least_once_a_second_and_at_most_a_thousand_samples_long(
    native: Launcher, small_files: dict[str, Path]
) -> None:
    launch = native(small_files["tflite"], "--min-seconds", "1.3")
    events = [json.loads(line) for line in launch.stdout.splitlines()]
    samples = [event for event in events if event["event"] == "samples"]
    assert len(samples) >= 2
    for event in samples:
        assert len(event["ns"]) <= 1000
        assert sum(event["gaps"]) < 1.2e9
        assert event["gaps"][0] == 0


def test_paced(native: Launcher, small_files: dict[str, Path]) -> None:
    options = ("--period-us", "10000", "--min-runs", "20", "--min-seconds", "0", "--warmup-runs", "1")
    report = native(small_files["tflite"], *options).report
    assert len(report.samples_ns) == 20
    offsets = [(start - report.starts_ns[0]) % 10_000_000 for start in report.starts_ns[1:]]
    # On the grid, never before; a busy host may be late.
    assert sorted(offsets)[len(offsets) // 2] < 2_000_000
    assert len({round((start - report.starts_ns[0]) / 1e7) for start in report.starts_ns}) == 20


def test_a_period_that_is_too_short_leaves_steps_out(native: Launcher, small_files: dict[str, Path]) -> None:
    report = native(
        small_files["tflite"], "--period-us", "1", "--min-runs", "20", "--min-seconds", "0"
    ).report
    assert len(report.samples_ns) == 20


@pytest.mark.parametrize("target", TARGETS)
def test_threads(target: str, native: Launcher, small_files: dict[str, Path]) -> None:
    """Counted from outside, while it runs."""
    counts = {}
    for wanted in (1, 3):
        line = native.line(small_files[target], "--threads", str(wanted), "--min-seconds", "20")
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        while '"first"' not in process.stdout.readline():
            pass
        counts[wanted] = len(list(Path(f"/proc/{process.pid}/task").iterdir()))
        process.terminate()
        process.communicate()
    assert counts[3] - counts[1] == 2


def test_affinity(native: Launcher, small_files: dict[str, Path]) -> None:
    core = min(os.sched_getaffinity(0))
    line = native.line(small_files["onnx"], "--threads", "2", "--affinity", str(core), "--min-seconds", "20")
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    while '"first"' not in process.stdout.readline():
        pass
    tasks = [int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir()]
    assert {frozenset(os.sched_getaffinity(task)) for task in tasks} == {frozenset({core})}
    process.terminate()
    process.communicate()


def test_profile_and_delegate(native: Launcher, small_files: dict[str, Path], tmp_path: Path) -> None:
    report = native(small_files["tflite"], *ONCE, "--profile").report
    assert (report.delegate, report.delegated) == ("XNNPACK", report.nodes)
    assert {op.calls for op in report.ops} == {20}
    assert any(op.kind.startswith("Convolution") and op.ns for op in report.ops)
    assert report.delegated == round(
        tflite_session.delegated_share(small_files["tflite"]) * (report.nodes or 0)
    )
    report = native(small_files["onnx"], *ONCE, "--profile").report
    assert {"QLinearConv"} <= {op.kind for op in report.ops}
    assert not list(small_files["onnx"].parent.glob("*.json"))
    half = tmp_path / "half.tflite"
    tensors = [T("x", (4,)), T("y", (4,)), T("z", (4,))]
    nodes = [N("ABS", ("x",), ("y",)), N("FLOOR_MOD", ("y", "x"), ("z",))]
    half.write_bytes(build(G(tensors, nodes, ["x"], ["z"])))
    report = native(half, *ONCE).report
    assert (report.delegate, report.nodes, report.delegated) == ("XNNPACK", 2, 1)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("options", "code", "name"),
    [
        (["--threads", "0"], 64, "usage"),
        (["--threads", "1x"], 64, "usage"),
        (["--threads"], 64, "usage"),
        (["--min-seconds", "nan"], 64, "usage"),
        (["--min-seconds", "-1"], 64, "usage"),
        (["--affinity", "1,,x"], 64, "usage"),
        (["--colour", "red"], 64, "usage"),
        (["--engine", "coreml"], 64, "usage"),
        (["--library", "/nowhere.so"], 65, "engine"),
        (["--library", "/proc/self/status"], 65, "engine"),
        (["--model", "/nowhere"], 66, "model"),
        (["--model", "/dev/null"], 66, "model"),
        (["--inputs", "/nowhere"], 67, "input"),
        (["--inputs", "/proc"], 67, "input"),
        (["--inputs", "/dev/zero"], 67, "input"),
        (["--inputs", "/proc/self/status"], 67, "input"),
        (["--outputs", "/nowhere/x"], 68, "output"),
        (["--outputs", "/dev/full"], 68, "output"),
        (["--affinity", "1023"], 71, "affinity"),
    ],
)
def test_failures(
    options: list[str], code: int, name: str, target: str, native: Launcher, small_files: dict[str, Path]
) -> None:
    launch = native(small_files[target], *ONCE, *options)
    failure = launch.report.failure
    assert failure is not None
    assert (launch.exit_code, failure.code) == (code, name), failure
    assert json.loads(launch.stdout.splitlines()[-1]) == {"event": "end", "exit_code": code}
    assert not launch.report.odd


@pytest.mark.parametrize("target", TARGETS)
def test_the_other_engines_library(target: str, native: Launcher, small_files: dict[str, Path]) -> None:
    other = native.library_of("onnxruntime" if target == "tflite" else "litert")
    launch = native(small_files[target], "--library", str(other))
    assert launch.exit_code == 65
    assert "lacks" in str(launch.report.failure)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("cut", [0, 1, 8, 200, 4000, -1, -300])
def test_damaged_models(
    target: str, cut: int, native: Launcher, small_files: dict[str, Path], tmp_path: Path
) -> None:
    whole = small_files[target].read_bytes()
    model = tmp_path / f"cut.{target}"
    model.write_bytes(whole[:cut])
    launch = native(model, *ONCE)
    # A cut that takes only what is not needed may pass.
    assert launch.exit_code in (66, *((0,) if cut < 0 and target == "tflite" else ())), launch.report.failure
    assert launch.report.ended


def test_a_model_that_is_too_large(native: Launcher, small_files: dict[str, Path], tmp_path: Path) -> None:
    for target in TARGETS:
        model = tmp_path / f"huge.{target}"
        with model.open("wb") as file:
            file.truncate(6 << 30)
        assert native(model, *ONCE).exit_code == 66


def test_not_enough_memory(native: Launcher, tmp_path: Path) -> None:
    model = tmp_path / "large.tflite"
    graph = G([T("x", (1, 1 << 28)), T("y", (1, 1 << 28))], [N("ABS", ("x",), ("y",))], ["x"], ["y"])
    model.write_bytes(build(graph))
    line = native.line(model, *ONCE)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    done = subprocess.run(line, capture_output=True, text=True, preexec_fn=limit, check=False)
    report = read_report(done.stdout)
    assert report.failure is not None
    assert (done.returncode, report.failure.code) in ((70, "memory"), (66, "model"))
    assert report.ended


@pytest.mark.parametrize("output", ["/dev/full", None])
def test_nobody_reads(output: str | None, native: Launcher, small_files: dict[str, Path]) -> None:
    line = native.line(small_files["tflite"], "--min-seconds", "30")
    if output:
        with Path(output).open("wb") as full:
            done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, timeout=20, check=False)
        assert done.returncode == 68
        return
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == 68


def test_ended_by_a_signal_it_says_nothing_wrong(native: Launcher, small_files: dict[str, Path]) -> None:
    line = native.line(small_files["tflite"], "--min-seconds", "60")
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    time.sleep(0.5)
    process.terminate()
    said, _ = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM
    report = read_report(said)
    assert not report.ended
    assert report.failure is None
    assert report.init_ns


def test_a_crash_is_told(native: Launcher, small_files: dict[str, Path]) -> None:
    line = native.line(small_files["tflite"], "--min-seconds", "60")
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    said = ""
    while '"first"' not in said:
        said += process.stdout.readline()
    process.send_signal(signal.SIGSEGV)
    said += process.communicate(timeout=20)[0]
    assert process.returncode == 69
    report = read_report(said)
    assert report.ended
    assert report.failure is not None
    assert report.failure.code == "inference"
    assert f"crashed (signal {int(signal.SIGSEGV)})" in report.failure.message


def test_what_the_engine_prints_is_not_between_the_lines(
    native: Launcher, small_files: dict[str, Path]
) -> None:
    for target in TARGETS:
        assert not native(small_files[target], *ONCE, "--profile").report.odd
