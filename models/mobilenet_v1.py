"""MobileNet V1 and the networks that its paper measures it against (arXiv 1704.04861)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from mobiledeploy.models.layers import SamePad, initialise

# Table 1: output channels and stride of each depthwise separable block.
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
# Table 5: without the five layers of 14 x 14 x 512.
SHALLOW_BLOCKS = (*BLOCKS[:6], *BLOCKS[11:])
EPS = 1e-3  # batch norm epsilon of the TensorFlow training code

Padding = Literal["same", "symmetric"]
# ``conv``: a full 3x3 convolution in place of each depthwise separable one (Table 4); ``shallow``: Table 5.
Variant = Literal["mobilenet", "conv", "shallow"]


class MobileNetV1(nn.Module):
    """Depthwise separable convolutions after one full convolution.

    Input (N, 3, H, W) of any size from 32 up, output (N, classes) logits.  At 224 x 224 and 1000
    classes (Tables 6 and 7 of the paper):

    ===== ========= ========== ==========
    width mult-adds parameters top-1
    ===== ========= ========== ==========
    1.0   569 M     4.2 M      70.6
    0.75  325 M     2.6 M      68.4
    0.5   149 M     1.3 M      63.7
    0.25  41 M      0.5 M      50.6
    ===== ========= ========== ==========

    Keys are ``features.B.L.*``: block B (0 is the first convolution, then depthwise and pointwise in
    turn), layer L in it.  With SAME padding a stride-2 block starts with the padding, so that its
    convolution is layer 1.

    Args:
        width: multiplier alpha on every layer's channels (at least 8 remain).
        classes: number of outputs.
        padding: ``same`` as in TensorFlow's checkpoints, or ``symmetric`` as PyTorch models have it.
        variant: the network itself, or one that the paper compares it with.
    """

    def __init__(
        self,
        width: float = 1.0,
        classes: int = 1000,
        padding: Padding = "same",
        variant: Variant = "mobilenet",
    ) -> None:
        super().__init__()
        channels = scaled(32, width)
        blocks = [conv_block(3, channels, kernel=3, stride=2, padding=padding)]
        for outputs, stride in SHALLOW_BLOCKS if variant == "shallow" else BLOCKS:
            outputs = scaled(outputs, width)
            if variant == "conv":
                blocks.append(conv_block(channels, outputs, kernel=3, stride=stride, padding=padding))
            else:
                blocks += separable(channels, outputs, stride, padding=padding)
            channels = outputs
        self.features = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(1e-3)
        self.classifier = nn.Linear(channels, classes)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, classes)."""
        x = functional.adaptive_avg_pool2d(self.features(x), 1)
        logits: torch.Tensor = self.classifier(self.dropout(torch.flatten(x, 1)))
        return logits


class FaceEmbedding(MobileNetV1):
    """The body and one matrix, its result scaled to length 1 (section 4.7; FaceNet, arXiv 1503.03832).

    Input (N, 3, H, W), output (N, size) of Euclidean length 1.  Keys are those of ``MobileNetV1``.

    Args:
        width: multiplier alpha.
        size: of the embedding; 128 in FaceNet.
    """

    def __init__(self, width: float = 1.0, size: int = 128) -> None:
        super().__init__(width, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, size)."""
        return functional.normalize(super().forward(x), dim=1)


def scaled(channels: int, width: float) -> int:
    """A layer's channels under the width multiplier."""
    return max(8, int(channels * width))


def separable(inputs: int, outputs: int, stride: int, *, padding: Padding) -> list[nn.Sequential]:
    """A depthwise 3x3 block and a pointwise one."""
    return [
        conv_block(inputs, inputs, kernel=3, stride=stride, groups=inputs, padding=padding),
        conv_block(inputs, outputs, padding=padding),
    ]


def conv_block(
    inputs: int,
    outputs: int,
    *,
    padding: Padding = "same",
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Convolution, batch norm and ReLU6; with SAME padding and a stride the padding comes first."""
    asymmetric = padding == "same" and stride > 1
    amount = 0 if asymmetric else kernel // 2
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, amount, groups=groups, bias=False)
    layers = [convolution, nn.BatchNorm2d(outputs, eps=EPS), nn.ReLU6()]
    return nn.Sequential(*([SamePad(kernel, stride), *layers] if asymmetric else layers))
