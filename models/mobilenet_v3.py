"""MobileNet V3, large and small (arXiv 1905.02244); the state dict has torchvision's names."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from mobiledeploy.models.layers import conv_bn, initialise, make_divisible

Size = Literal["small", "large"]
Row = tuple[int, int, int, bool, type[nn.Module], int]

RE, HS = nn.ReLU, nn.Hardswish
EPS = 1e-3  # batch norm epsilon of the reference training code

# Tables 1 and 2: kernel, expanded channels, output channels, squeeze-and-excite, activation, stride.
ROWS: dict[Size, tuple[Row, ...]] = {
    "large": (
        (3, 16, 16, False, RE, 1),
        (3, 64, 24, False, RE, 2),
        (3, 72, 24, False, RE, 1),
        (5, 72, 40, True, RE, 2),
        (5, 120, 40, True, RE, 1),
        (5, 120, 40, True, RE, 1),
        (3, 240, 80, False, HS, 2),
        (3, 200, 80, False, HS, 1),
        (3, 184, 80, False, HS, 1),
        (3, 184, 80, False, HS, 1),
        (3, 480, 112, True, HS, 1),
        (3, 672, 112, True, HS, 1),
        (5, 672, 160, True, HS, 2),
        (5, 960, 160, True, HS, 1),
        (5, 960, 160, True, HS, 1),
    ),
    "small": (
        (3, 16, 16, True, RE, 2),
        (3, 72, 24, False, RE, 2),
        (3, 88, 24, False, RE, 1),
        (5, 96, 40, True, HS, 2),
        (5, 240, 40, True, HS, 1),
        (5, 240, 40, True, HS, 1),
        (5, 120, 48, True, HS, 1),
        (5, 144, 48, True, HS, 1),
        (5, 288, 96, True, HS, 2),
        (5, 576, 96, True, HS, 1),
        (5, 576, 96, True, HS, 1),
    ),
}
LAST_CHANNELS: dict[Size, int] = {"large": 1280, "small": 1024}


class MobileNetV3(nn.Module):
    """Inverted residuals with squeeze-and-excite and hard-swish.

    Input (N, 3, H, W), output (N, classes) logits.  At width 1.0, 224 x 224 and 1000 classes (Table 3
    of the paper): large 219 M mult-adds, 5.4 M parameters, top-1 75.2; small 56 M, 2.5 M, 67.4.

    Args:
        size: ``small`` or ``large``.
        width: multiplier on every layer's channels.
        classes: number of outputs.
    """

    def __init__(self, size: Size, width: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        channels = make_divisible(16 * width)
        features: list[nn.Module] = [conv_bn(3, channels, kernel=3, stride=2, eps=EPS, activation=HS)]
        for kernel, expanded, outputs, squeeze, activation, stride in ROWS[size]:
            expanded, outputs = make_divisible(expanded * width), make_divisible(outputs * width)
            features.append(Bottleneck(channels, expanded, outputs, kernel, stride, squeeze, activation))
            channels = outputs
        features.append(conv_bn(channels, 6 * channels, eps=EPS, activation=HS))
        self.features = nn.Sequential(*features)
        last = make_divisible(LAST_CHANNELS[size] * width)
        self.classifier = nn.Sequential(
            nn.Linear(6 * channels, last), HS(), nn.Dropout(0.2), nn.Linear(last, classes)
        )
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, classes)."""
        x = functional.adaptive_avg_pool2d(self.features(x), 1)
        logits: torch.Tensor = self.classifier(torch.flatten(x, 1))
        return logits


class Bottleneck(nn.Module):
    """Expand 1x1, depthwise, squeeze-and-excite, project 1x1; a shortcut where shapes allow."""

    def __init__(
        self,
        inputs: int,
        expanded: int,
        outputs: int,
        kernel: int,
        stride: int,
        squeeze: bool,
        activation: type[nn.Module],
    ) -> None:
        super().__init__()
        self.shortcut = stride == 1 and inputs == outputs
        layers: list[nn.Module] = []
        if expanded != inputs:
            layers.append(conv_bn(inputs, expanded, eps=EPS, activation=activation))
        layers.append(
            conv_bn(
                expanded,
                expanded,
                kernel=kernel,
                stride=stride,
                groups=expanded,
                eps=EPS,
                activation=activation,
            )
        )
        if squeeze:
            layers.append(SqueezeExcite(expanded))
        layers.append(conv_bn(expanded, outputs, eps=EPS, activation=None))
        self.block = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y: torch.Tensor = self.block(x)
        return x + y if self.shortcut else y


class SqueezeExcite(nn.Module):
    """Scale channels by a gate from their means; a quarter of the channels in between (section 5.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = make_divisible(channels // 4)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> the same shape."""
        gate = functional.relu(self.fc1(functional.adaptive_avg_pool2d(x, 1)))
        return x * functional.hardsigmoid(self.fc2(gate))
