"""The Python runner says what the native one says: the same inputs, outputs, codes."""

from __future__ import annotations

import ast
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from runner_launch import Launcher

from mobiledeploy.runtimes.runner import python_runner
from mobiledeploy.runtimes.runner.lines import read_report
from mobiledeploy.runtimes.runner.python_runner import CoreML, Lines, Tensor, made_up, parse, work
from mobiledeploy.runtimes.runner.request import Request, Timing
from mobiledeploy.runtimes.runner.script import python_runner_source

ONCE = ("--min-runs", "1", "--min-seconds", "0", "--warmup-runs", "0")


@pytest.fixture
def python(tmp_path: Path) -> Launcher:
    """A copy, away from mobiledeploy, as on a device."""
    copy = tmp_path / "device" / "runner.py"
    copy.parent.mkdir()
    copy.write_bytes(python_runner_source().read_bytes())
    return Launcher((sys.executable, str(copy)), lambda engine: None)


def test_it_stands_alone_and_is_old_python() -> None:
    text = python_runner_source().read_text()
    tree = ast.parse(text, feature_version=(3, 8))
    imported = {
        (node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    } | {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    engines = {"numpy", "ai_edge_litert", "tflite_runtime", "onnxruntime", "coremltools", "PIL"}
    assert imported - engines <= sys.stdlib_module_names
    assert text.isascii()


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_as_the_native_runner(
    target: str, native: Launcher, python: Launcher, small_files: dict[str, Path], tmp_path: Path
) -> None:
    reports = [runner(small_files[target], *ONCE, "--profile").report for runner in (native, python)]
    ours, theirs = reports
    for name in (
        "inputs",
        "outputs",
        "digest",
        "delegate",
        "nodes",
        "delegated",
        "items",
        "steady",
        "failure",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.ended
    assert theirs.ended
    assert bool(theirs.ops) is (target == "onnx")
    if theirs.ops:
        assert {(op.name, op.kind, op.calls) for op in theirs.ops} == {
            (op.name, op.kind, op.calls) for op in ours.ops
        }
    count = 4
    (tmp_path / "in").write_bytes(np.random.default_rng(0).bytes(count * ours.inputs[0].bytes))
    if target == "onnx":
        numbers = np.random.default_rng(0).random((count, *ours.inputs[0].shape), np.float32)
        (tmp_path / "in").write_bytes(numbers.tobytes())
    files = []
    for runner in (native, python):
        out = tmp_path / "out"
        launch = runner(
            small_files[target], "--inputs", str(tmp_path / "in"), "--outputs", str(out), "--each"
        )
        assert launch.exit_code == 0
        assert launch.report.items == count
        files.append(out.read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("dtype", ["FLOAT16", "FLOAT", "DOUBLE", "BOOL", "INT8", "UINT16", "INT64"])
def test_the_same_made_up_inputs(dtype: str, native: Launcher, python: Launcher, tmp_path: Path) -> None:
    kind = getattr(onnx.TensorProto, dtype)
    ends = [onnx.helper.make_tensor_value_info(name, kind, [3, 7]) for name in "xyab"]
    nodes = [onnx.helper.make_node("Identity", [source], [target]) for source, target in ("xa", "yb")]
    graph = onnx.helper.make_graph(nodes, "g", ends[:2], ends[2:])
    imports = [onnx.helper.make_opsetid("", 17)]
    model = tmp_path / "m.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=imports, ir_version=8), model)
    ours, theirs = native(model, *ONCE).report, python(model, *ONCE).report
    assert (ours.failure, theirs.failure) == (None, None)
    assert ours.digest == theirs.digest
    assert ours.inputs == theirs.inputs


def test_a_measurement(python: Launcher, small_files: dict[str, Path]) -> None:
    options = ("--warmup-runs", "3", "--min-runs", "1100", "--min-seconds", "0.1", "--affinity", "0")
    launch = python(small_files["tflite"], *options)
    report = launch.report
    assert (report.failure, report.ended, len(report.warmup_ns)) == (None, True, 3)
    assert len(report.samples_ns) >= 1100
    ends = [start + ns for start, ns in zip(report.starts_ns, report.samples_ns, strict=True)]
    assert all(end <= start for end, start in zip(ends, report.starts_ns[1:], strict=False))
    assert (report.memory_before or 0) < (report.memory_peak or 0)
    assert not report.odd
    paced = python(
        small_files["tflite"],
        "--period-us",
        "10000",
        "--min-runs",
        "10",
        "--min-seconds",
        "0",
        "--max-seconds",
        "5",
    ).report
    offsets = sorted((start - paced.starts_ns[0]) % 10_000_000 for start in paced.starts_ns)
    assert len(offsets) == 10
    assert offsets[5] < 3_000_000


@pytest.mark.parametrize(
    ("options", "code", "name"),
    [
        (["--threads", "0"], 64, "usage"),
        (["--threads"], 64, "usage"),
        (["--min-seconds", "nan"], 64, "usage"),
        (["--affinity", "1,,x"], 64, "usage"),
        (["--colour", "red"], 64, "usage"),
        (["--engine", "other"], 64, "usage"),
        (["--engine", "coreml"], 65, "engine"),
        (["--model", "/nowhere"], 66, "model"),
        (["--model", "/dev/null"], 66, "model"),
        (["--inputs", "/nowhere"], 67, "input"),
        (["--inputs", "/proc"], 67, "input"),
        (["--inputs", "/dev/zero"], 67, "input"),
        (["--outputs", "/nowhere/x"], 68, "output"),
        (["--outputs", "/dev/full"], 68, "output"),
        (["--affinity", "1023"], 71, "affinity"),
    ],
)
def test_failures(
    options: list[str], code: int, name: str, python: Launcher, small_files: dict[str, Path]
) -> None:
    launch = python(small_files["tflite"], *ONCE, *options)
    failure = launch.report.failure
    assert failure is not None
    assert (launch.exit_code, failure.code) == (code, name), failure
    assert json.loads(launch.stdout.splitlines()[-1]) == {"event": "end", "exit_code": code}


def test_every_request_is_understood() -> None:
    request = Request(
        *("litert", "m", "lib", 2, (0, 1), "in", "out"),
        timing=Timing(2, 0.5, 3, 1.5, 9.0, 33_333),
        profile=True,
    )
    options = parse(request.arguments())
    assert (options.threads, options.affinity, options.period_us) == (2, [0, 1], 33_333)
    assert (options.warmup_runs, options.warmup_seconds, options.max_seconds) == (2, 0.5, 9.0)
    assert parse(Request("coreml", "m", timing=None).arguments()).each


def test_made_up_inputs_are_as_the_docs_say() -> None:
    """The first step of the sequence, worked out by hand."""
    state = 0x9E3779B97F4A7C15
    state ^= (state << 13) % 2**64
    state ^= state >> 7
    state ^= (state << 17) % 2**64
    assert made_up([Tensor("x", "uint8", [1, 9])])[:8] == state.to_bytes(8, "little")
    assert len(made_up([Tensor("x", "uint8", [1, 9])])) == 9
    for dtype, bits in (("float32", 24), ("float16", 11), ("float64", 53)):
        (value,) = np.frombuffer(made_up([Tensor("x", dtype, [1])]), dtype)
        assert float(value) == (state >> (64 - bits)) / 2.0**bits
    # One sequence for all tensors of an item.
    two = made_up([Tensor("x", "int8", [8]), Tensor("y", "bool", [3])])
    assert two[:8] == state.to_bytes(8, "little")
    assert set(two[8:]) <= {0, 1}


class _Kind:
    def __init__(self, **kinds: Any) -> None:
        self.__dict__.update(kinds)
        self._kinds = kinds

    def HasField(self, name: str) -> bool:  # noqa: N802
        return name in self._kinds


def _fake_coremltools() -> types.ModuleType:
    """What the runner uses of it; the model adds one."""
    array = types.SimpleNamespace(dataType=65568, shape=[1, 4])
    image = types.SimpleNamespace(height=2, width=3)
    description = types.SimpleNamespace(
        input=[
            types.SimpleNamespace(name="x", type=_Kind(multiArrayType=array)),
            types.SimpleNamespace(name="photo", type=_Kind(imageType=image)),
        ],
        output=[types.SimpleNamespace(name="y", type=_Kind(multiArrayType=array))],
    )

    class Model:
        def __init__(self, path: str, compute_units: str) -> None:
            assert (path, compute_units) == ("m.mlpackage", "cpu")

        def get_spec(self) -> Any:
            return types.SimpleNamespace(description=description)

        def predict(self, feeds: dict[str, Any]) -> dict[str, np.ndarray]:
            assert feeds["photo"].size == (3, 2)
            return {"y": feeds["x"] + 1}

    module: Any = types.ModuleType("coremltools")
    module.__version__ = "9.0"
    module.ComputeUnit = types.SimpleNamespace(CPU_ONLY="cpu")
    module.models = types.SimpleNamespace(MLModel=Model)
    return module  # type: ignore[no-any-return]


def test_core_ml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a stand-in for coremltools: the real one predicts on a Mac only."""
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "coremltools", _fake_coremltools())
    monkeypatch.setattr(python_runner, "memory_peak", lambda: 1)
    lines = Lines.__new__(Lines)
    monkeypatch.setattr(
        lines, "say", lambda event, **values: said.append({"event": event, **values}), raising=False
    )
    assert CoreML().version == "coremltools 9.0"
    options = ["--engine", "coreml", "--model", "m.mlpackage", "--outputs", str(tmp_path / "out"), *ONCE]
    work(lines, options)
    report = read_report("\n".join(map(json.dumps, said)))
    assert [(t.name, t.dtype, t.shape) for t in report.inputs] == [
        ("x", "float32", (1, 4)),
        ("photo", "uint8", (2, 3, 3)),
    ]
    assert (report.steady, report.items, report.failure) == (True, 1, None)
    made = np.frombuffer(made_up([Tensor("x", "float32", [1, 4])]), np.float32)
    np.testing.assert_array_equal(np.fromfile(tmp_path / "out", np.float32), made + 1)
