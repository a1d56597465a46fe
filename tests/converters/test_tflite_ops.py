"""Every family of operators: same numbers as PyTorch, and the operators a reader would expect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mobiledeploy.converters.tflite.lowering import lowerable
from mobiledeploy.converters.tflite.ops import register_all


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)


def image(channels: int = 8, height: int = 12, width: int = 10) -> torch.Tensor:
    return torch.randn(1, channels, height, width)


C = "CONV_2D"
D = "DEPTHWISE_CONV_2D"

# name -> module or function, inputs, operators in the file (None: any).
CASES: dict[str, tuple[Any, tuple[torch.Tensor, ...], list[str] | None]] = {
    # convolution
    "conv": (nn.Conv2d(8, 4, 3), (image(),), [C]),
    "conv, same padding": (nn.Conv2d(8, 4, 3, padding=1), (image(),), [C]),
    "conv, padding 'same'": (nn.Conv2d(8, 4, 3, padding="same"), (image(),), [C]),
    "conv, even kernel, 'same'": (nn.Conv2d(8, 4, 4, padding="same", bias=False), (image(),), None),
    "conv, stride 2, even": (nn.Conv2d(8, 4, 3, 2, 1), (image(),), ["PAD", C]),
    "conv, stride 2, odd": (nn.Conv2d(8, 4, 3, 2, 1), (image(8, 13, 11),), [C]),
    "conv, no bias": (nn.Conv2d(8, 4, 1, bias=False), (image(),), [C]),
    "conv, dilated": (nn.Conv2d(8, 4, 3, dilation=2, padding=2), (image(),), [C]),
    "conv, uneven": (nn.Conv2d(8, 4, (1, 5), (2, 1), (0, 2)), (image(),), [C]),
    "conv, wide padding": (nn.Conv2d(8, 4, 3, padding=3), (image(),), ["PAD", C]),
    "conv, groups": (nn.Conv2d(8, 12, 3, padding=1, groups=4), (image(),), [C]),
    "depthwise": (nn.Conv2d(8, 8, 3, padding=1, groups=8), (image(),), [D]),
    "depthwise, multiplier": (nn.Conv2d(8, 24, 3, padding=1, groups=8), (image(),), [D]),
    "depthwise, dilated": (nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8), (image(),), [D]),
    "TF SAME": (nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 8, 3, 2, groups=8)), (image(),), [D]),
    "pad that SAME cannot take": (
        nn.Sequential(nn.ZeroPad2d((2, 0, 2, 0)), nn.Conv2d(8, 4, 3, 2)),
        (image(),),
        ["PAD", C],
    ),
    "conv1d": (nn.Conv1d(4, 6, 3, padding=1), (torch.randn(1, 4, 9),), None),
    "transposed": (nn.ConvTranspose2d(8, 4, 2, 2), (image(),), ["TRANSPOSE_CONV"]),
    "transposed, padding": (nn.ConvTranspose2d(8, 4, 3, 2, 1, 1), (image(),), ["TRANSPOSE_CONV", "SLICE"]),
    "transposed, groups": (nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=4), (image(),), None),
    "transposed, dilated": (nn.ConvTranspose2d(8, 4, 3, 1, dilation=2), (image(),), ["TRANSPOSE_CONV"]),
    # batch norm and fused activations
    "conv bn relu6": (
        nn.Sequential(nn.Conv2d(8, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU6()),
        (image(),),
        [C],
    ),
    "conv bn relu in place": (
        nn.Sequential(nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
        (image(),),
        [C],
    ),
    "linear bn": (
        nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)),
        (torch.randn(1, 6),),
        ["FULLY_CONNECTED"],
    ),
    "transposed bn": (
        nn.Sequential(nn.ConvTranspose2d(8, 4, 2, 2), nn.BatchNorm2d(4)),
        (image(),),
        ["TRANSPOSE_CONV"],
    ),
    "lone bn": (nn.BatchNorm2d(8), (image(),), ["MUL", "ADD"]),
    "bn after a sum": (
        Call(lambda x, n=nn.BatchNorm2d(8).eval(): n(x + x)),
        (image(),),
        ["ADD", "MUL", "ADD"],
    ),
    "relu with two readers": (Call(lambda x: (F.relu(x + 1), x + 1)), (image(),), None),
    # activations
    "relu": (F.relu, (image(),), ["RELU"]),
    "relu6": (F.relu6, (image(),), ["RELU6"]),
    "hardtanh": (F.hardtanh, (image(),), ["RELU_N1_TO_1"]),
    "clamp": (lambda x: x.clamp(-0.3, 0.4), (image(),), ["MAXIMUM", "MINIMUM"]),
    "clamp_min": (lambda x: x.clamp_min(0.1), (image(),), ["MAXIMUM"]),
    "clamp_max": (lambda x: x.clamp_max(0.1), (image(),), ["MINIMUM"]),
    "hardswish": (F.hardswish, (image() * 4,), ["HARD_SWISH"]),
    "hardsigmoid": (F.hardsigmoid, (image() * 4,), ["ADD", "MUL"]),
    "silu": (F.silu, (image(),), ["LOGISTIC", "MUL"]),
    "gelu": (F.gelu, (image(),), ["GELU"]),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), (image(),), ["GELU"]),
    "sigmoid": (torch.sigmoid, (image(),), ["LOGISTIC"]),
    "tanh": (torch.tanh, (image(),), ["TANH"]),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), (image(),), ["LEAKY_RELU"]),
    "elu": (F.elu, (image(),), ["ELU"]),
    "elu, alpha": (lambda x: F.elu(x, 0.7), (image(),), None),
    "selu-like celu": (lambda x: F.celu(x, 1.3), (image(),), None),
    "prelu": (nn.PReLU(8), (image(),), ["PRELU"]),
    "mish": (F.mish, (image() * 3,), None),
    "softplus": (F.softplus, (image() * 30,), None),
    "logsigmoid": (F.logsigmoid, (image() * 3,), None),
    "softmax": (lambda x: x.softmax(-1), (torch.randn(1, 7),), ["SOFTMAX"]),
    "softmax over channels": (lambda x: x.softmax(1), (image(),), ["SOFTMAX"]),
    "softmax over rows": (lambda x: x.softmax(2), (image(),), None),
    "log_softmax": (lambda x: x.log_softmax(1), (image(),), ["LOG_SOFTMAX"]),
    "glu": (lambda x: F.glu(x, 1), (image(),), None),
    # arithmetic
    "scalars": (lambda x: (2 - x) / 3 + x * 0.5, (image(),), ["SUB", "DIV", "MUL", "ADD"]),
    "scalar over tensor": (lambda x: 1.0 / (x * x + 1), (image(),), None),
    "alpha": (lambda x: torch.add(x, x, alpha=3), (image(),), ["MUL", "ADD"]),
    "per channel": (lambda x: x * torch.arange(8.0).reshape(1, 8, 1, 1), (image(),), ["MUL"]),
    "lower rank": (lambda x, y: x + y, (image(), torch.randn(10)), None),
    "rows and columns": (lambda x, y: x * y, (image(8, 1, 10), image(8, 12, 1)), ["MUL"]),
    "two layouts": (lambda x, y: x.permute(0, 2, 3, 1) + y, (image(), torch.randn(1, 12, 10, 8)), None),
    "maximum": (torch.maximum, (image(), image()), ["MAXIMUM"]),
    "pow": (lambda x: x.abs().pow(1.7) + x**2, (image(),), ["ABS", "POW", "MUL", "ADD"]),
    "roots": (lambda x: (x.abs() + 1).sqrt() + (x.abs() + 1).rsqrt(), (image(),), None),
    "integers promoted": (lambda x: x.to(torch.int32) / 2, (image() * 5,), None),
    "floor_divide": (lambda x: torch.floor_divide(x, 0.4), (image(),), ["FLOOR_DIV"]),
    "where": (lambda x: torch.where(x > 0.1, x, -x), (image(),), ["GREATER", "NEG", "SELECT_V2"]),
    "masked_fill": (lambda x: x.masked_fill(x < 0, 2.0), (image(),), ["LESS", "SELECT_V2"]),
    "logic": (lambda x: ((x > 0) & ~(x > 1)).float(), (image(),), None),
    # pooling and reductions
    "max pool": (nn.MaxPool2d(2), (image(),), ["MAX_POOL_2D"]),
    "max pool, padding": (nn.MaxPool2d(3, 2, 1), (image(),), ["PADV2", "MAX_POOL_2D"]),
    "max pool behind relu": (
        nn.Sequential(nn.Conv2d(8, 4, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        (image(),),
        None,
    ),
    "max pool, ceil": (nn.MaxPool2d(3, 2, ceil_mode=True), (image(),), None),
    "avg pool": (nn.AvgPool2d(2), (image(),), ["AVERAGE_POOL_2D"]),
    "avg pool, padding counted": (nn.AvgPool2d(3, 2, 1), (image(),), ["PAD", "AVERAGE_POOL_2D"]),
    "avg pool, padding not counted": (
        nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        (image(),),
        ["AVERAGE_POOL_2D"],
    ),
    "avg pool, not counted, stride 2": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (image(),), None),
    "avg pool, ceil": (nn.AvgPool2d(3, 2, ceil_mode=True), (image(),), None),
    "avg pool, ceil and padding": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (image(8, 13, 12),), None),
    "avg pool, divisor": (nn.AvgPool2d(3, 2, divisor_override=5), (image(),), None),
    "pad before avg pool": (
        nn.Sequential(nn.ZeroPad2d(1), nn.AvgPool2d(3, 1)),
        (image(),),
        ["PAD", "AVERAGE_POOL_2D"],
    ),
    "pad before max pool": (
        nn.Sequential(nn.ZeroPad2d(1), nn.MaxPool2d(3, 1)),
        (-image().abs(),),
        ["PAD", "MAX_POOL_2D"],
    ),
    "adaptive to 1": (nn.AdaptiveAvgPool2d(1), (image(),), ["MEAN"]),
    "adaptive, even": (nn.AdaptiveAvgPool2d((6, 5)), (image(),), ["AVERAGE_POOL_2D"]),
    "adaptive, uneven": (nn.AdaptiveAvgPool2d((5, 7)), (image(),), None),
    "adaptive max": (nn.AdaptiveMaxPool2d(1), (image(),), ["REDUCE_MAX"]),
    "mean": (lambda x: x.mean((2, 3)), (image(),), ["MEAN"]),
    "mean of all": (lambda x: x.mean(), (image(),), None),
    "sum": (lambda x: x.sum(1, keepdim=True), (image(),), ["SUM"]),
    "amax": (lambda x: x.amax((1, 2)), (image(),), ["REDUCE_MAX"]),
    "max with index": (lambda x: x.max(1), (image(),), ["REDUCE_MAX", "ARG_MAX"]),
    "argmax": (lambda x: x.argmax(1), (image(),), ["ARG_MAX"]),
    "var": (lambda x: x.var(1) + x.std((2, 3), keepdim=True, correction=0).mean(1), (image(),), None),
    "normalize": (lambda x: F.normalize(x, dim=1), (image(),), None),
    "cumsum": (lambda x: x.cumsum(1), (image(),), ["CUMSUM"]),
    # shape
    "flatten features": (
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
        (image(),),
        ["MEAN", "FULLY_CONNECTED"],
    ),
    "flatten image": (nn.Flatten(), (image(),), ["TRANSPOSE", "RESHAPE"]),
    "patches as tokens": (lambda x: x.flatten(2).transpose(1, 2), (image(),), ["RESHAPE"]),
    "tokens as image": (
        lambda x: x.transpose(1, 2).reshape(1, 8, 12, 10),
        (torch.randn(1, 120, 8),),
        ["RESHAPE"],
    ),
    "channels last linear": (
        nn.Sequential(
            Call(lambda x: x.permute(0, 2, 3, 1)), nn.Linear(8, 5), Call(lambda x: x.permute(0, 3, 1, 2))
        ),
        (image(),),
        ["FULLY_CONNECTED"],
    ),
    "slices": (lambda x: x[:, 1:5, ::2, -4:], (image(),), None),
    "select": (lambda x: x[:, 3], (image(),), None),
    "split": (lambda x: x.split(4, 1), (image(),), ["SPLIT"]),
    "chunk, uneven": (lambda x: x.chunk(3, 1), (image(),), None),
    "unbind": (lambda x: x.reshape(2, 4, 120).unbind(0), (image(),), None),
    "cat": (lambda x, y: torch.cat([x, y], 1), (image(), image(3)), ["CONCATENATION"]),
    "cat with constant": (
        lambda x: torch.cat([torch.ones(1, 1, 12, 10), x], 1),
        (image(),),
        ["CONCATENATION"],
    ),
    "stack": (lambda x, y: torch.stack([x, y], 2).flatten(1, 2), (image(), image()), None),
    "movedim": (lambda x: x.movedim(1, -1).movedim((0, 1), (1, 0)), (image(),), None),
    "squeeze": (lambda x: x.mean((2, 3), keepdim=True).squeeze(-1).squeeze(-1), (image(),), ["MEAN"]),
    "expand": (lambda x: x.expand(1, 8, 12, 10) * 2, (image(8, 1, 1),), ["BROADCAST_TO", "MUL"]),
    "expand for arithmetic": (lambda x, y: x.expand(1, 8, 12, 10) * y, (image(8, 1, 1), image()), ["MUL"]),
    "repeat": (lambda x: x.repeat(1, 2, 1, 1), (image(),), ["TILE"]),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, 1), (image(),), None),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 3)), (image(),), ["PAD"]),
    "pad, value": (lambda x: F.pad(x, (1, 2), value=0.5), (image(),), ["PADV2"]),
    "pad, negative": (lambda x: F.pad(x, (-1, 0, 2, -3)), (image(),), None),
    "pad, reflect": (nn.ReflectionPad2d(2), (image(),), ["MIRROR_PAD"]),
    "pad, replicate": (nn.ReplicationPad2d(2), (image(),), ["GATHER", "GATHER"]),
    "pad, circular": (lambda x: F.pad(x, (1, 2, 0, 0), mode="circular"), (image(),), None),
    "pixel shuffle": (nn.PixelShuffle(2), (image(),), None),
    "pixel unshuffle": (nn.PixelUnshuffle(2), (image(),), None),
    "channel shuffle": (nn.ChannelShuffle(4), (image(),), ["RESHAPE", "TRANSPOSE", "RESHAPE"]),
    "roll": (lambda x: x.roll((2, -3), (2, 3)), (image(),), None),
    "flip": (lambda x: x.flip(3), (image(),), ["REVERSE_V2"]),
    "windows": (
        lambda x: x.reshape(1, 8, 3, 4, 2, 5).permute(0, 2, 4, 3, 5, 1).reshape(6, 20, 8),
        (image(),),
        None,
    ),
    "unfold": (lambda x: F.unfold(x, 2, stride=2), (image(),), None),
    # indexing
    "index": (lambda x: x[:, torch.tensor([3, 1, 1])], (image(),), ["GATHER"]),
    "index, negative": (lambda x: x[..., torch.tensor([-1, 0])], (image(),), ["GATHER"]),
    "index_select": (lambda x: x.index_select(2, torch.tensor([5, 0])), (image(),), ["GATHER"]),
    "index, two axes": (lambda x: x[:, :, torch.tensor([1, 2]), torch.tensor([3, 4])], (image(),), None),
    "topk": (lambda x: x.topk(3), (torch.randn(1, 9),), ["TOPK_V2"]),
    # products and norms
    "linear": (nn.Linear(7, 3), (torch.randn(1, 7),), ["FULLY_CONNECTED"]),
    "linear, three axes": (nn.Linear(7, 3), (torch.randn(1, 5, 7),), ["FULLY_CONNECTED"]),
    "linear relu": (nn.Sequential(nn.Linear(7, 3), nn.ReLU()), (torch.randn(1, 7),), ["FULLY_CONNECTED"]),
    "matmul": (torch.matmul, (torch.randn(1, 4, 5, 6), torch.randn(1, 4, 6, 3)), None),
    "matmul, transposed": (
        lambda x, y: x @ y.transpose(1, 2),
        (torch.randn(2, 5, 6), torch.randn(2, 3, 6)),
        ["BATCH_MATMUL"],
    ),
    "matmul, broadcast": (torch.matmul, (torch.randn(1, 5, 6), torch.randn(4, 6, 3)), ["BATCH_MATMUL"]),
    "constant times value": (lambda x: torch.ones(4, 5) @ x, (torch.randn(2, 5, 6),), None),
    "einsum": (
        lambda x, y: torch.einsum("bnd,bmd->bnm", x, y),
        (torch.randn(2, 5, 6), torch.randn(2, 3, 6)),
        ["BATCH_MATMUL"],
    ),
    "attention": (F.scaled_dot_product_attention, (torch.randn(1, 2, 5, 4),) * 3, None),
    "attention, causal": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        (torch.randn(1, 2, 5, 4),) * 3,
        None,
    ),
    "attention, mask": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=torch.eye(5).bool()),
        (torch.randn(1, 2, 5, 4),) * 3,
        None,
    ),
    "multi-head attention": (
        Call(
            lambda x, m=nn.MultiheadAttention(8, 2, batch_first=True).eval(): m(x, x, x, need_weights=False)[
                0
            ]
        ),
        (torch.randn(1, 5, 8),),
        None,
    ),
    "layer norm": (nn.LayerNorm(8), (torch.randn(1, 5, 8),), None),
    "layer norm over channels": (
        Call(lambda x, n=nn.LayerNorm(8): n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)),
        (image(),),
        None,
    ),
    "group norm": (nn.GroupNorm(4, 8), (image(),), None),
    "group norm, one": (nn.GroupNorm(1, 8), (image(),), None),
    "instance norm": (nn.InstanceNorm2d(8, affine=True), (image(),), None),
    "pairwise distance (decomposed)": (F.pairwise_distance, (torch.randn(2, 6), torch.randn(2, 6)), None),
    # resampling
    "nearest": (lambda x: F.interpolate(x, scale_factor=2.0), (image(),), ["RESIZE_NEAREST_NEIGHBOR"]),
    "nearest, down": (lambda x: F.interpolate(x, (5, 7)), (image(),), ["RESIZE_NEAREST_NEIGHBOR"]),
    "nearest-exact": (
        lambda x: F.interpolate(x, (5, 7), mode="nearest-exact"),
        (image(),),
        ["RESIZE_NEAREST_NEIGHBOR"],
    ),
    "bilinear": (lambda x: F.interpolate(x, (20, 17), mode="bilinear"), (image(),), ["RESIZE_BILINEAR"]),
    "bilinear, corners": (
        lambda x: F.interpolate(x, (20, 17), mode="bilinear", align_corners=True),
        (image(),),
        ["RESIZE_BILINEAR"],
    ),
    "bilinear, odd factor": (
        lambda x: F.interpolate(x, scale_factor=1.37, mode="bilinear"),
        (image(),),
        None,
    ),
    "bicubic": (lambda x: F.interpolate(x, (20, 17), mode="bicubic"), (image(),), None),
}


@pytest.mark.parametrize("name", CASES)
def test_same_numbers_as_pytorch(name: str, to_tflite: Any) -> None:
    torch.manual_seed(0)
    function, inputs, kinds = CASES[name]
    module = function if isinstance(function, nn.Module) else Call(function)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    converted = to_tflite(module, *inputs)
    assert converted.error < 2e-5
    if kinds is not None:
        assert converted.kinds == kinds


def test_a_family_file_is_picked_up() -> None:
    register_all()
    families = Path(__file__).parents[2] / "converters" / "tflite" / "ops"
    assert {"aten.conv2d.default", "aten.upsample_bilinear2d.vec"} <= set(lowerable())
    assert len(list(families.glob("*.py"))) > 10
