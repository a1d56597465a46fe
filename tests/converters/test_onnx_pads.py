"""Pads that a convolution takes over, and those that it must not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from mobiledeploy.converters import write
from mobiledeploy.converters.describe import describe
from mobiledeploy.converters.export import export
from mobiledeploy.converters.onnx_pads import pad_in_convolutions
from mobiledeploy.quantize import quantize
from mobiledeploy.runtimes.onnx_file import read
from mobiledeploy.runtimes.onnx_session import open_session
from mobiledeploy.source import SourceModel

SPATIAL = [0, 0, 0, 2, 0, 0, 1, 3]


def graph(nodes: Sequence[onnx.NodeProto], channels: int = 2, **constants: Any) -> onnx.ModelProto:
    """``x`` (1, 2, 6, 6) to ``y``, through a convolution with weights ``w``."""
    weights = np.random.default_rng(0).normal(size=(3, channels, 3, 3)).astype(np.float32)
    held = {"w": weights, **constants}
    made = helper.make_graph(
        list(nodes),
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    pad_in_convolutions(copy.graph)
    onnx.checker.check_model(copy)
    return copy


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def result(model: onnx.ModelProto) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    # As the file says it, so that the two graphs are not made the same by the engine.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    image = np.random.default_rng(1).normal(size=(1, 2, 6, 6)).astype(np.float32)
    found: np.ndarray = session.run(["y"], {"x": image})[0]
    return found


def conv(source: str = "padded", pads: Sequence[int] | None = (0, 1, 1, 0), **options: Any) -> onnx.NodeProto:
    if pads is not None:
        options["pads"] = list(pads)
    return helper.make_node("Conv", [source, "w"], ["y"], **options)


def test_pads_are_added_to_the_convolutions_own() -> None:
    model = graph([helper.make_node("Pad", ["x", "pads"], ["padded"]), conv()], pads=np.array(SPATIAL))
    after = folded(model)
    assert kinds(after) == ["Conv"]
    (own,) = (item.ints for item in after.graph.node[0].attribute if item.name == "pads")
    assert list(own) == [0, 3, 2, 3]
    assert np.array_equal(result(model), result(after))


def test_strides_and_dilations_do_not_matter() -> None:
    model = graph(
        [helper.make_node("Pad", ["x", "pads"], ["padded"]), conv(strides=[2, 1], dilations=[1, 2])],
        pads=np.array(SPATIAL),
    )
    assert kinds(folded(model)) == ["Conv"]
    assert np.array_equal(result(model), result(folded(model)))


def test_an_explicit_zero_is_a_zero() -> None:
    pad = helper.make_node("Pad", ["x", "pads", "value"], ["padded"], mode="constant")
    model = graph([pad, conv()], pads=np.array(SPATIAL), value=np.float32(0))
    assert kinds(folded(model)) == ["Conv"]
    assert np.array_equal(result(model), result(folded(model)))


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([helper.make_node("Pad", ["x", "pads"], ["padded"], mode="reflect"), conv()], {"pads": SPATIAL}),
        ([helper.make_node("Pad", ["x", "pads"], ["padded"], mode="edge"), conv()], {"pads": SPATIAL}),
        (
            [helper.make_node("Pad", ["x", "pads", "value"], ["padded"]), conv()],
            {"pads": SPATIAL, "value": np.float32(0.5)},
        ),
        (
            [helper.make_node("Pad", ["x", "pads"], ["padded"]), conv()],
            {"pads": [0, 0, 0, -1, 0, 0, 0, 0]},
        ),
        (
            [
                helper.make_node("Pad", ["x", "pads"], ["padded"]),
                conv(pads=None, auto_pad="SAME_UPPER", strides=[2, 2]),
            ],
            {"pads": SPATIAL},
        ),
        (
            [
                helper.make_node("Pad", ["x", "pads"], ["padded"]),
                helper.make_node("Conv", ["padded", "w"], ["first"], pads=[0, 0, 0, 0]),
                helper.make_node("Conv", ["padded", "w"], ["second"], pads=[0, 0, 0, 0]),
                helper.make_node("Add", ["first", "second"], ["y"]),
            ],
            {"pads": SPATIAL},
        ),
        (
            [helper.make_node("Pad", ["x", "pads", "", "axes"], ["padded"]), conv()],
            {"pads": [0, 2, 1, 3], "axes": [2, 3]},
        ),
    ],
    ids=["reflect", "edge", "value", "crop", "auto_pad", "two readers", "axes"],
)
def test_what_stays(nodes: list[onnx.NodeProto], constants: dict[str, Any]) -> None:
    model = graph(nodes, **{name: np.asarray(value) for name, value in constants.items()})
    after = folded(model)
    assert kinds(after) == kinds(model)
    assert np.array_equal(result(model), result(after))


def test_padded_channels_stay() -> None:
    pad = helper.make_node("Pad", ["x", "pads"], ["padded"])
    model = graph([pad, conv()], channels=3, pads=np.array([0, 1, 0, 0, 0, 0, 0, 0]))
    assert kinds(folded(model)) == ["Pad", "Conv"]
    assert np.array_equal(result(model), result(folded(model)))


def test_pads_that_are_computed_stay() -> None:
    nodes = [
        helper.make_node("Add", ["half", "half"], ["pads"]),
        helper.make_node("Pad", ["x", "pads"], ["padded"]),
        conv(),
    ]
    model = graph(nodes, half=np.array([0, 0, 0, 1, 0, 0, 1, 1]))
    assert kinds(folded(model)) == ["Add", "Pad", "Conv"]


def test_a_padded_tensor_that_is_also_an_output_stays() -> None:
    model = graph([helper.make_node("Pad", ["x", "pads"], ["padded"]), conv()], pads=np.array(SPATIAL))
    model.graph.output.append(helper.make_tensor_value_info("padded", TensorProto.FLOAT, [None] * 4))
    assert kinds(folded(model)) == ["Pad", "Conv"]


def codes(scale_behind: str) -> onnx.ModelProto:
    """``Q -> DQ -> Pad -> Q -> DQ -> Conv``; the second pair in the first one's scale or in its own."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
        helper.make_node("Pad", ["dq", "pads"], ["wide"]),
        helper.make_node("QuantizeLinear", ["wide", scale_behind, "zero"], ["q2"]),
        helper.make_node("DequantizeLinear", ["q2", scale_behind, "zero"], ["padded"]),
        conv(),
    ]
    return graph(
        nodes, pads=np.array(SPATIAL), scale=np.float32(0.02), other=np.float32(0.05), zero=np.int8(5)
    )


def test_between_codes_of_one_scale_they_fold_with_their_conversions() -> None:
    model = codes("scale")
    after = folded(model)
    assert kinds(after) == ["QuantizeLinear", "DequantizeLinear", "Conv"]
    assert np.allclose(result(model), result(after), rtol=0, atol=1e-6)


def test_between_codes_of_two_scales_they_stay() -> None:
    model = codes("other")
    assert kinds(folded(model)) == kinds(model)


class Padded(nn.Module):
    """Stride 2 as Keras pads it: below and to the right."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pad = nn.Conv2d(3, 4, 3, padding=1), nn.ZeroPad2d((0, 1, 0, 1))
        self.next = nn.Conv2d(4, 4, 3, 2, groups=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.next(self.pad(torch.relu(self.stem(x))))


def test_a_quantized_model_has_no_pad_left(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = [(torch.randn(1, 3, 12, 12),) for _ in range(20)]
    source = SourceModel(Padded().eval(), images[0])
    program = quantize(export(source), images).program
    path = tmp_path / "net.onnx"
    write("onnx", program, describe(source, program, "onnx"), "fp32", path)
    assert "Pad" not in [op.kind for op in read(path).ops]
    session = open_session(path, threads=1)
    module = program.module()
    for (image,) in images:
        wanted = module(image).detach().numpy()
        (got,) = session.run([image.numpy()])
        assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()
