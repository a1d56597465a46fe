"""EfficientNet-Lite0: EfficientNet-B0 (arXiv 1905.11946) without squeeze-and-excite, with ReLU6.

The state dict has the names of ``efficientnet_lite_pytorch`` 0.1.0.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from mobiledeploy.models.layers import SamePad, initialise

# Table 1 of the EfficientNet paper: repeats, kernel, stride of the first, expansion, output channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
EPS = 1e-3  # batch norm epsilon of the TensorFlow training code


class EfficientNetLite0(nn.Module):
    """Inverted residuals with TensorFlow's SAME padding.

    Input (N, 3, H, W), output (N, classes) logits.  At 224 x 224 and 1000 classes: 407 M mult-adds,
    4.7 M parameters, top-1 75.1 (README of ``tensorflow/tpu``, ``efficientnet/lite``).

    Args:
        classes: number of outputs.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        channels = 32
        self._pad = SamePad(3, 2)
        self._conv_stem = nn.Conv2d(3, channels, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(channels, eps=EPS)
        blocks = []
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for index in range(repeats):
                blocks.append(_Block(channels, outputs, kernel, stride if index == 0 else 1, expansion))
                channels = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(channels, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=EPS)
        self._dropout = nn.Dropout(0.2)
        self._fc = nn.Linear(1280, classes)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, classes)."""
        x = functional.relu6(self._bn0(self._conv_stem(self._pad(x))))
        x = functional.relu6(self._bn1(self._conv_head(self._blocks(x))))
        x = torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1)
        logits: torch.Tensor = self._fc(self._dropout(x))
        return logits


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        if expansion != 1:
            self._expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(hidden, eps=EPS)
        self.expands = expansion != 1
        amount = 0 if stride > 1 else kernel // 2
        self._pad = SamePad(kernel, stride) if stride > 1 else nn.Identity()
        self._depthwise_conv = nn.Conv2d(hidden, hidden, kernel, stride, amount, groups=hidden, bias=False)
        self._bn1 = nn.BatchNorm2d(hidden, eps=EPS)
        self._project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        hidden = functional.relu6(self._bn1(self._depthwise_conv(self._pad(hidden))))
        y: torch.Tensor = self._bn2(self._project_conv(hidden))
        return x + y if self.shortcut else y
