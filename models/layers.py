"""Layers that the MobileNets share."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class SamePad(nn.Module):
    """Zero padding of TensorFlow's SAME rule, for a strided convolution without padding of its own.

    Enough zeros for ``ceil(size / stride)`` outputs, the odd one after: kernel 3 and stride 2 on an
    even size give 0 before and 1 after.  The amounts follow from the static input size, so that an
    exported graph holds one constant pad.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, H + padding, W + padding)."""
        (top, bottom), (left, right) = self._amounts(x.shape[-2]), self._amounts(x.shape[-1])
        return functional.pad(x, (left, right, top, bottom))

    def _amounts(self, size: int) -> tuple[int, int]:
        outputs = -(-size // self.stride)
        total = max((outputs - 1) * self.stride + self.kernel - size, 0)
        return total // 2, total - total // 2


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Nearest multiple of ``divisor`` that is not more than 10% below ``channels``.

    The rule of MobileNetV2's reference implementation for scaled widths.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def conv_bn(
    inputs: int,
    outputs: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    eps: float = 1e-5,
    activation: type[nn.Module] | None = nn.ReLU6,
) -> nn.Sequential:
    """Convolution (symmetric padding), batch norm and activation as indices 0, 1 and 2."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=eps),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


def initialise(module: nn.Module) -> None:
    """He initialisation by fan-in, which keeps the signal's size through depthwise layers too."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            nn.init.zeros_(layer.bias)
