"""Running ONNX files with ONNX Runtime."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobiledeploy.errors import EnvironmentProblem, InputError
from mobiledeploy.runtimes.onnx_session import open_session


def write(path: Path, kind: str = "Sub", shape: tuple[int | str, ...] = (1, 2)) -> Path:
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "ab"]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)]
    graph = helper.make_graph([helper.make_node(kind, ["a", "b"], ["y"])], "g", inputs, outputs)
    imports = [helper.make_opsetid("", 17)]
    path.write_bytes(helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString())
    return path


def array(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def test_runs_in_the_order_of_its_inputs(tmp_path: Path) -> None:
    session = open_session(write(tmp_path / "sub.onnx"))
    assert [spec.name for spec in session.inputs] == ["a", "b"]
    assert session.engine == f"ONNX Runtime {onnxruntime.__version__}"
    result = session.run([array(5, 7), array(1, 2)])
    np.testing.assert_array_equal(result[0], array(4, 5))


def test_outputs_belong_to_the_caller(tmp_path: Path) -> None:
    session = open_session(write(tmp_path / "sub.onnx"), threads=1)
    first = session.run([array(5, 7), array(1, 2)])[0]
    session.run([array(0, 0), array(0, 0)])
    np.testing.assert_array_equal(first, array(4, 5))


def test_open_dimension_takes_any_size(tmp_path: Path) -> None:
    session = open_session(write(tmp_path / "sub.onnx", shape=("n", 2)))
    assert session.run([np.ones((3, 2), np.float32)] * 2)[0].shape == (3, 2)
    with pytest.raises(InputError, match=r"\[-1, 2\], got float32 \[3, 3\]"):
        session.run([np.ones((3, 3), np.float32)] * 2)


def test_wrong_inputs(tmp_path: Path) -> None:
    session = open_session(write(tmp_path / "sub.onnx"))
    with pytest.raises(InputError, match="takes 2 inputs, got 1"):
        session.run([array(1, 2)])
    with pytest.raises(InputError, match=r"'b' is float32 \[1, 2\], got float32 \[1, 3\]"):
        session.run([array(1, 2), array(1, 2, 3)])
    with pytest.raises(InputError, match=r"'a' is float32 \[1, 2\], got float64 \[1, 2\]"):
        session.run([array(1, 2).astype(np.float64), array(1, 2)])


def test_operation_that_the_engine_does_not_know(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"odd\.onnx: ONNX Runtime .* cannot open it") as caught:
        open_session(write(tmp_path / "odd.onnx", kind="NoSuchOperation"))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="not an ONNX file"):
        open_session(path)


def test_without_onnx_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "sub.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EnvironmentProblem, match="onnxruntime"):
        open_session(path)


def test_int8_products_do_not_saturate(tmp_path: Path) -> None:
    """Sums of two products above 16 bits, which AVX2 cuts off unless the activations stay int8."""
    codes = np.full((64, 8), 127, np.int8)
    constants = {"s": np.float32(1), "z": np.int8(-128), "w": codes, "none": np.int8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "s", "none"], ["wd"]),
        helper.make_node("Gemm", ["xd", "wd"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 64))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 8))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    path = tmp_path / "int8.onnx"
    imports = [helper.make_opsetid("", 18)]
    path.write_bytes(helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString())
    x = np.full((1, 64), 255, np.float32)
    (result,) = open_session(path, threads=1).run([x])
    np.testing.assert_array_equal(result, x @ codes.astype(np.float32))
