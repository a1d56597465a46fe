"""One small model per operation: PyTorch against the reference evaluation of the saved package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mobiledeploy.contract import Contract, Precision, TensorSpec
from mobiledeploy.converters import to_coreml
from mobiledeploy.runtimes.mil_reference.session import open_session

IMAGE = (1, 4, 9, 10)


class Function(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(x, x * 0.5, x + 1)


class Recalibration(nn.Module):
    """Squeeze and excite: a mean, two 1x1 convolutions, a hard sigmoid and a broadcast product."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.up(F.relu(self.down(x.mean((2, 3), keepdim=True))))
        return x * F.hardsigmoid(weights)


def conv(*arguments: object, **options: object) -> nn.Module:
    return nn.Conv2d(*arguments, **options)  # type: ignore[arg-type]


def interpolate(**options: object) -> nn.Module:
    return Function(lambda x: F.interpolate(x, **options))  # type: ignore[arg-type]


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "conv": (lambda: conv(4, 6, 3), IMAGE),
    "conv stride, uneven padding": (
        lambda: nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), conv(4, 6, 3, stride=2)),
        IMAGE,
    ),
    "conv padded, dilated": (lambda: conv(4, 6, 3, padding=(2, 1), dilation=2), IMAGE),
    "conv same": (lambda: conv(4, 6, 4, padding="same"), IMAGE),
    "conv depthwise": (lambda: conv(4, 8, 3, padding=1, groups=4, bias=False), IMAGE),
    "conv one axis": (lambda: nn.Conv1d(4, 6, 3, padding=1, stride=2), (1, 4, 11)),
    "conv transpose": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), IMAGE),
    "conv transpose groups": (lambda: nn.ConvTranspose2d(4, 8, 2, stride=2, groups=2, bias=False), IMAGE),
    "linear": (lambda: nn.Linear(10, 7), (2, 3, 10)),
    "linear no bias": (lambda: nn.Linear(10, 7, bias=False), (2, 10)),
    "matmul": (lambda: Function(lambda x: x @ x.transpose(-1, -2)), IMAGE),
    "einsum": (lambda: Function(lambda x: torch.einsum("nchw,nchv->nhwv", x, x)), (1, 4, 5, 6)),
    "attention": (Attention, (1, 2, 7, 8)),
    "max pool": (lambda: nn.MaxPool2d(3, 2, padding=1), IMAGE),
    "max pool ceil": (lambda: nn.MaxPool2d(3, 2, ceil_mode=True), IMAGE),
    "avg pool": (lambda: nn.AvgPool2d(2), IMAGE),
    "avg pool padding counted": (lambda: nn.AvgPool2d(3, 2, padding=1), IMAGE),
    "avg pool padding not counted": (lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), IMAGE),
    "avg pool ceil": (lambda: nn.AvgPool2d(3, 2, ceil_mode=True, count_include_pad=False), (1, 4, 8, 8)),
    "global pool": (lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
    "activations": (
        lambda: Function(
            lambda x: torch.cat(
                [F.relu(x), F.relu6(4 * x), F.leaky_relu(x, 0.1), F.elu(x), torch.sigmoid(x), torch.tanh(x)]
            )
        ),
        IMAGE,
    ),
    "gated activations": (
        lambda: Function(
            lambda x: torch.cat(
                [F.silu(x), F.hardswish(3 * x), F.hardsigmoid(3 * x), F.gelu(x), F.softplus(x)]
            )
        ),
        IMAGE,
    ),
    "gelu tanh": (lambda: nn.GELU(approximate="tanh"), IMAGE),
    "prelu": (lambda: nn.PReLU(4, 0.3), IMAGE),
    "clamp": (lambda: Function(lambda x: x.clamp(-0.5, 0.25)), IMAGE),
    "softmax": (lambda: nn.Softmax(1), IMAGE),
    "arithmetic": (lambda: Function(lambda x: (2 - x) * (x + 3) / (x.abs() + 0.5) - x * x), IMAGE),
    "powers": (lambda: Function(lambda x: (x * x + 1).sqrt() + (x * x + 1).rsqrt() + x**2 + x.exp()), IMAGE),
    "maximum, minimum, where": (
        lambda: Function(lambda x: torch.where(x > 0, torch.maximum(x, x * x), torch.minimum(x, x + 1))),
        IMAGE,
    ),
    "log, floor, erf": (lambda: Function(lambda x: (x.abs() + 1).log() + (3 * x).floor() + x.erf()), IMAGE),
    "mean, sum, max": (
        lambda: Function(
            lambda x: x.mean((2, 3), keepdim=True) + x.sum(1, keepdim=True) + x.amax((1, 2, 3), keepdim=True)
        ),
        IMAGE,
    ),
    "norms": (lambda: Function(lambda x: x / x.norm(dim=1, keepdim=True)), IMAGE),
    "batch norm": (
        lambda: nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4, eps=1e-3)),
        IMAGE,
    ),
    "layer norm": (lambda: nn.LayerNorm(10), IMAGE),
    "group norm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "instance norm": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "reshape, permute": (
        lambda: Function(lambda x: x.permute(0, 2, 3, 1).reshape(1, 90, 4).transpose(1, 2)),
        IMAGE,
    ),
    "slices": (lambda: Function(lambda x: x[:, 1:, ::2, -3:] + x[:, :3, 1::2, 2:3][:, :, :1]), (1, 4, 8, 10)),
    "select": (lambda: Function(lambda x: x[:, 2] * x[:, :, 3].sum(1, keepdim=True)), IMAGE),
    "split, chunk": (
        lambda: Function(lambda x: torch.cat([*x.split([1, 3], 1)[::-1], *x.chunk(2, 1)], 1)),
        IMAGE,
    ),
    "stack, unbind": (lambda: Function(lambda x: torch.stack(x.unbind(1)[::-1], 2)), IMAGE),
    "flip, roll": (lambda: Function(lambda x: x.flip(2) + x.roll(1, 3)), IMAGE),
    "pad": (
        lambda: Function(lambda x: F.pad(F.pad(x, (1, 2, 0, 1), value=0.5), (1, 1, 2, 0), mode="reflect")),
        (1, 4, 6, 7),
    ),
    "pad replicate": (lambda: nn.ReplicationPad2d((1, 2, 3, 0)), IMAGE),
    "channel shuffle": (
        lambda: Function(lambda x: x.view(1, 2, 2, 9, 10).transpose(1, 2).flatten(1, 2)),
        IMAGE,
    ),
    "pixel shuffle": (lambda: nn.PixelShuffle(2), IMAGE),
    "pixel unshuffle": (lambda: nn.PixelUnshuffle(2), (1, 4, 8, 10)),
    "expand, repeat": (
        lambda: Function(lambda x: x[:, :1].expand(1, 4, 9, 10) + x.repeat(1, 1, 1, 2)[..., :10]),
        IMAGE,
    ),
    "nearest": (lambda: interpolate(scale_factor=2, mode="nearest"), IMAGE),
    "nearest to size": (lambda: interpolate(size=(13, 7), mode="nearest"), IMAGE),
    "bilinear": (lambda: interpolate(scale_factor=2, mode="bilinear"), IMAGE),
    "bilinear to size": (lambda: interpolate(size=(21, 17), mode="bilinear"), IMAGE),
    "bilinear corners": (lambda: interpolate(size=(17, 19), mode="bilinear", align_corners=True), IMAGE),
    "bilinear smaller": (lambda: interpolate(size=(5, 4), mode="bilinear"), IMAGE),
    "squeeze and excite": (Recalibration, IMAGE),
    "gather": (lambda: Function(lambda x: x[:, torch.tensor([3, 0, 2])]), IMAGE),
    "argmax": (lambda: Function(lambda x: x.argmax(1).float()), IMAGE),
    "scaled sums": (
        lambda: Function(lambda x: torch.add(x, x * x, alpha=2) - torch.sub(x, x, alpha=3)),
        IMAGE,
    ),
    "sort": (lambda: Function(lambda x: x.sort(-1)[0] + x.topk(10, -1, largest=False)[0]), IMAGE),
    "nearest by fraction": (lambda: interpolate(scale_factor=1.7, mode="nearest"), IMAGE),
    "attention with mask": (
        lambda: Function(
            lambda x: F.scaled_dot_product_attention(
                x, x, x, attn_mask=torch.ones(9, 9).tril().bool(), scale=0.7
            )
        ),
        IMAGE,
    ),
    "deviation": (lambda: Function(lambda x: x.std(1, correction=0)), IMAGE),
    "cumsum": (lambda: Function(lambda x: x.cumsum(2)), IMAGE),
}


def convert(module: nn.Module, x: torch.Tensor, precision: Precision, path: Path) -> np.ndarray:
    """Write the module as a package; what PyTorch computes."""
    module.eval()
    with torch.no_grad():
        expected = module(x).numpy()
    program = torch.export.export(module, (x,))
    contract = Contract(
        (TensorSpec("x", tuple(x.shape), "float32"),), (TensorSpec("y", expected.shape, "float32"),)
    )
    to_coreml.write(program, contract, precision, path)
    return np.asarray(expected)


@pytest.mark.parametrize("case", CASES)
def test_reference_computes_what_pytorch_computes(case: str, tmp_path: Path) -> None:
    build, shape = CASES[case]
    torch.manual_seed(0)
    x = torch.randn(shape)
    expected = convert(build(), x, "fp32", tmp_path / "m.mlpackage")
    session = open_session(tmp_path / "m.mlpackage", threads=1)
    (found,) = session.run([x.numpy()])
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


# Those whose results jump where a rounded input crosses an integer or ties.
JUMPS = {"log, floor, erf", "argmax"}


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(CASES.keys() - JUMPS))
def test_half_precision_is_close(case: str, tmp_path: Path) -> None:
    build, shape = CASES[case]
    torch.manual_seed(0)
    x = torch.randn(shape)
    expected = convert(build(), x, "fp16", tmp_path / "m.mlpackage")
    (found,) = open_session(tmp_path / "m.mlpackage", threads=1).run([x.numpy()])
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=1e-2 * max(1.0, np.abs(expected).max()))
    assert not np.array_equal(found, expected), "computed in float32, not rounded to float16"
