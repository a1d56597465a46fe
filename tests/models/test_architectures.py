"""The modules against the papers' tables, torchvision's modules and TensorFlow's padding rule."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mobiledeploy.models.efficientnet_lite import EfficientNetLite0
from mobiledeploy.models.layers import SamePad
from mobiledeploy.models.mobilenet_v1 import MobileNetV1
from mobiledeploy.models.mobilenet_v2 import MobileNetV2
from mobiledeploy.models.mobilenet_v3 import MobileNetV3


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def mult_adds(module: nn.Module, size: int) -> int:
    """Multiply-accumulates of convolutions and linear layers, counted from what they really output."""
    total = 0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * layer.weight[0].numel()

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        module.eval()(torch.zeros(1, 3, size, size))
    return total


@pytest.mark.parametrize(
    ("width", "size", "millions", "weights"),
    [
        (1.0, 224, 569, 4.2),  # Table 6
        (0.75, 224, 325, 2.6),
        (0.5, 224, 149, 1.3),
        (0.25, 224, 41, 0.5),
        (1.0, 192, 418, 4.2),  # Table 7
        (1.0, 160, 290, 4.2),
        (1.0, 128, 186, 4.2),
    ],
)
@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_v1_costs_what_the_paper_says(width, size, millions, weights, padding):
    module = MobileNetV1(width, padding=padding)
    assert round(parameters(module) / 1e6, 1) == weights
    assert mult_adds(module, size) / 1e6 == pytest.approx(millions, rel=0.01, abs=1)


@pytest.mark.parametrize(
    ("module", "millions", "weights"),
    [
        (MobileNetV2(), 300, 3.4),  # arXiv 1801.04381, Table 4
        (MobileNetV2(1.4), 582, 6.06),  # TF-slim's README, which corrects the paper's 6.9
        (MobileNetV3("large"), 219, 5.4),  # arXiv 1905.02244, Table 3
        (MobileNetV3("small"), 56, 2.5),
        (EfficientNetLite0(), 407, 4.7),  # tensorflow/tpu, efficientnet/lite README
    ],
    ids=["v2", "v2-1.4", "v3-large", "v3-small", "lite0"],
)
def test_the_others_cost_what_their_papers_say(module, millions, weights):
    """The papers round and leave some terms out: a tenth is allowed."""
    assert parameters(module) / 1e6 == pytest.approx(weights, rel=0.1)
    assert mult_adds(module, 224) / 1e6 == pytest.approx(millions, rel=0.1)


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"])
@pytest.mark.parametrize("width", [1.0, 0.75])
def test_torchvision_names_and_results(name, width):
    from mobiledeploy.models.torchvision_ops import declare_missing

    declare_missing()
    models = pytest.importorskip("torchvision.models")
    theirs = models.get_model(name, weights=None, width_mult=width).eval()
    ours = {
        "mobilenet_v2": lambda: MobileNetV2(width),
        "mobilenet_v3_small": lambda: MobileNetV3("small", width),
        "mobilenet_v3_large": lambda: MobileNetV3("large", width),
    }[name]().eval()
    state = theirs.state_dict()
    assert [(key, value.shape) for key, value in ours.state_dict().items()] == [
        (key, value.shape) for key, value in state.items()
    ]
    generator = torch.Generator().manual_seed(1)
    for key, value in state.items():  # statistics away from 0 and 1, so that epsilon and order count
        if key.endswith(("running_var", "running_mean")):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    ours.load_state_dict(state)
    x = torch.randn(1, 3, 96, 96, generator=generator)
    with torch.inference_mode():
        expected = theirs(x)
        assert expected.std() > 0
        torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [7, 8, 15, 16])
def test_same_padding_is_tensorflows(kernel, size):
    padded = SamePad(kernel, 2)(torch.ones(1, 1, size, size))
    convolved = nn.functional.max_pool2d(padded, kernel, 2)
    assert convolved.shape[-1] == -(-size // 2)
    before = int(padded[0, 0, size // 2].argmax())
    after = padded.shape[-1] - size - before
    assert after - before == (kernel - 2 + (size % 2)) % 2
    if (kernel, size) == (3, 8):
        assert (before, after) == (0, 1)


def test_v1_paddings_differ_only_in_where_they_look():
    """A symmetric network on an image shifted by one pixel sees what a SAME network sees."""
    same, symmetric = (MobileNetV1(0.25, 10, padding).features[0].eval() for padding in ("same", "symmetric"))
    symmetric.load_state_dict({f"{int(k[0]) - 1}{k[1:]}": v for k, v in same.state_dict().items()})
    image = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    inside = (..., slice(1, -1), slice(1, -1))
    with torch.inference_mode():
        expected = same(image)
        shifted = symmetric(image.roll((-1, -1), (2, 3)))
        assert not torch.allclose(symmetric(image)[inside], expected[inside])
        torch.testing.assert_close(shifted[inside], expected[inside])


@pytest.mark.parametrize("size", [33, 128, 160, 225])
def test_v1_takes_any_resolution(size):
    with torch.inference_mode():
        assert MobileNetV1(0.25, 7).eval()(torch.zeros(2, 3, size, size)).shape == (2, 7)


def test_v1_keeps_eight_channels_at_the_least():
    assert MobileNetV1(0.01).features[0][1].out_channels == 8


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        (MobileNetV1(0.25), {"pad", "conv2d", "batch_norm", "hardtanh"}),
        (MobileNetV2(0.35), {"conv2d", "batch_norm", "hardtanh", "add"}),
        (MobileNetV3("small"), {"conv2d", "batch_norm", "relu", "hardswish", "hardsigmoid", "mul", "add"}),
        (EfficientNetLite0(), {"pad", "conv2d", "batch_norm", "hardtanh", "add"}),
    ],
    ids=["v1", "v2", "v3", "lite0"],
)
def test_exported_graphs_hold_nothing_else(module, allowed):
    program = torch.export.export(module.eval(), (torch.zeros(1, 3, 64, 64),))
    calls = [node.target for node in program.graph.nodes if node.op == "call_function"]
    names = {call._schema.name.removeprefix("aten::").rstrip("_") for call in calls}
    names = {"hardtanh" if name == "relu6" else name for name in names}
    assert names - {"dropout"} == allowed | {"adaptive_avg_pool2d", "flatten", "linear"}
    assert not program.range_constraints
