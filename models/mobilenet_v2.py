"""MobileNet V2 (arXiv 1801.04381); the state dict has torchvision's names."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from mobiledeploy.models.layers import conv_bn, initialise, make_divisible

# Table 2: expansion, output channels, repeats, stride of the first.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """Inverted residuals with linear bottlenecks.

    Input (N, 3, H, W), output (N, classes) logits.  At width 1.0, 224 x 224 and 1000 classes: 300 M
    mult-adds, 3.4 M parameters, top-1 72.0 (Table 4 of the paper); torchvision's weights reach 71.9.

    Args:
        width: multiplier on every layer's channels; the last one never shrinks (section 5).
        classes: number of outputs.
    """

    def __init__(self, width: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        channels = make_divisible(32 * width)
        features: list[nn.Module] = [conv_bn(3, channels, kernel=3, stride=2)]
        for expansion, outputs, repeats, stride in STAGES:
            outputs = make_divisible(outputs * width)
            for index in range(repeats):
                features.append(InvertedResidual(channels, outputs, stride if index == 0 else 1, expansion))
                channels = outputs
        last = make_divisible(1280 * max(1.0, width))
        features.append(conv_bn(channels, last))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, classes)."""
        x = functional.adaptive_avg_pool2d(self.features(x), 1)
        logits: torch.Tensor = self.classifier(torch.flatten(x, 1))
        return logits


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1 without activation; a shortcut where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        expand = [conv_bn(inputs, hidden)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *expand,
            conv_bn(hidden, hidden, kernel=3, stride=stride, groups=hidden),
            *conv_bn(hidden, outputs, activation=None),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y: torch.Tensor = self.conv(x)
        return x + y if self.shortcut else y
