"""What the MobileNets paper prints (arXiv 1704.04861), figure by figure, and what is odd about it.

Figures are kept as printed, so that it is known to which digit they were rounded.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Build:
    """One of our models.

    Attributes:
        reference: as for ``models.load``.
        width: multiplier.
        resolution: pixels.
    """

    reference: str
    width: float = 1.0
    resolution: int = 224


@dataclass(frozen=True, slots=True)
class PrintedRow:
    """One row of a table of models.

    Attributes:
        name: as printed.
        accuracy: as printed, empty where there is none.
        mult_adds, parameters: as printed, in the table's units.
        build: our model; None for a network of others.
        note: what is odd about the print.
    """

    name: str
    accuracy: str
    mult_adds: str
    parameters: str
    build: Build | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class PrintedTable:
    """A table of models.

    Attributes:
        title: what it shows.
        metric: of the accuracy column.
        unit: of mult-adds: 1e6 or 1e9; parameters are in millions.
        rows: in the order of the print.
    """

    title: str
    metric: str
    unit: float
    rows: tuple[PrintedRow, ...]


# Table 1: name, stride that works, filter, input.
LAYERS = (
    ("Conv / s2", 2, "3x3x3x32", "224x224x3"),
    ("Conv dw / s1", 1, "3x3x32", "112x112x32"),
    ("Conv / s1", 1, "1x1x32x64", "112x112x32"),
    ("Conv dw / s2", 2, "3x3x64", "112x112x64"),
    ("Conv / s1", 1, "1x1x64x128", "56x56x64"),
    ("Conv dw / s1", 1, "3x3x128", "56x56x128"),
    ("Conv / s1", 1, "1x1x128x128", "56x56x128"),
    ("Conv dw / s2", 2, "3x3x128", "56x56x128"),
    ("Conv / s1", 1, "1x1x128x256", "28x28x128"),
    ("Conv dw / s1", 1, "3x3x256", "28x28x256"),
    ("Conv / s1", 1, "1x1x256x256", "28x28x256"),
    ("Conv dw / s2", 2, "3x3x256", "28x28x256"),
    ("Conv / s1", 1, "1x1x256x512", "14x14x256"),
    *(("Conv dw / s1", 1, "3x3x512", "14x14x512"), ("Conv / s1", 1, "1x1x512x512", "14x14x512")) * 5,
    ("Conv dw / s2", 2, "3x3x512", "14x14x512"),
    ("Conv / s1", 1, "1x1x512x1024", "7x7x512"),
    ("Conv dw / s2", 1, "3x3x1024", "7x7x1024"),
    ("Conv / s1", 1, "1x1x1024x1024", "7x7x1024"),
    ("FC / s1", 1, "1024x1000", "1x1x1024"),
)
LAST_STRIDE = "Conv dw / s2", "3x3x1024", "stride 2 is printed, only 1 works"

# Table 2: share of mult-adds and of parameters, percent.
SHARES = {
    "Conv 1x1": ("94.86", "74.59", ""),
    "Conv dw 3x3": ("3.06", "1.06", ""),
    "Conv 3x3": ("1.19", "0.02", "two digits exchanged: with 1.91 the column adds up to 100"),
    "Fully connected": ("0.18", "24.33", ""),
}

# Table 3: M mult-adds and M parameters, each change on top of the one before.
LAYER_STEPS = {
    "Convolution": ("462", "2.36"),
    "Depthwise separable": ("52.3", "0.27"),
    "width 0.75": ("29.6", "0.15"),
    "resolution 0.714": ("15.1", "0.15"),
}

_V1 = "mobilenet_v1"
_BASE = PrintedRow("1.0 MobileNet-224", "70.6", "569", "4.2", Build(_V1))
_THREE_QUARTERS = PrintedRow(
    "0.75 MobileNet-224", "68.4", "325", "2.6", Build(_V1, 0.75), "TF-slim's README prints 317"
)
_DOGS, _FACE, _EMBEDDING = "mobilenet_v1_dogs", "mobilenet_v1_face_attributes", "mobilenet_v1_face_embedding"
_FASTER, _CROPS = "faster_rcnn_mobilenet_v1", "B more interpolate the crops, which the paper does not count"
_MORE_THAN_TABLE_6 = "more than Table 6 has for this width, 41"
_HEAD = "the head is not described; it alone cannot grow as the picture shrinks"
_GUESSED = f"{_HEAD}; printed as 0.75-128, a second time"

TABLES: dict[int, PrintedTable] = {
    4: PrintedTable(
        "Depthwise separable against full convolutions",
        "ImageNet top-1 %",
        1e6,
        (
            PrintedRow("Conv MobileNet", "71.7", "4866", "29.3", Build("mobilenet_v1_conv")),
            PrintedRow("MobileNet", "70.6", "569", "4.2", Build(_V1)),
        ),
    ),
    5: PrintedTable(
        "Thin against shallow",
        "ImageNet top-1 %",
        1e6,
        (
            _THREE_QUARTERS,
            PrintedRow("Shallow MobileNet", "65.3", "307", "2.9", Build("mobilenet_v1_shallow")),
        ),
    ),
    6: PrintedTable(
        "Width multiplier",
        "ImageNet top-1 %",
        1e6,
        (
            _BASE,
            _THREE_QUARTERS,
            PrintedRow("0.5 MobileNet-224", "63.7", "149", "1.3", Build(_V1, 0.5)),
            PrintedRow("0.25 MobileNet-224", "50.6", "41", "0.5", Build(_V1, 0.25)),
        ),
    ),
    7: PrintedTable(
        "Resolution",
        "ImageNet top-1 %",
        1e6,
        (
            _BASE,
            PrintedRow("1.0 MobileNet-192", "69.1", "418", "4.2", Build(_V1, 1.0, 192)),
            PrintedRow("1.0 MobileNet-160", "67.2", "290", "4.2", Build(_V1, 1.0, 160)),
            PrintedRow("1.0 MobileNet-128", "64.4", "186", "4.2", Build(_V1, 1.0, 128)),
        ),
    ),
    8: PrintedTable(
        "MobileNet against popular models",
        "ImageNet top-1 %",
        1e6,
        (
            _BASE,
            PrintedRow("GoogleNet", "69.8", "1550", "6.8"),
            PrintedRow("VGG 16", "71.5", "15300", "138"),
        ),
    ),
    9: PrintedTable(
        "A smaller MobileNet against popular models",
        "ImageNet top-1 %",
        1e6,
        (
            PrintedRow("0.50 MobileNet-160", "60.2", "76", "1.32", Build(_V1, 0.5, 160)),
            PrintedRow("SqueezeNet", "57.5", "1700", "1.25"),
            PrintedRow("AlexNet", "57.2", "720", "60"),
        ),
    ),
    10: PrintedTable(
        "Stanford Dogs",
        "top-1 %",
        1e6,
        (
            PrintedRow("Inception V3", "84", "5000", "23.2"),
            PrintedRow("1.0 MobileNet-224", "83.3", "569", "3.3", Build(_DOGS)),
            PrintedRow("0.75 MobileNet-224", "81.9", "325", "1.9", Build(_DOGS, 0.75)),
            PrintedRow("1.0 MobileNet-192", "81.9", "418", "3.3", Build(_DOGS, 1.0, 192)),
            PrintedRow("0.75 MobileNet-192", "80.5", "239", "1.9", Build(_DOGS, 0.75, 192)),
        ),
    ),
    11: PrintedTable(
        "PlaNet, costs of section 4.4",
        "% within 25 km",
        1e9,
        (
            PrintedRow("PlaNet", "31.7", "5.74", "52"),
            PrintedRow(
                "PlaNet MobileNet",
                "31.7",
                "0.58",
                "13",
                Build("mobilenet_v1_geolocation"),
                "mult-adds are printed as millions",
            ),
        ),
    ),
    12: PrintedTable(
        "Face attributes",
        "mean AP %",
        1e6,
        (
            PrintedRow("1.0 MobileNet-224", "88.7", "568", "3.2", Build(_FACE)),
            PrintedRow("0.5 MobileNet-224", "88.1", "149", "0.8", Build(_FACE, 0.5)),
            PrintedRow("0.25 MobileNet-224", "87.2", "45", "0.2", Build(_FACE, 0.25), _MORE_THAN_TABLE_6),
            PrintedRow("1.0 MobileNet-128", "88.1", "185", "3.2", Build(_FACE, 1.0, 128)),
            PrintedRow("0.5 MobileNet-128", "87.7", "48", "0.8", Build(_FACE, 0.5, 128)),
            PrintedRow("0.25 MobileNet-128", "86.4", "15", "0.2", Build(_FACE, 0.25, 128), "more, as at 224"),
            PrintedRow("Baseline", "86.9", "1600", "7.5", None, "the text prints 75 million parameters"),
        ),
    ),
    13: PrintedTable(
        "COCO detection",
        "mAP %",
        1e9,
        (
            PrintedRow("SSD 300, VGG", "21.1", "34.9", "33.1"),
            PrintedRow("SSD 300, Inception V2", "22.0", "3.8", "13.7"),
            PrintedRow("SSD 300, MobileNet", "19.3", "1.2", "6.8", Build("ssd_mobilenet_v1", 1.0, 300)),
            PrintedRow("Faster R-CNN 300, VGG", "22.9", "64.3", "138.5"),
            PrintedRow("Faster R-CNN 300, Inception V2", "15.4", "118.2", "13.3"),
            PrintedRow(
                "Faster R-CNN 300, MobileNet",
                "16.4",
                "25.2",
                "6.1",
                Build(_FASTER, 1.0, 300),
                f"1.35 {_CROPS}",
            ),
            PrintedRow("Faster R-CNN 600, VGG", "25.7", "149.6", "138.5"),
            PrintedRow("Faster R-CNN 600, Inception V2", "21.9", "129.6", "13.3"),
            PrintedRow(
                "Faster R-CNN 600, MobileNet",
                "19.8",
                "30.5",
                "6.1",
                Build(_FASTER, 1.0, 600),
                f"4.25 {_CROPS}",
            ),
        ),
    ),
    14: PrintedTable(
        "Face embeddings",
        "accuracy % at 1e-4",
        1e6,
        (
            PrintedRow("FaceNet", "83", "1600", "7.5"),
            PrintedRow("1.0 MobileNet-160", "79.4", "286", "4.9", Build(_EMBEDDING, 1.0, 160), _HEAD),
            PrintedRow("1.0 MobileNet-128", "78.3", "185", "5.5", Build(_EMBEDDING, 1.0, 128), _HEAD),
            PrintedRow("0.75 MobileNet-160", "75.2", "166", "3.4", Build(_EMBEDDING, 0.75, 160), _GUESSED),
            PrintedRow("0.75 MobileNet-128", "72.5", "108", "3.8", Build(_EMBEDDING, 0.75, 128), _HEAD),
        ),
    ),
}

WIDTHS, RESOLUTIONS = (1.0, 0.75, 0.5, 0.25), (224, 192, 160, 128)
# ImageNet top-1 of the released float checkpoints, percent, by width and in the order of RESOLUTIONS
# (TF-slim's README of MobileNet V1).
PUBLISHED_TOP1 = {
    1.0: (70.9, 70.0, 68.0, 65.2),
    0.75: (68.4, 67.2, 65.3, 62.1),
    0.5: (63.3, 61.7, 59.1, 56.3),
    0.25: (49.8, 47.7, 45.5, 41.5),
}
