"""SSD (arXiv 1512.02325) on MobileNet bodies, and SSDLite (arXiv 1801.04381, section 6.2).

The heads, further layers and anchors are those of the TensorFlow object detection models that the two
MobileNet papers measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from mobiledeploy.contract import AnchorGrid, Anchors
from mobiledeploy.models.layers import initialise
from mobiledeploy.models.mobilenet_v1 import MobileNetV1, conv_block, separable
from mobiledeploy.models.mobilenet_v2 import MobileNetV2
from mobiledeploy.models.mobilenet_v3 import MobileNetV3

# Channels of the feature maps beyond the body, each half the size of the one before.
FURTHER = (512, 256, 256, 128)
# Anchors of a cell: three on the first feature map, six on the others.
ANCHORS = (3, 6, 6, 6, 6, 6)
SMALLEST, LARGEST = 0.2, 0.95  # scale of the first and the last map's anchors, share of the image
RATIOS = (1.0, 2.0, 0.5, 3.0, 1 / 3)  # width to height
STRIDES = (16, 32, 64, 128, 256, 512)

Kind = Literal["ssd", "ssdlite"]


class SSD(nn.Module):
    """Boxes and classes at every anchor of six feature maps.

    Input (N, 3, H, W); returns ``boxes`` (N, anchors, 4), offsets to the anchors, and ``classes``
    (N, anchors, 1 + classes), logits with the background first; ``mobiledeploy.detection`` decodes them.
    At 300 x 300 there are 1917 anchors.

    Args:
        body: (N, 3, H, W) -> feature maps at a 16th and a 32nd of the size.
        channels: of these two.
        classes: without the background.
        width: multiplier on the further layers' channels.
        kind: ``ssdlite`` makes heads and further layers depthwise separable.
    """

    def __init__(
        self, body: nn.Module, channels: tuple[int, int], classes: int, width: float, kind: Kind
    ) -> None:
        super().__init__()
        self.body = body
        self.further = nn.ModuleList()
        sizes = list(channels)
        for outputs in FURTHER:
            outputs = max(16, int(outputs * width))
            self.further.append(_halving(sizes[-1], outputs, kind))
            sizes.append(outputs)
        self.box_heads = nn.ModuleList(
            _head(inputs, 4 * anchors, kind) for inputs, anchors in zip(sizes, ANCHORS, strict=True)
        )
        self.class_heads = nn.ModuleList(
            _head(inputs, (1 + classes) * anchors, kind)
            for inputs, anchors in zip(sizes, ANCHORS, strict=True)
        )
        self.columns = 1 + classes
        initialise(self)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, 3, H, W) -> ``boxes`` and ``classes``."""
        maps = list(self.body(x))
        for layer in self.further:
            maps.append(layer(maps[-1]))
        return {
            "boxes": _rows(self.box_heads, maps, 4),
            "classes": _rows(self.class_heads, maps, self.columns),
        }


class _Tapped(nn.Module):
    """A body in two parts, whose results are both used."""

    def __init__(self, early: Sequence[nn.Module], late: Sequence[nn.Module]) -> None:
        super().__init__()
        self.early, self.late = nn.Sequential(*early), nn.Sequential(*late)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        middle = self.early(x)
        return middle, self.late(middle)


def ssd_v1(width: float, classes: int) -> SSD:
    """SSD on MobileNet V1 (arXiv 1704.04861, Table 13): maps of its 11th and 13th block."""
    features = list(MobileNetV1(width).features)
    channels = _channels(features[22]), _channels(features[26])
    return SSD(_Tapped(features[:23], features[23:]), channels, classes, width, "ssd")


def ssdlite_v2(width: float, classes: int) -> SSD:
    """SSDLite on MobileNet V2: the expansion of the last block that halves, and the last layer."""
    return _ssdlite(MobileNetV2(width).features, 14, "conv", width, classes)


def ssdlite_v3(size: Literal["small", "large"], width: float, classes: int) -> SSD:
    """SSDLite on MobileNet V3 (arXiv 1905.02244, section 6.3), its last channels not halved."""
    return _ssdlite(MobileNetV3(size, width).features, 13 if size == "large" else 9, "block", width, classes)


def _ssdlite(features: nn.Sequential, halving: int, inner: str, width: float, classes: int) -> SSD:
    """The maps are the expansion in block ``halving`` and the last layer's."""
    blocks = list(features)
    expansion, *rest = getattr(blocks[halving], inner)
    body = _Tapped([*blocks[:halving], expansion], [*rest, *blocks[halving + 1 :]])
    channels = _channels(expansion), _channels(blocks[-1])
    return SSD(body, channels, classes, width, "ssdlite")


def _channels(block: nn.Module) -> int:
    """Of what a block's first convolution makes."""
    return next(layer.out_channels for layer in block.modules() if isinstance(layer, nn.Conv2d))


def classes_of(state: Mapping[str, torch.Tensor]) -> int | None:
    """Classes without the background, by the rows of the last class head."""
    heads = [value for key, value in state.items() if key.startswith("class_heads.") and value.ndim == 4]
    return heads[-1].shape[0] // ANCHORS[-1] - 1 if heads else None


def anchors_at(resolution: int) -> Anchors:
    """The anchors of a square input.

    Args:
        resolution: height and width, pixels.
    """
    steps = len(ANCHORS) - 1
    scales = [SMALLEST + (LARGEST - SMALLEST) * index / steps for index in range(len(ANCHORS))] + [1.0]
    grids = []
    for index, stride in enumerate(STRIDES):
        side = math.ceil(resolution / stride)
        if index == 0:
            shapes = [(SMALLEST / 2, 1.0), (SMALLEST, 2.0), (SMALLEST, 0.5)]
        else:
            between = math.sqrt(scales[index] * scales[index + 1])
            shapes = [*((scales[index], ratio) for ratio in RATIOS), (between, 1.0)]
        sizes = tuple((scale / math.sqrt(ratio), scale * math.sqrt(ratio)) for scale, ratio in shapes)
        grids.append(AnchorGrid(side, side, sizes))
    return Anchors(tuple(grids))


def _halving(inputs: int, outputs: int, kind: Kind) -> nn.Sequential:
    """Half the channels pointwise, then half the size."""
    narrow = conv_block(inputs, outputs // 2)
    if kind == "ssdlite":
        return nn.Sequential(narrow, *separable(outputs // 2, outputs, 2, padding="same"))
    return nn.Sequential(narrow, conv_block(outputs // 2, outputs, kernel=3, stride=2))


def _head(inputs: int, outputs: int, kind: Kind) -> nn.Sequential:
    pointwise = nn.Conv2d(inputs, outputs, 1)
    if kind == "ssdlite":
        return nn.Sequential(conv_block(inputs, inputs, kernel=3, groups=inputs), pointwise)
    return nn.Sequential(pointwise)


def _rows(heads: nn.ModuleList, maps: Sequence[torch.Tensor], columns: int) -> torch.Tensor:
    """(N, anchors, columns): cells row by row, the anchors of a cell side by side."""
    parts: list[Any] = [head(map_).permute(0, 2, 3, 1) for head, map_ in zip(heads, maps, strict=True)]
    return torch.cat([part.reshape(part.shape[0], -1, columns) for part in parts], dim=1)
