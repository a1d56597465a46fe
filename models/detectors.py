"""Detectors of the zoo.  Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mobiledeploy.contract import Anchors, Preprocessing
from mobiledeploy.models.entry import ZooEntry, no_labels

if TYPE_CHECKING:
    import torch
    from torch import nn

    from mobiledeploy.models.entry import Build

# COCO numbers its 80 classes up to 90, and the released detectors have all 90.
_CLASSES = 90
_MEAN = (127.5,) * 3
_SSD = Preprocessing(300, 300, "stretch", mean=_MEAN, std=_MEAN)
_SSDLITE = Preprocessing(320, 320, "stretch", mean=_MEAN, std=_MEAN)


def _ssd_v1(width: float, classes: int) -> nn.Module:
    from mobiledeploy.models.ssd import ssd_v1

    return ssd_v1(width, classes)


def _ssdlite_v2(width: float, classes: int) -> nn.Module:
    from mobiledeploy.models.ssd import ssdlite_v2

    return ssdlite_v2(width, classes)


def _ssdlite_v3_large(width: float, classes: int) -> nn.Module:
    from mobiledeploy.models.ssd import ssdlite_v3

    return ssdlite_v3("large", width, classes)


def _ssdlite_v3_small(width: float, classes: int) -> nn.Module:
    from mobiledeploy.models.ssd import ssdlite_v3

    return ssdlite_v3("small", width, classes)


def _faster_rcnn_v1(width: float, classes: int) -> nn.Module:
    from mobiledeploy.models.faster_rcnn import FasterRCNN

    return FasterRCNN(width, classes)


def _count_of_two_stages(state: Mapping[str, torch.Tensor]) -> int | None:
    from mobiledeploy.models.faster_rcnn import classes_of

    return classes_of(state)


def _anchors(resolution: int) -> Anchors:
    from mobiledeploy.models.ssd import anchors_at

    return anchors_at(resolution)


def _count(state: Mapping[str, torch.Tensor]) -> int | None:
    from mobiledeploy.models.ssd import classes_of

    return classes_of(state)


def _detector(
    name: str, description: str, build: Build, preprocessing: Preprocessing, source: str
) -> ZooEntry:
    return ZooEntry(
        name=name,
        description=description,
        build=build,
        preprocessing=preprocessing,
        weights=None,
        top1=None,
        source=source,
        task="object-detection",
        outputs=_CLASSES,
        labels=no_labels,
        anchors=_anchors,
        count=_count,
    )


FASTER_RCNN = replace(
    _detector(
        "faster_rcnn_mobilenet_v1",
        "Faster R-CNN on MobileNet V1, proposals with raw boxes and classes",
        _faster_rcnn_v1,
        _SSD,
        "arXiv 1704.04861, Table 13",
    ),
    anchors=lambda _: None,
    count=_count_of_two_stages,
)

DETECTORS = (
    _detector(
        "ssd_mobilenet_v1",
        "SSD 300 on MobileNet V1, raw boxes and classes",
        _ssd_v1,
        _SSD,
        "arXiv 1704.04861, Table 13",
    ),
    _detector(
        "ssdlite_mobilenet_v2",
        "SSDLite 320 on MobileNet V2, raw boxes and classes",
        _ssdlite_v2,
        _SSDLITE,
        "arXiv 1801.04381, Table 6",
    ),
    _detector(
        "ssdlite_mobilenet_v3_large",
        "SSDLite 320 on MobileNet V3 large, raw boxes and classes",
        _ssdlite_v3_large,
        _SSDLITE,
        "arXiv 1905.02244, Table 6",
    ),
    _detector(
        "ssdlite_mobilenet_v3_small",
        "SSDLite 320 on MobileNet V3 small, raw boxes and classes",
        _ssdlite_v3_small,
        _SSDLITE,
        "arXiv 1905.02244, Table 6",
    ),
    FASTER_RCNN,
)
