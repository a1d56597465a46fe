"""Well-known preprocessings, by name, for files that do not carry their own."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

from mobiledeploy.contract import ChannelOrder, Interpolation, Preprocessing
from mobiledeploy.errors import InputError

# ImageNet's mean and standard deviation in 0..1, as torchvision's checkpoints were trained.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
# Share of the short side that the centre crop keeps, usual for ImageNet classifiers.
_CROP_SHARE = 0.875


def preset(name: str, height: int, width: int, channels: int = 3) -> Preprocessing:
    """The preprocessing of that name at the size of a model's input.

    Square inputs: short side to size / 0.875, then the centre crop.  Others are stretched, since a
    crop of a square photograph would be padded.

    Args:
        name: one of ``PRESETS``.
        height, width: of the model's input, pixels.
        channels: 3 for RGB, 1 for grey.

    Raises:
        InputError: no such preset, sizes below 1, or ``imagenet`` for grey images.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name.lower(), PRESETS, n=2, cutoff=0.5)
        guess = f"Did you mean {' or '.join(near)}? " if near else ""
        raise InputError(
            f"there is no preprocessing preset {name!r}", hint=f"{guess}Presets: {', '.join(PRESETS)}"
        )
    if height < 1 or width < 1 or channels not in {1, 3}:
        raise InputError(
            f"the input has no fixed size of an image (height {height}, width {width}, channels {channels})",
            where=f"preprocessing preset {name!r}",
            hint="Give a full preprocessing, or convert the model with a static shape",
        )
    return PRESETS[name](height, width, channels)


def _preset(
    mean: tuple[float, ...],
    std: tuple[float, ...],
    interpolation: Interpolation = "bilinear",
) -> Callable[[int, int, int], Preprocessing]:
    """A function of height, width and channels; one number in ``mean`` stands for every channel."""

    def build(height: int, width: int, channels: int) -> Preprocessing:
        if len(mean) not in {1, channels}:
            raise InputError(
                f"this preset has {len(mean)} channels, the model's input has {channels}",
                hint="For grey images use unit, inception or raw",
            )
        square = height == width
        order: ChannelOrder = "L" if channels == 1 else "RGB"
        return Preprocessing(
            height=height,
            width=width,
            resize="short-side" if square else "stretch",
            resize_to=round(height / _CROP_SHARE) if square else 0,
            interpolation=interpolation,
            channels=order,
            mean=mean * (channels // len(mean)),
            std=std * (channels // len(std)),
        )

    return build


# Name -> function of height, width and channels.
PRESETS: Mapping[str, Callable[[int, int, int], Preprocessing]] = {
    # torchvision and most timm checkpoints
    "imagenet": _preset(tuple(255 * x for x in _IMAGENET_MEAN), tuple(255 * x for x in _IMAGENET_STD)),
    # TF-slim and Keras MobileNets: -1..1
    "inception": _preset((127.5,), (127.5,)),
    # EfficientNet-Lite
    "lite": _preset((127.0,), (128.0,), "bicubic"),
    # 0..1
    "unit": _preset((0.0,), (255.0,)),
    # pixels as they are, for files that normalise inside
    "raw": _preset((0.0,), (1.0,)),
}
