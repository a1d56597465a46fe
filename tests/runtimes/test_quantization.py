"""Reading scales, zero points and codes, format by format."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tflite_builder import G, N, T, build

from mobiledeploy.contract import TARGETS
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.runtimes.quantization import Quantization, QuantizedOp, read_quantization

CODES = np.arange(-12, 12, dtype=np.int8)


def tflite(graph: G, folder: Path) -> tuple[QuantizedOp, ...]:
    path = folder / "model.tflite"
    path.write_bytes(build(graph))
    return read_quantization(path)


def onnx(nodes: list[tuple[str, str, str]], constants: dict[str, np.ndarray], folder: Path) -> Path:
    """A graph from float ``x`` (1, 3) to ``y``."""
    graph = helper.make_graph(
        [helper.make_node(kind, inputs.split(), outputs.split()) for kind, inputs, outputs in nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    path = folder / "model.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_every_format_has_a_reader(tmp_path: Path) -> None:
    for target in TARGETS:
        __import__(f"mobiledeploy.runtimes.{target}_quantization")
    with pytest.raises(InputError, match="no such file"):
        read_quantization(tmp_path / "none.tflite")


@pytest.mark.parametrize(
    ("stored", "signed"),
    [
        (Quantization("uint8", 0.5, 0), Quantization("int8", 0.5, -128)),
        (Quantization("uint8", 0.5, 131), Quantization("int8", 0.5, 3)),
        (Quantization("int8", 0.5, 3), Quantization("int8", 0.5, 3)),
        (Quantization("int16", 0.5, 0), Quantization("int16", 0.5, 0)),
    ],
)
def test_the_same_reals_in_signed_codes(stored: Quantization, signed: Quantization) -> None:
    assert stored.signed == signed


@pytest.mark.parametrize(
    ("kind", "shape", "outputs", "expected"),
    [
        ("CONV_2D", (2, 2, 2, 3), 2, (0, 3, 1, 2)),
        ("DEPTHWISE_CONV_2D", (1, 2, 2, 6), 6, (3, 0, 1, 2)),
        ("FULLY_CONNECTED", (4, 6), 4, (0, 1)),
    ],
)
def test_tflite_weights_have_output_channels_first(
    kind: str, shape: tuple[int, ...], outputs: int, expected: tuple[int, ...], tmp_path: Path
) -> None:
    codes = CODES.reshape(shape)
    side = (1, 6) if kind == "FULLY_CONNECTED" else (1, 2, 2, 6 if "DEPTHWISE" in kind else 3)
    result = (1, outputs) if kind == "FULLY_CONNECTED" else (1, 1, 1, outputs)
    bias = np.arange(outputs, dtype=np.int32)
    tensors = [
        T("x", side, "INT8", scale=0.5, zero_point=-3),
        T("w", shape, "INT8", data=codes, scale=0.25),
        T("b", (outputs,), "INT32", data=bias, scale=0.125),
        T("y", result, "INT8", scale=2.0, zero_point=7),
    ]
    (op,) = tflite(G(tensors, [N(kind, ("x", "w", "b"), ("y",))], ["x"], ["y"]), tmp_path)
    assert (op.kind, op.inputs, op.outputs) == (
        kind,
        (Quantization("int8", 0.5, -3),),
        (Quantization("int8", 2.0, 7),),
    )
    turned = np.ascontiguousarray(codes.transpose(expected))
    assert op.weights is not None
    assert (op.weights.shape, op.weights.scales) == (turned.shape, (0.25,))
    assert op.weights.sha256 == hashlib.sha256(turned.tobytes()).hexdigest()
    assert op.weights.bias == tuple(bias * 0.125)


def test_what_only_hands_on_is_left_out(tmp_path: Path) -> None:
    tensors = [
        T("x", (1, 4), "INT8", scale=0.5),
        T("r", (4, 1), "INT8", scale=0.5),
        T("q", (4, 1), "INT8", scale=0.25),
        T("f", (4, 1)),
    ]
    nodes = [N("RESHAPE", ("x",), ("r",)), N("QUANTIZE", ("r",), ("q",)), N("DEQUANTIZE", ("q",), ("f",))]
    ops = tflite(G(tensors, nodes, ["x"], ["f"]), tmp_path)
    narrow, wide = Quantization("int8", 0.25, 0), Quantization("int8", 0.5, 0)
    assert ops == (QuantizedOp("requantize", (wide,), (narrow,)),)


def test_weights_without_quantized_activations(tmp_path: Path) -> None:
    tensors = [
        T("x", (1, 6)),
        T("w8", (4, 6), "INT8", data=CODES.reshape(4, 6), scale=0.5),
        T("w", (4, 6)),
        T("y", (1, 4)),
    ]
    nodes = [N("DEQUANTIZE", ("w8",), ("w",)), N("FULLY_CONNECTED", ("x", "w"), ("y",))]
    (op,) = tflite(G(tensors, nodes, ["x"], ["y"]), tmp_path)
    assert (op.inputs, op.outputs, op.weights is not None) == ((), (), True)


def test_activation_belongs_to_the_layer_before_it(tmp_path: Path) -> None:
    codes = CODES.reshape(3, 8)
    path = onnx(
        [
            ("QuantizeLinear", "x s z", "q"),
            ("DequantizeLinear", "q s z", "d"),
            ("DequantizeLinear", "w t none", "wd"),
            ("MatMul", "d wd", "m"),
            ("Relu", "m", "r"),
            ("QuantizeLinear", "r s low", "yq"),
            ("DequantizeLinear", "yq s low", "y"),
        ],
        {
            "s": np.float32(0.5),
            "t": np.float32(0.25),
            "z": np.int8(3),
            "low": np.int8(-128),
            "none": np.int8(0),
            "w": codes,
        },
        tmp_path,
    )
    (op,) = read_quantization(path)
    assert (op.kind, op.inputs, op.outputs) == (
        "MatMul",
        (Quantization("int8", 0.5, 3),),
        (Quantization("int8", 0.5, -128),),
    )
    assert op.weights is not None
    assert op.weights.shape == (8, 3)
    assert op.weights.sha256 == hashlib.sha256(np.ascontiguousarray(codes.T).tobytes()).hexdigest()


def test_operators_that_quantize_by_themselves_are_refused(tmp_path: Path) -> None:
    path = onnx(
        [("DynamicQuantizeLinear", "x", "q s z"), ("MatMulInteger", "q w z", "y")], {"w": CODES}, tmp_path
    )
    with pytest.raises(UnsupportedError, match="MatMulInteger states its quantization"):
        read_quantization(path)


def test_float_file_has_none(tmp_path: Path) -> None:
    assert read_quantization(onnx([("Relu", "x", "y")], {}, tmp_path)) == ()


DENSE = build(
    G(
        [
            T("x", (1, 6), "INT8", scale=0.5),
            T("w", (4, 6), "INT8", data=CODES.reshape(4, 6), scale=0.5),
            T("y", (1, 4), "INT8", scale=0.5),
            T("f", (1, 4)),
        ],
        [N("FULLY_CONNECTED", ("x", "w"), ("y",)), N("DEQUANTIZE", ("y",), ("f",))],
        ["x"],
        ["f"],
    )
)


@pytest.mark.parametrize("seed", range(300))
def test_damaged_bytes_end_in_one_line(seed: int, tmp_path: Path) -> None:
    data = bytearray(DENSE)
    random = np.random.default_rng(seed)
    for at in random.integers(0, len(data), 4):
        data[at] = random.integers(0, 256)
    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(data))
    try:
        read_quantization(path)
    except (InputError, UnsupportedError) as error:
        assert str(path) in str(error)  # noqa: PT017


def test_operator_without_its_input(tmp_path: Path) -> None:
    path = onnx([("DequantizeLinear", "w", "d"), ("Relu", "x", "y")], {"w": CODES}, tmp_path)
    with pytest.raises(InputError, match="its quantization cannot be read"):
        read_quantization(path)


@pytest.mark.data
def test_googles_file(data_dir: Path) -> None:
    ops = read_quantization(data_dir / "tflite" / "mobilenet_v2_1.0_224_quant.tflite")
    layers = [op for op in ops if op.weights is not None]
    assert [len(layers), len(ops)] == [53, 64]
    for op in layers:
        assert op.weights is not None
        assert (op.weights.dtype, len(op.weights.scales)) == ("uint8", 1)
        assert len(op.weights.bias) == op.weights.shape[0]
    # What one operator writes the next reads.
    assert {item for op in ops[1:] for item in op.inputs} <= {item for op in ops for item in op.outputs}
