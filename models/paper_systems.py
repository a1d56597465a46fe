"""The systems that the MobileNets paper builds on its network (arXiv 1704.04861).  Imports no torch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mobiledeploy.contract import Preprocessing
from mobiledeploy.geolocation import Grid, place_labels
from mobiledeploy.models.entry import ZooEntry, no_labels
from mobiledeploy.models.labels import dog_breeds

if TYPE_CHECKING:
    from torch import nn

    from mobiledeploy.models.mobilenet_v1 import Variant

_PAPER = "arXiv 1704.04861"
_GRID = Grid()
PHOTO = Preprocessing(224, 224, resize_to=256, mean=(127.5,) * 3, std=(127.5,) * 3)
# Faces are cut out before: what is left is stretched to the input.
_FACE = Preprocessing(224, 224, "stretch", mean=(127.5,) * 3, std=(127.5,) * 3)


def mobilenet_v1(width: float, outputs: int, variant: Variant = "mobilenet") -> nn.Module:
    """MobileNet V1 or a network that its paper compares it with: what a ``ZooEntry`` builds."""
    from mobiledeploy.models.mobilenet_v1 import MobileNetV1

    return MobileNetV1(width, outputs, variant=variant)


def _embedding(width: float, outputs: int) -> nn.Module:
    from mobiledeploy.models.mobilenet_v1 import FaceEmbedding

    return FaceEmbedding(width, outputs)


SYSTEMS = (
    ZooEntry(
        name="mobilenet_v1_conv",
        description="MobileNet V1 with full convolutions",
        build=partial(mobilenet_v1, variant="conv"),
        preprocessing=PHOTO,
        weights=None,
        top1=71.7,
        source=f"{_PAPER}, Table 4",
    ),
    ZooEntry(
        name="mobilenet_v1_shallow",
        description="MobileNet V1 without the five layers of 14x14x512",
        build=partial(mobilenet_v1, variant="shallow"),
        preprocessing=PHOTO,
        weights=None,
        top1=65.3,
        source=f"{_PAPER}, Table 5",
    ),
    ZooEntry(
        name="mobilenet_v1_dogs",
        description="MobileNet V1 for the 120 breeds of Stanford Dogs",
        build=mobilenet_v1,
        preprocessing=PHOTO,
        weights=None,
        top1=None,
        source=f"{_PAPER}, Table 10",
        outputs=120,
        labels=dog_breeds,
    ),
    ZooEntry(
        name="mobilenet_v1_geolocation",
        description=f"MobileNet V1 for the place of a photo, {_GRID.cells} cells",
        build=mobilenet_v1,
        preprocessing=PHOTO,
        weights=None,
        top1=None,
        source=f"{_PAPER}, Table 11",
        task="geolocation",
        outputs=_GRID.cells,
        labels=lambda: place_labels(_GRID),
    ),
    ZooEntry(
        name="mobilenet_v1_face_attributes",
        description="MobileNet V1 for attributes of a face, each on its own",
        build=mobilenet_v1,
        preprocessing=_FACE,
        weights=None,
        top1=None,
        source=f"{_PAPER}, Table 12",
        task="multi-label-classification",
        # As many as CelebA has; the paper does not say.
        outputs=40,
        labels=no_labels,
    ),
    ZooEntry(
        name="mobilenet_v1_face_embedding",
        description="MobileNet V1 for face recognition, 128 numbers of length 1",
        build=_embedding,
        preprocessing=_FACE,
        weights=None,
        top1=None,
        source=f"{_PAPER}, Table 14",
        task="embedding",
        outputs=128,
        labels=no_labels,
    ),
)
