"""Reading ONNX files: dtypes, mult-adds and quantization as the file holds them; damage in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobiledeploy.contract import METADATA_KEY, Contract, TensorSpec
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.census import FileContents, take_census
from mobiledeploy.runtimes.onnx_file import read

FLOAT, INT8, UINT8 = TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8


def info(name: str, shape: list[int | str | None], dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def constant(name: str, values: object, dtype: str = "float32") -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: list[onnx.TensorProto] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants or [])
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, producer_name="by hand")


def contents(proto: onnx.ModelProto, folder: Path) -> FileContents:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return read(path)


def node(kind: str, inputs: str, outputs: str, domain: str = "", **attributes: object) -> onnx.NodeProto:
    names = [[name.strip() for name in names.split(",")] for names in (inputs, outputs)]
    return helper.make_node(kind, *names, domain=domain, **attributes)


def weights(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.ones(shape, dtype)


QUANTIZATION = [constant("s", 0.5), constant("z", 3, "int8")]


def quantized_conv(*, activation: str = "", tail: bool = True, zero_point: int = -128) -> onnx.ModelProto:
    """float x -> Q -> DQ -> Conv [-> activation] -> Q -> DQ -> float y."""
    made = "activated" if activation else "conv"
    nodes = [
        node("QuantizeLinear", "x, s, z", "xq"),
        node("DequantizeLinear", "xq, s, z", "xd"),
        node("DequantizeLinear", "w, s, zw", "wd"),
        node("DequantizeLinear", "b, sb, zb", "bd"),
        node("Conv", "xd, wd, bd", "conv"),
        *([node(activation, "conv", "activated")] if activation else []),
        *([node("QuantizeLinear", f"{made}, s, zy", "yq"), node("DequantizeLinear", "yq, s, zy", "y")]),
    ]
    constants = [
        *QUANTIZATION,
        constant("zy", zero_point, "int8"),
        constant("zw", 0, "int8"),
        constant("sb", 0.25),
        constant("zb", 0, "int32"),
        constant("w", weights(4, 3, 3, 3), "int8"),
        constant("b", weights(4), "int32"),
    ]
    if not tail:
        nodes = [*nodes[:-2], node("Identity", made, "y")]
    return model(nodes, [info("x", [1, 3, 5, 5])], [info("y", [1, 4, 3, 3])], constants)


def test_float_convolution(tmp_path: Path) -> None:
    proto = model(
        [node("Conv", "x, w, b", "c", group=2, strides=[2, 2]), node("Relu", "c", "y")],
        [info("x", [1, 4, 9, 9])],
        [info("y", [1, 6, 4, 4])],
        [constant("w", weights(6, 2, 3, 3)), constant("b", weights(6))],
    )
    found = contents(proto, tmp_path)
    conv, relu = found.ops
    assert (conv.kind, conv.inputs, conv.outputs, conv.weights) == (
        "Conv",
        ("float32",),
        ("float32",),
        "float32",
    )
    assert conv.mult_adds == 6 * 4 * 4 * 2 * 3 * 3
    assert (relu.kind, relu.mult_adds, relu.weights) == ("Relu", 0, "")
    assert (found.parameters, found.weight_bytes) == (6 * 2 * 9 + 6, 4 * (6 * 2 * 9 + 6))
    assert found.producer == "by hand"
    assert found.inputs == (TensorSpec("x", (1, 4, 9, 9), "float32", "NCHW"),)
    assert take_census(found).arithmetic == "float32"


@pytest.mark.parametrize(
    ("operator", "sides", "result", "mult_adds"),
    [
        (node("Gemm", "x, w", "y"), [(2, 7), (7, 5)], (2, 5), 2 * 7 * 5),
        (node("Gemm", "x, w", "y", transA=1, transB=1), [(7, 2), (5, 7)], (2, 5), 2 * 7 * 5),
        (node("MatMul", "x, w", "y"), [(3, 2, 7), (3, 7, 5)], (3, 2, 5), 3 * 2 * 7 * 5),
        (node("ConvTranspose", "x, w", "y", strides=[2, 2]), [(1, 3, 4, 4), (3, 2, 2, 2)], (1, 2, 8, 8), 384),
        (node("Conv", "x, w", "y"), [(1, 3, 8), (2, 3, 3)], (1, 2, 6), 2 * 6 * 9),
    ],
)
def test_mult_adds(
    operator: onnx.NodeProto,
    sides: list[tuple[int, ...]],
    result: tuple[int, ...],
    mult_adds: int,
    tmp_path: Path,
) -> None:
    proto = model(
        [operator], [info("x", list(sides[0]))], [info("y", list(result))], [constant("w", np.ones(sides[1]))]
    )
    assert [op.mult_adds for op in contents(proto, tmp_path).ops] == [mult_adds]


def test_open_batch_is_minus_one_and_counts_as_one(tmp_path: Path) -> None:
    proto = model(
        [node("Gemm", "x, w", "y")],
        [info("x", ["batch", 7])],
        [info("y", [None, 5])],
        [constant("w", weights(7, 5))],
    )
    found = contents(proto, tmp_path)
    assert (found.inputs[0].shape, found.outputs[0].shape) == ((-1, 7), (-1, 5))
    assert found.ops[0].mult_adds == 35


def test_operator_between_dequantize_and_quantize_is_integer(tmp_path: Path) -> None:
    found = contents(quantized_conv(), tmp_path)
    assert [(op.kind, op.inputs, op.outputs) for op in found.ops] == [
        ("QuantizeLinear", ("float32",), ("int8",)),
        ("Conv", ("int8",), ("int8",)),
        ("DequantizeLinear", ("int8",), ("float32",)),
    ]
    assert found.ops[1].weights == "int8"
    assert (found.parameters, found.weight_bytes) == (108 + 4, 108 + 16)
    assert take_census(found).arithmetic == "int8 with float32 input and output"


def test_relu_before_quantize_belongs_to_the_convolution(tmp_path: Path) -> None:
    found = contents(quantized_conv(activation="Relu"), tmp_path)
    assert [(op.kind, op.is_float) for op in found.ops[1:-1]] == [("Conv", False), ("Relu", False)]


def test_relu_that_cuts_into_the_quantized_range_is_float(tmp_path: Path) -> None:
    found = contents(quantized_conv(activation="Relu", zero_point=0), tmp_path)
    kinds = ["QuantizeLinear", "DequantizeLinear", "Conv", "Relu", "QuantizeLinear", "DequantizeLinear"]
    assert [(op.kind, op.is_float) for op in found.ops] == [(kind, True) for kind in kinds]


def test_other_activation_before_quantize_is_float(tmp_path: Path) -> None:
    found = contents(quantized_conv(activation="HardSwish"), tmp_path)
    assert [(op.kind, op.is_float) for op in found.ops if op.kind in ("Conv", "HardSwish")] == [
        ("Conv", True),
        ("HardSwish", True),
    ]


def test_convolution_without_quantize_behind_is_float(tmp_path: Path) -> None:
    found = contents(quantized_conv(tail=False), tmp_path)
    conv = next(op for op in found.ops if op.kind == "Conv")
    assert (conv.is_float, conv.weights) == (True, "int8")


def test_weights_only_in_integers(tmp_path: Path) -> None:
    proto = model(
        [node("DequantizeLinear", "w, s", "wd"), node("Conv", "x, wd", "y")],
        [info("x", [1, 3, 5, 5])],
        [info("y", [1, 4, 3, 3])],
        [constant("s", 0.5), constant("w", weights(4, 3, 3, 3), "int8")],
    )
    found = contents(proto, tmp_path)
    assert (found.ops[0].weights, found.ops[0].read_as) == ("int8", "float32")
    assert take_census(found).arithmetic == "weights-only"


def test_activations_quantized_at_run_time(tmp_path: Path) -> None:
    proto = model(
        [
            node("DynamicQuantizeLinear", "x", "q, s, z"),
            node("MatMulInteger", "q, w, z, zw", "i"),
            node("Cast", "i", "r", to=FLOAT),
            node("Mul", "r, s", "m"),
            node("Mul", "m, ws", "y"),
        ],
        [info("x", [1, 5])],
        [info("y", [1, 4])],
        [constant("w", weights(5, 4), "int8"), constant("zw", 0, "int8"), constant("ws", 0.5)],
    )
    assert take_census(contents(proto, tmp_path)).arithmetic == "dynamic-range"


def between(
    kind: str, scale: str = "s", weights_dtype: str = "int8", **attributes: object
) -> onnx.ModelProto:
    """Float x -> Q -> DQ -> the operation -> Q -> DQ -> float y; only the last scale is free."""
    layer = kind == "Gemm"
    nodes = [
        node("QuantizeLinear", "x, s, z", "xq"),
        node("DequantizeLinear", "xq, s, z", "xd"),
        *([node("DequantizeLinear", "w, s, zw", "wd")] if layer else []),
        node(kind, "xd, wd" if layer else "xd", "r"),
        node("QuantizeLinear", f"r, {scale}, z", "yq"),
        node("DequantizeLinear", f"yq, {scale}, z", "y"),
    ]
    constants = [
        *QUANTIZATION,
        constant("t", 0.25),
        constant("zw", 0, "int8"),
        constant("w", weights(5, 4), "int8"),
    ]
    return model(nodes, [info("x", [1, 5])], [info("y", [1, 4])], constants)


@pytest.mark.parametrize(
    ("proto", "word"),
    [
        (between("Softmax"), "int8 with float32 input and output"),
        (between("Gemm"), "int8 with float32 input and output"),
        (between("HardSwish"), "float32"),
        (between("Flatten"), "int8 with float32 input and output"),
        (between("Flatten", scale="t"), "float32"),
    ],
    ids=["softmax", "gemm", "no kernel", "mover", "mover that changes scale"],
)
def test_integer_where_onnx_runtime_has_a_kernel(proto: onnx.ModelProto, word: str, tmp_path: Path) -> None:
    found = contents(proto, tmp_path)
    assert take_census(found).arithmetic == word
    path = tmp_path / "again.onnx"
    path.write_bytes(proto.SerializeToString())
    kinds = kinds_at_run_time(path, tmp_path)
    integer = [kind for kind in kinds if kind not in ("QuantizeLinear", "DequantizeLinear")]
    assert ("DequantizeLinear" in kinds[: kinds.index(integer[0])]) == (word == "float32")


def kinds_at_run_time(path: Path, folder: Path) -> list[str]:
    """Operators after ONNX Runtime's own optimization, as on ARM."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [item.op_type for item in onnx.load(folder / "optimized.onnx").graph.node]


def test_last_layer_that_gives_reals(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", "x, s, z", "xq"),
        node("DequantizeLinear", "xq, s, z", "xd"),
        node("DequantizeLinear", "w, s, zw", "wd"),
        node("Gemm", "xd, wd", "h"),
        node("QuantizeLinear", "h, s, z", "hq"),
        node("DequantizeLinear", "hq, s, z", "hd"),
        node("DequantizeLinear", "v, s, zw", "vd"),
        node("Gemm", "hd, vd", "y"),
    ]
    constants = [
        *QUANTIZATION,
        constant("zw", 0, "int8"),
        constant("w", weights(5, 4), "int8"),
        constant("v", weights(4, 3), "int8"),
    ]
    found = contents(model(nodes, [info("x", [1, 5])], [info("y", [1, 3])], constants), tmp_path)
    assert [(op.inputs, op.outputs) for op in found.ops if op.kind == "Gemm"] == [
        (("int8",), ("int8",)),
        (("int8",), ("float32",)),
    ]
    assert take_census(found).arithmetic == "int8 with float32 input and last layer"


def integer_io() -> onnx.ModelProto:
    nodes = [
        node("DequantizeLinear", "x, s, z", "xd"),
        node("DequantizeLinear", "w, s", "wd"),
        node("Conv", "xd, wd", "conv"),
        node("QuantizeLinear", "conv, t, z", "y"),
    ]
    constants = [*QUANTIZATION, constant("t", 0.25), constant("w", weights(4, 3, 3, 3), "int8")]
    return model(nodes, [info("x", [1, 3, 5, 5], INT8)], [info("y", [1, 4, 3, 3], INT8)], constants)


def test_integer_inputs_and_outputs_have_scale_and_zero_point(tmp_path: Path) -> None:
    found = contents(integer_io(), tmp_path)
    assert found.inputs[0] == TensorSpec("x", (1, 3, 5, 5), "int8", "NCHW", scale=0.5, zero_point=3)
    assert (found.outputs[0].scale, found.outputs[0].zero_point) == (0.25, 3)
    assert take_census(found).arithmetic == "full-integer"


def test_operators_on_integers(tmp_path: Path) -> None:
    nodes = [
        node("QLinearConv", "x, s, z, w, s, z, s, z, b", "c"),
        node("QLinearAdd", "c, s, z, c, s, z, s, z", "a", "com.microsoft"),
        node("QLinearGlobalAveragePool", "a, s, z, s, z", "p", "com.microsoft"),
        node("Flatten", "p", "f"),
        node("QLinearMatMul", "f, s, z, m, s, z, t, z", "y"),
    ]
    constants = [
        constant("s", 0.5), constant("t", 0.125), constant("z", 3, "uint8"),
        constant("w", weights(4, 3, 3, 3), "uint8"), constant("b", weights(4), "int32"),
        constant("m", weights(4, 2), "uint8"),
    ]  # fmt: skip
    proto = model(nodes, [info("x", [1, 3, 5, 5], UINT8)], [info("y", [1, 2], UINT8)], constants)
    found = contents(proto, tmp_path)
    census = take_census(found)
    assert census.arithmetic == "full-integer"
    assert census.dtypes == (("uint8", 5),)
    assert census.mult_adds == 4 * 9 * 27 + 4 * 2
    assert (census.parameters, census.weight_bytes) == (108 + 4 + 8, 108 + 16 + 8)
    assert (found.inputs[0].scale, found.outputs[0].scale) == (0.5, 0.125)


def test_constant_nodes_and_folded_chains_are_weights(tmp_path: Path) -> None:
    nodes = [
        node("Constant", "", "w", value=constant("", weights(3, 4), "float16")),
        node("Cast", "w", "wf", to=FLOAT),
        node("Constant", "", "one", value_float=1.0),
        node("MatMul", "x, wf", "m"),
        node("Add", "m, one", "y"),
    ]
    for item in nodes:
        if item.op_type == "Constant":
            del item.input[:]
    found = contents(model(nodes, [info("x", [2, 3])], [info("y", [2, 4])]), tmp_path)
    assert [(op.kind, op.inputs, op.weights) for op in found.ops] == [
        ("MatMul", ("float32",), "float16"),
        ("Add", ("float32",), "float32"),
    ]
    assert (found.parameters, found.weight_bytes) == (13, 28)


def test_shapes_and_bounds_are_no_weights(tmp_path: Path) -> None:
    proto = model(
        [node("Clip", "x, low, high", "c"), node("Reshape", "c, shape", "y")],
        [info("x", [2, 3])],
        [info("y", [6])],
        [constant("low", 0), constant("high", 6), constant("shape", [6], "int64")],
    )
    found = contents(proto, tmp_path)
    assert (found.parameters, [op.weights for op in found.ops]) == (0, ["", ""])


def test_old_file_that_lists_its_weights_as_inputs(tmp_path: Path) -> None:
    proto = model(
        [node("Conv", "x, w", "c"), node("Dropout", "c", "y", ratio=0.5)],
        [info("x", [1, 3, 5, 5]), info("w", [4, 3, 3, 3])],
        [info("y", [1, 4, 3, 3])],
        [constant("w", weights(4, 3, 3, 3))],
        opset=7,
    )
    proto.ir_version = 3
    found = contents(proto, tmp_path)
    assert [spec.name for spec in found.inputs] == ["x"]
    assert (found.ops[0].mult_adds, found.parameters) == (4 * 9 * 27, 108)


def test_functions_of_the_file_are_opened(tmp_path: Path) -> None:
    body = helper.make_function(
        "own", "Twice", ["a"], ["b"], [node("Add", "a, a", "b")], [helper.make_opsetid("", 17)]
    )
    proto = model([node("Twice", "x", "y", "own")], [info("x", [2])], [info("y", [2])])
    proto.functions.append(body)
    proto.opset_import.append(helper.make_opsetid("own", 1))
    assert [op.kind for op in contents(proto, tmp_path).ops] == ["Add"]


def test_branches_are_listed(tmp_path: Path) -> None:
    yes = helper.make_graph([node("Add", "x, x", "t")], "yes", [], [info("t", [2])])
    no = helper.make_graph([node("Neg", "x", "e")], "no", [], [info("e", [2])])
    proto = model(
        [node("If", "flag", "y", then_branch=yes, else_branch=no)],
        [info("flag", [], TensorProto.BOOL), info("x", [2])],
        [info("y", [2])],
    )
    found = contents(proto, tmp_path)
    assert sorted(op.kind for op in found.ops) == ["Add", "If", "Neg"]
    assert found.inputs[0] == TensorSpec("flag", (), "bool")


def test_unknown_operator_passes_its_dtype_on(tmp_path: Path) -> None:
    proto = model(
        [node("Gelu", "x", "g", "com.microsoft"), node("Mystery", "g", "m", "com.example")],
        [info("x", [2], TensorProto.FLOAT16)],
        [info("m", [2], TensorProto.FLOAT16)],
    )
    assert [op.outputs for op in contents(proto, tmp_path).ops] == [("float16",)] * 2


def test_contract_comes_back(tmp_path: Path) -> None:
    contract = Contract((TensorSpec("x", (1, 3, 5, 5), "int8"),), (), labels=("a", "b"))
    proto = integer_io()
    helper.set_model_props(proto, {METADATA_KEY: contract.to_json(), "other": "kept"})
    assert contents(proto, tmp_path).contract == contract


def test_damaged_contract(tmp_path: Path) -> None:
    proto = integer_io()
    helper.set_model_props(proto, {METADATA_KEY: "{}"})
    with pytest.raises(InputError, match="the contract cannot be read"):
        contents(proto, tmp_path)


def external(folder: Path) -> Path:
    path = folder / "model.onnx"
    proto = model(
        [node("Gemm", "x, w", "y")],
        [info("x", [1, 50])],
        [info("y", [1, 40])],
        [constant("w", weights(50, 40))],
    )
    onnx.save_model(proto, path, save_as_external_data=True, location="model.data", size_threshold=0)
    return path


def test_weights_in_another_file(tmp_path: Path) -> None:
    found = read(external(tmp_path))
    assert (found.parameters, found.weight_bytes, found.ops[0].mult_adds) == (2000, 8000, 2000)


def test_weights_file_that_is_missing_or_cut(tmp_path: Path) -> None:
    path = external(tmp_path)
    data = tmp_path / "model.data"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"model\.data.*cut"):
        read(path)
    data.unlink()
    with pytest.raises(InputError, match=r"model\.data.*missing"):
        read(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ONNX file"),
        (b"\x08\x08", "not an ONNX file"),
        (b"PK\x03\x04 no model", "not an ONNX file"),
        (np.random.default_rng(0).bytes(4096), "not an ONNX file"),
        (
            onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", 17)]).SerializeToString(),
            "no op",
        ),
    ],
)
def test_no_model(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_cut_of_a_file_is_refused(tmp_path: Path) -> None:
    data = quantized_conv().SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in range(0, len(data) - 1, 7):
        path.write_bytes(data[:length])
        with pytest.raises(InputError):
            read(path)


def test_weight_with_too_few_bytes(tmp_path: Path) -> None:
    proto = quantized_conv()
    proto.graph.initializer[6].raw_data = b"12"
    with pytest.raises(InputError, match="weight 'w' has 2 of 108 bytes"):
        contents(proto, tmp_path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.onnx.*cannot be read"):
        read(tmp_path / "no.onnx")


@pytest.mark.parametrize(
    ("activation", "zero_point"), [("", 3), ("Relu", -128), ("Relu", -127), ("HardSwish", -128)]
)
def test_integer_operators_are_those_of_onnx_runtime(
    activation: str, zero_point: int, tmp_path: Path
) -> None:
    path, optimised = tmp_path / "model.onnx", tmp_path / "optimised.onnx"
    proto = quantized_conv(activation=activation, zero_point=zero_point)
    path.write_bytes(proto.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(optimised)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    engine = {item.op_type for item in onnx.load(optimised).graph.node}
    ours = [op.is_float for op in read(path).ops if op.kind == "Conv"]
    assert ours == ["QLinearConv" not in engine]
