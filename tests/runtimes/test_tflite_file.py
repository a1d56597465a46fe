"""What the TFLite reader says about files whose content is known."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tflite_builder import G, N, T, build, float_dense

from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.census import FileContents, take_census
from mobiledeploy.runtimes.tflite_file import read, read_bytes
from mobiledeploy.runtimes.tflite_ops import DTYPES, OPERATORS


def contents(*subgraphs: G) -> FileContents:
    return read_bytes(build(*subgraphs), where="test.tflite")


def one(node: N, *tensors: T) -> FileContents:
    """A file of one operator; its constants are the tensors with data."""
    inputs = [t.name for t in tensors if t.data is None and t.name not in node.outputs]
    return contents(G(tensors, [node], inputs, node.outputs))


def zeros(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.zeros(shape, dtype)


def test_names_are_the_schemas() -> None:
    operators = {name: value for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
    assert operators == {name: number for number, name in enumerate(OPERATORS)}
    types = {name.lower(): value for name, value in vars(schema.TensorType).items() if name.isupper()}
    assert types == {name: number for number, name in enumerate(DTYPES)}


def test_float_file() -> None:
    found = read_bytes(float_dense(), where="test.tflite")
    (op,) = found.ops
    assert (op.kind, op.inputs, op.outputs, op.weights) == (
        "FULLY_CONNECTED",
        ("float32",),
        ("float32",),
        "float32",
    )
    assert op.mult_adds == 12
    assert (found.parameters, found.weight_bytes) == (15, 60)
    assert (found.inputs[0].name, found.inputs[0].shape, found.inputs[0].dtype) == ("x", (1, 4), "float32")
    assert found.inputs[0].scale is None
    assert found.producer == "test"
    assert take_census(found).arithmetic == "float32"


@pytest.mark.parametrize(
    ("node", "tensors", "mult_adds"),
    [
        (
            N("CONV_2D", ("x", "w", None), ("y",)),
            [T("x", (1, 8, 8, 4)), T("w", (6, 3, 3, 2), data=zeros(6, 3, 3, 2)), T("y", (1, 4, 4, 6))],
            4 * 4 * 6 * 9 * 2,  # two groups
        ),
        (
            N("DEPTHWISE_CONV_2D", ("x", "w"), ("y",)),
            [T("x", (1, 8, 8, 4)), T("w", (1, 3, 3, 8), data=zeros(1, 3, 3, 8)), T("y", (1, 8, 8, 8))],
            8 * 8 * 8 * 9,
        ),
        (
            N("TRANSPOSE_CONV", ("s", "w", "x"), ("y",)),
            [
                T("s", (4,), "INT32", data=np.array([1, 8, 8, 5], np.int32)),
                T("w", (5, 2, 2, 3), data=zeros(5, 2, 2, 3)),
                T("x", (1, 4, 4, 3)),
                T("y", (1, 8, 8, 5)),
            ],
            4 * 4 * 3 * 2 * 2 * 5,
        ),
        (
            N("FULLY_CONNECTED", ("x", "w"), ("y",)),
            [T("x", (2, 7, 4)), T("w", (3, 4), data=zeros(3, 4)), T("y", (2, 7, 3))],
            2 * 7 * 3 * 4,
        ),
        (
            N("BATCH_MATMUL", ("a", "b"), ("y",)),
            [T("a", (2, 5, 7)), T("b", (2, 7, 3)), T("y", (2, 5, 3))],
            2 * 5 * 3 * 7,
        ),
        (
            N("BATCH_MATMUL", ("a", "b"), ("y",), {"adjX": True}),
            [T("a", (2, 7, 5)), T("b", (2, 7, 3)), T("y", (2, 5, 3))],
            2 * 5 * 3 * 7,
        ),
        (
            N("FULLY_CONNECTED", ("x", "w"), ("y",)),
            [T("x", (-1, 4)), T("w", (3, 4), data=zeros(3, 4)), T("y", (-1, 3))],
            0,  # unknown batch
        ),
        (N("ADD", ("a", "b"), ("y",)), [T("a", (9,)), T("b", (9,)), T("y", (9,))], 0),
    ],
    ids=["grouped conv", "depthwise", "transposed", "dense", "matmul", "matmul adjoint", "dynamic", "add"],
)
def test_mult_adds(node: N, tensors: list[T], mult_adds: int) -> None:
    assert one(node, *tensors).ops[0].mult_adds == mult_adds


def test_full_integer_file_with_scales() -> None:
    found = one(
        N("FULLY_CONNECTED", ("x", "w", "b"), ("y",)),
        T("x", (1, 4), "INT8", scale=0.5, zero_point=-3),
        T("w", (3, 4), "INT8", data=zeros(3, 4, dtype="int8"), scale=0.25),
        T("b", (3,), "INT32", data=zeros(3, dtype="int32"), scale=0.125),
        T("y", (1, 3), "INT8", scale=0.0625, zero_point=7),
    )
    assert take_census(found).arithmetic == "full-integer"
    assert (found.inputs[0].scale, found.inputs[0].zero_point) == (0.5, -3)
    assert (found.outputs[0].scale, found.outputs[0].zero_point) == (0.0625, 7)
    assert (found.parameters, found.weight_bytes) == (15, 12 + 12)


def test_dynamic_range_weights() -> None:
    found = one(
        N("FULLY_CONNECTED", ("x", "w"), ("y",)),
        T("x", (1, 4)),
        T("w", (3, 4), "INT8", data=zeros(3, 4, dtype="int8"), scale=0.25),
        T("y", (1, 3)),
    )
    assert take_census(found).arithmetic == "dynamic-range"
    assert found.ops[0].weights == "int8"


def dense_chain(*stages: tuple[str, str, float | None]) -> FileContents:
    """FULLY_CONNECTED of int8 weights one after another, conversions where the dtype changes."""
    tensors, nodes = [T("t0", (1, 4), stages[0][1], scale=stages[0][2])], []
    for index, (kind, dtype, scale) in enumerate(stages[1:], 1):
        tensors.append(T(f"t{index}", (1, 4), dtype, scale=scale))
        inputs: tuple[str, ...] = (f"t{index - 1}",)
        if kind == "FULLY_CONNECTED":
            tensors.append(T(f"w{index}", (4, 4), "INT8", data=zeros(4, 4, dtype="int8"), scale=0.25))
            inputs += (f"w{index}",)
        nodes.append(N(kind, inputs, (f"t{index}",)))
    return contents(G(tensors, nodes, ["t0"], [f"t{len(stages) - 1}"]))


REAL, CODES, WIDE = ("FLOAT32", None), ("INT8", 0.5), ("INT16", 0.5)


@pytest.mark.parametrize(
    ("stages", "word"),
    [
        ([("", *WIDE), ("FULLY_CONNECTED", *WIDE)], "int16x8"),
        (
            [("", *REAL), ("QUANTIZE", *CODES), ("FULLY_CONNECTED", *CODES), ("DEQUANTIZE", *REAL)],
            "int8 with float32 input and output",
        ),
        ([("", *REAL), ("QUANTIZE", *WIDE), ("FULLY_CONNECTED", *WIDE)], "int16x8 with float32 input"),
        (
            [("", *CODES), ("FULLY_CONNECTED", *CODES), ("DEQUANTIZE", *REAL), ("FULLY_CONNECTED", *REAL)],
            "int8 with float32 last layer",
        ),
        (
            [
                ("", *CODES),
                ("FULLY_CONNECTED", *CODES),
                ("DEQUANTIZE", *REAL),
                ("FULLY_CONNECTED", *REAL),
                ("FULLY_CONNECTED", *REAL),
            ],
            "mixed: 2 of 3 ops float",
        ),
        ([("", *REAL), ("FULLY_CONNECTED", *REAL)], "dynamic-range"),
    ],
)
def test_words_for_arithmetic(stages: list[tuple[str, str, float | None]], word: str) -> None:
    assert take_census(dense_chain(*stages)).arithmetic == word


def test_expanded_integer_weights_are_weights_only() -> None:
    found = contents(
        G(
            [
                T("x", (1, 4)),
                T("w8", (3, 4), "INT8", data=zeros(3, 4, dtype="int8"), scale=0.5),
                T("w", (3, 4)),
                T("y", (1, 3)),
            ],
            [N("DEQUANTIZE", ("w8",), ("w",)), N("FULLY_CONNECTED", ("x", "w"), ("y",))],
            ["x"],
            ["y"],
        )
    )
    assert (found.ops[0].weights, found.ops[0].read_as) == ("int8", "float32")
    assert take_census(found).arithmetic == "weights-only"


def test_dequantized_half_weights_are_weights_and_no_op() -> None:
    found = contents(
        G(
            [
                T("x", (1, 4)),
                T("w16", (3, 4), "FLOAT16", data=zeros(3, 4, dtype="float16")),
                T("w", (3, 4)),
                T("y", (1, 3)),
            ],
            [N("DEQUANTIZE", ("w16",), ("w",)), N("FULLY_CONNECTED", ("x", "w"), ("y",))],
            ["x"],
            ["y"],
        )
    )
    assert [(op.kind, op.inputs, op.weights) for op in found.ops] == [
        ("FULLY_CONNECTED", ("float32",), "float16")
    ]
    assert (found.parameters, found.weight_bytes) == (12, 24)
    assert take_census(found).arithmetic == "float16"


def test_dequantize_of_an_activation_is_an_op() -> None:
    found = one(N("DEQUANTIZE", ("x",), ("y",)), T("x", (4,), "INT8", scale=1.0), T("y", (4,)))
    assert [op.kind for op in found.ops] == ["DEQUANTIZE"]
    assert take_census(found).arithmetic == "float32"


def test_sparse_weights_through_densify() -> None:
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder = [0, 1]
    found = contents(
        G(
            [
                T("x", (1, 4)),
                T("s", (3, 4), data=np.ones(5, np.float32), sparsity=sparsity),
                T("w", (3, 4)),
                T("y", (1, 3)),
            ],
            [N("DENSIFY", ("s",), ("w",)), N("FULLY_CONNECTED", ("x", "w"), ("y",))],
            ["x"],
            ["y"],
        )
    )
    assert [op.kind for op in found.ops] == ["FULLY_CONNECTED"]
    assert (found.parameters, found.weight_bytes) == (12, 20)


def test_arguments_are_no_parameters() -> None:
    found = one(
        N("RESHAPE", ("x", "shape"), ("y",)),
        T("x", (2, 6)),
        T("shape", (1,), "INT32", data=np.array([12], np.int32)),
        T("y", (12,)),
    )
    assert (found.parameters, found.ops[0].weights, found.ops[0].inputs) == (0, "", ("float32",))


def test_a_shared_buffer_counts_once() -> None:
    found = one(
        N("CUSTOM:Twice", ("x", "a", "b"), ("y",)),
        T("x", (4,)),
        T("a", (4,), data=zeros(4)),
        T("b", (4,), buffer_of="a"),
        T("y", (4,)),
    )
    assert (found.parameters, found.weight_bytes) == (4, 16)
    assert found.ops[0].inputs == ("float32",)


def test_custom_operators_are_named() -> None:
    assert one(N("CUSTOM:Fancy", ("x",), ("y",)), T("x", (1,)), T("y", (1,))).ops[0].kind == "CUSTOM:Fancy"


def test_operators_beyond_the_old_field() -> None:
    found = one(N("GELU", ("x",), ("y",)), T("x", (1,)), T("y", (1,)))
    assert found.ops[0].kind == "GELU"


def dense_graph(name: str, signature: dict[str, str] | None = None) -> G:
    return G(
        [T("x", (1, 4)), T("w", (3, 4), data=zeros(3, 4)), T(name, (1, 3))],
        [N("FULLY_CONNECTED", ("x", "w"), (name,))],
        ["x"],
        [name],
        signature or {},
    )


def test_called_subgraphs_count_and_others_do_not() -> None:
    choose = G(
        [T("c", (1,), "BOOL"), T("x", (1, 4)), T("y", (1, 3))],
        [N("IF", ("c", "x"), ("y",), {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2})],
        ["c", "x"],
        ["y"],
    )
    found = contents(choose, dense_graph("a"), dense_graph("b"), dense_graph("unused"))
    assert [(op.kind, op.mult_adds) for op in found.ops] == [
        ("IF", 0),
        ("FULLY_CONNECTED", 12),
        ("FULLY_CONNECTED", 12),
        ("FULLY_CONNECTED", 0),
    ]
    assert [spec.name for spec in found.inputs] == ["c", "x"]


def test_a_loop_that_calls_its_own_subgraph_ends() -> None:
    loop = G(
        [T("x", (1,)), T("y", (1,))],
        [N("WHILE", ("x",), ("y",), {"condSubgraphIndex": 0, "bodySubgraphIndex": 0})],
        ["x"],
        ["y"],
    )
    assert [op.kind for op in contents(loop).ops] == ["WHILE"]


def test_signature_names_come_first() -> None:
    found = contents(dense_graph("hidden_name", {"image": "x", "scores": "hidden_name"}))
    assert (found.inputs[0].name, found.outputs[0].name) == ("image", "scores")


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((1, 8, 8, 3), "NHWC"),
        ((1, 8, 8, 1), "NHWC"),
        ((1, 8, 8, 4), "NHWC"),
        ((1, 3, 8, 8), ""),
        ((8, 3), ""),
    ],
)
def test_layout(shape: tuple[int, ...], layout: str) -> None:
    assert one(N("ABS", ("x",), ("y",)), T("x", shape), T("y", shape)).inputs[0].layout == layout


def test_weights_behind_the_flatbuffer() -> None:
    """Files of more than 2 GiB give their buffers by offset and size."""
    model = schema.ModelT.InitFromPackedBuf(float_dense(), 0)
    weights = bytes(model.buffers[1].data)

    def packed(offset: int) -> bytes:
        model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, offset, len(weights)
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    size = len(packed(1 << 20))
    found = read_bytes(packed(size) + weights, where="big.tflite")
    assert (found.parameters, found.weight_bytes) == (15, 60)
    with pytest.raises(InputError, match="ends outside the file"):
        read_bytes(packed(size) + weights[:-1], where="big.tflite")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.tflite: cannot be read \(No such file"):
        read(tmp_path / "absent.tflite")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 64, bytes(range(256)), b"PK\3\4" + bytes(60)])
def test_other_bytes_are_no_tflite_file(data: bytes) -> None:
    with pytest.raises(InputError, match="not a TFLite file") as raised:
        read_bytes(data, where="x.tflite")
    assert "\n" not in str(raised.value)


def test_constant_of_the_wrong_size() -> None:
    with pytest.raises(InputError, match=r"constant 'w' \(float32 3x4\) has 8 bytes"):
        one(
            N("FULLY_CONNECTED", ("x", "w"), ("y",)),
            T("x", (1, 4)),
            T("w", (3, 4), data=zeros(2)),
            T("y", (1, 3)),
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.subgraphs[0].inputs.__setitem__(0, 9), "an input names tensor 9 of 4"),
        (lambda m: m.subgraphs[0].outputs.__setitem__(0, -1), "an output names tensor -1 of 4"),
        (lambda m: m.subgraphs[0].operators[0].inputs.__setitem__(0, -2), "an operator reads tensor -2 of 4"),
        (lambda m: m.subgraphs[0].operators[0].outputs.__setitem__(0, 4), "an operator writes tensor 4 of 4"),
        (lambda m: setattr(m.subgraphs[0].operators[0], "opcodeIndex", 1), "an operator has code 1 of 1"),
        (lambda m: setattr(m.subgraphs[0].tensors[1], "buffer", 77), "a tensor has buffer 77 of 3"),
        (lambda m: m.subgraphs.clear(), "it has no subgraph"),
    ],
)
def test_indices_outside_their_table(change, message: str) -> None:  # type: ignore[no-untyped-def]
    model = schema.ModelT.InitFromPackedBuf(float_dense(), 0)
    for item in (model.subgraphs[0], model.subgraphs[0].operators[0]):
        item.inputs, item.outputs = list(item.inputs), list(item.outputs)
    change(model)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    with pytest.raises(InputError, match=message):
        read_bytes(bytes(builder.Output()), where="x.tflite")


def test_shared_parts_cannot_blow_up_the_read() -> None:
    """Thirty thousand subgraphs that are all the same one with thirty thousand tensors."""
    builder = flatbuffers.Builder()
    builder.StartObject(0)
    tensor = builder.EndObject()
    for slots in (1, 3):  # the subgraph, with its tensors in slot 0; the model, with its subgraphs in slot 2
        builder.StartVector(4, 30_000, 4)
        for _ in range(30_000):
            builder.PrependUOffsetTRelative(tensor)
        vector = builder.EndVector()
        builder.StartObject(slots)
        builder.PrependUOffsetTRelativeSlot(slots - 1, vector, 0)
        tensor = builder.EndObject()
    builder.Finish(tensor, file_identifier=b"TFL3")
    start = time.monotonic()
    with pytest.raises(InputError, match="damaged"):
        read_bytes(bytes(builder.Output()), where="bomb.tflite")
    assert time.monotonic() - start < 20


FUZZED = float_dense(description="a description", metadata={"note": b"text"})
EDITS = st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 255)), max_size=6)


def accepted_or_refused(data: bytes) -> None:
    message = ""
    try:
        read_bytes(data, where="fuzzed.tflite")
    except InputError as error:
        message = str(error)
    assert "\n" not in message


@given(edits=EDITS, cut=st.integers(0, len(FUZZED)))
@settings(max_examples=400, deadline=None)
def test_damaged_bytes_end_in_one_line(edits: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(FUZZED)
    for position, value in edits:
        data[position % len(data)] = value
    accepted_or_refused(bytes(data))
    accepted_or_refused(bytes(data[:cut]))


@given(data=st.binary(max_size=300), root=st.integers(0, 300))
@settings(max_examples=200, deadline=None)
def test_random_bytes_behind_the_identifier(data: bytes, root: int) -> None:
    accepted_or_refused(struct.pack("<I", root) + b"TFL3" + data)


@pytest.mark.data
def test_googles_quantized_files(data_dir: Path) -> None:
    """Published: V1 0.25-128 14M mult-adds, 0.47M parameters; V2 1.0-224 300M, 3.47M."""
    v1 = read(data_dir / "tflite" / "mobilenet_v1_0.25_128_quant.tflite")
    v2 = read(data_dir / "tflite" / "mobilenet_v2_1.0_224_quant.tflite")
    assert take_census(v1).mult_adds == pytest.approx(14e6, rel=0.04)
    assert v1.parameters == pytest.approx(0.47e6, rel=0.01)
    assert take_census(v2).mult_adds == pytest.approx(300e6, rel=0.01)
    assert v2.parameters == pytest.approx(3.47e6, rel=0.01)
    assert take_census(v2).arithmetic == "full-integer"
    assert take_census(v2).dtypes == (("uint8", 66),)
    assert (v2.inputs[0].dtype, v2.inputs[0].scale, v2.inputs[0].zero_point) == ("uint8", 0.0078125, 128)
    assert v2.inputs[0].layout == "NHWC"
    assert v2.producer == "MLIR Converted."
    assert (len(v2.labels), v2.labels[2]) == (1001, "goldfish, Carassius auratus")


@pytest.mark.data
def test_float_and_integer_variants_agree(data_dir: Path) -> None:
    as_float = read(data_dir / "tflite" / "vww_96_float.tflite")
    as_int = read(data_dir / "tflite" / "vww_96_int8.tflite")
    assert take_census(as_float).mult_adds == take_census(as_int).mult_adds == 7489664
    assert as_float.parameters == as_int.parameters
    assert as_float.weight_bytes == 4 * as_float.parameters
    assert (take_census(as_float).arithmetic, take_census(as_int).arithmetic) == ("float32", "full-integer")


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["vww_96_int8", "mobilenet_v1_0.25_128_quant"])
def test_damaged_real_files_end_in_one_line(data_dir: Path, name: str) -> None:
    original = (data_dir / "tflite" / f"{name}.tflite").read_bytes()

    @given(edits=EDITS, cut=st.integers(0, len(original)))
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def damage(edits: list[tuple[int, int]], cut: int) -> None:
        data = bytearray(original)
        for position, value in edits:
            # Half of the damage goes to the tables at the end, which a uniform choice hardly meets.
            place = (
                position % len(data) if position & 1 else len(data) - 1 - position % min(len(data), 60_000)
            )
            data[place] = value
        accepted_or_refused(bytes(data))
        accepted_or_refused(bytes(data[:cut]))

    damage()
