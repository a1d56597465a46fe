"""From an image to a model's input: the one implementation, driven by ``contract.Preprocessing``.

Calibration, evaluation and golden vectors all come through here, so that they cannot differ.  The
geometry is that of torchvision's transforms on Pillow images (``Resize``, ``CenterCrop``), equal to
the last bit, with two decisions of our own:

* The EXIF orientation is honoured: phones store photographs as the sensor saw them and show them
  upright, and an app hands the model the upright picture.  Training pipelines mostly ignore the
  tag, which matters only for the few training images that carry one.
* Quantized inputs are rounded half to even, as PyTorch and ONNX ``QuantizeLinear`` do, so that one
  image gives the same codes for every format.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from mobiledeploy.contract import Preprocessing, TensorSpec
from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_EXIF_ORIENTATION = 0x112
# EXIF orientation -> Pillow's transposition that undoes it (EXIF 2.32, tag 0x0112); 1 is upright.
_TURNS: Mapping[int, str] = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
# A resized image has at most this many; only absurd aspect ratios or rules come here.
_MOST_PIXELS = 2**27


def prepare(image: Image.Image, rule: Preprocessing) -> np.ndarray:
    """Turn upright, convert, resize, crop the centre and order the channels.

    The long side after a short-side resize is rounded down; a crop larger than the image is
    filled with 0 (both as torchvision does).

    Args:
        image: of any mode with 8 bits per channel (RGB, L, P, RGBA, CMYK, ...); transparency is
            dropped, not blended.
        rule: what to do.

    Returns:
        uint8 pixels of shape (height, width, channels).

    Raises:
        InputError: the rule contradicts itself, or the image has more than 8 bits per channel.
    """
    return prepare_upright(upright(image), rule)


def prepare_upright(image: Image.Image, rule: Preprocessing) -> np.ndarray:
    """``prepare`` without the turn, for an image that was turned already; its EXIF may still say otherwise.

    Args:
        image: as in ``prepare``.
        rule: what to do.

    Raises:
        InputError: as ``prepare``.
    """
    import numpy as np

    check(rule)
    if image.mode in {"I", "F"} or image.mode.startswith("I;"):
        raise InputError(
            f"the image has more than 8 bits per channel (mode {image.mode})",
            hint="Save it with 8 bits per channel",
        )
    converted = image.convert("L" if rule.channels == "L" else "RGB")
    pixels = np.asarray(_crop(_resize(converted, rule), rule))
    if rule.channels == "L":
        return pixels[:, :, np.newaxis]
    return pixels[:, :, ::-1] if rule.channels == "BGR" else pixels


def seen_region(rule: Preprocessing, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """What part of an image comes into the model's input: the inverse of resize and crop.

    Args:
        rule: what is done to the image.
        size: width and height of the upright image, pixels.

    Returns:
        Left, top, right, bottom in pixels of the image; beyond its edges where the crop is filled up.

    Raises:
        InputError: the image is empty.
    """
    if min(size) < 1:
        raise InputError(f"the image is empty ({size[0]}x{size[1]})")
    resized = _resized_size(rule, size)
    sides = []
    for own, between, kept in zip(size, resized, (rule.width, rule.height), strict=True):
        begin = _margin(between, kept)
        sides.append((begin * own / between, (begin + kept) * own / between))
    (left, right), (top, bottom) = sides
    return left, top, right, bottom


def normalise(pixels: np.ndarray, rule: Preprocessing) -> np.ndarray:
    """``(pixel - mean) / std`` in float32.

    Args:
        pixels: shape (..., channels), 0..255, channels in the rule's order.
        rule: gives mean and std per channel, in pixel units.

    Returns:
        float32 array of the same shape.
    """
    import numpy as np

    mean, std = np.asarray(rule.mean, np.float32), np.asarray(rule.std, np.float32)
    result: np.ndarray = (pixels.astype(np.float32) - mean) / std
    return result


def to_input(image: Image.Image, rule: Preprocessing, spec: TensorSpec) -> np.ndarray:
    """The array that a file's input takes for one image.

    * float32, float16: normalised values.
    * uint8 with a rule that leaves pixels raw (mean 0, std 1): the pixels as they are.
    * int8, uint8 with scale and zero point: normalised values, quantized and saturated.

    Args:
        image: the image.
        rule: preprocessing up to the real value that the input stands for.
        spec: the input; an axis of -1 takes any size.

    Returns:
        Contiguous array of the spec's dtype and layout, batch 1.

    Raises:
        InputError: the rule does not give what the input takes.
    """
    import numpy as np

    layout = image_layout(spec)
    batch = _stored(prepare(image, rule), rule, spec)[np.newaxis]
    if layout == "NCHW":
        batch = batch.transpose(0, 3, 1, 2)
    if any(want not in {-1, got} for want, got in zip(spec.shape, batch.shape, strict=True)):
        raise InputError(
            f"the input takes {_by(spec.shape)}, the preprocessing gives {_by(batch.shape)}",
            where=f"input {spec.name!r}",
            hint="Use a preprocessing of the model's size, and a file that takes one image at a time",
        )
    return np.ascontiguousarray(batch)


def image_layout(spec: TensorSpec) -> Literal["NHWC", "NCHW"]:
    """Where an image input has its channels, from the spec or else from its shape.

    Raises:
        InputError: the input does not look like an image.
    """
    if len(spec.shape) == 4:
        if spec.layout:
            return spec.layout
        last, second = spec.shape[3] in {1, 3}, spec.shape[1] in {1, 3}
        if last != second:
            return "NHWC" if last else "NCHW"
    raise InputError(
        f"shape {_by(spec.shape)} is not that of one image with 1 or 3 channels",
        where=f"input {spec.name!r}",
        hint="Images can be given to inputs of 1xHxWxC or 1xCxHxW only",
    )


def image_size(spec: TensorSpec) -> tuple[int, int, int]:
    """Height, width and channels of an image input; -1 where the file leaves it open.

    Raises:
        InputError: the input does not look like an image.
    """
    _, *rest = spec.shape
    if image_layout(spec) == "NCHW":
        rest = rest[1:] + rest[:1]
    height, width, channels = rest
    return height, width, channels


def identity(rule: Preprocessing) -> str:
    """Sixteen hex digits; equal rules have equal ones (sha256 of the rule's sorted JSON)."""
    text = json.dumps(asdict(rule), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check(rule: Preprocessing) -> None:
    """Refuse a rule that cannot be carried out.

    Raises:
        InputError: says which field, and what it may be.
    """
    count = 1 if rule.channels == "L" else 3
    sizes = (rule.height, rule.width)
    problems = {
        f"channels is {rule.channels!r}, not RGB, BGR or L": rule.channels not in {"RGB", "BGR", "L"},
        f"height and width are {sizes}, not positive": min(sizes) < 1,
        f"resize is {rule.resize!r}, not short-side or stretch": rule.resize not in {"short-side", "stretch"},
        f"resize_to is {rule.resize_to}, not positive": rule.resize == "short-side" and rule.resize_to < 1,
        f"interpolation is {rule.interpolation!r}, not nearest, bilinear or bicubic": (
            rule.interpolation not in {"nearest", "bilinear", "bicubic"}
        ),
        f"mean and std need {count} numbers each": {len(rule.mean), len(rule.std)} != {count},
        "std has a 0": 0.0 in rule.std,
    }
    for problem, found in problems.items():
        if found:
            raise InputError(problem, where="preprocessing", hint="Correct the model's preprocessing")


def upright(image: Image.Image) -> Image.Image:
    """Turned as the EXIF orientation says (Pillow's ``exif_transpose`` would rewrite the EXIF too)."""
    from PIL import Image

    turn = _TURNS.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    return image if turn is None else image.transpose(Image.Transpose[turn])


def _resized_size(rule: Preprocessing, size: tuple[int, int]) -> tuple[int, int]:
    if rule.resize == "stretch":
        return rule.width, rule.height
    width, height = size
    long = int(rule.resize_to * max(width, height) / min(width, height))
    return (rule.resize_to, long) if width <= height else (long, rule.resize_to)


def _resize(image: Image.Image, rule: Preprocessing) -> Image.Image:
    from PIL import Image

    size = _resized_size(rule, image.size)
    if size[0] * size[1] > _MOST_PIXELS:
        raise InputError(
            f"an image of {image.width}x{image.height} would become {size[0]}x{size[1]}",
            hint="Leave out images that are almost a line",
        )
    return image.resize(size, Image.Resampling[rule.interpolation.upper()])


def _crop(image: Image.Image, rule: Preprocessing) -> Image.Image:
    left, top = _margin(image.width, rule.width), _margin(image.height, rule.height)
    return image.crop((left, top, left + rule.width, top + rule.height))


def _margin(size: int, crop: int) -> int:
    """What is cut before a centre crop; negative where the image is filled up instead.

    Python's ``round`` sends halves to the even side and the filling rounds down: torchvision's
    conventions, kept because a shift by one pixel changes predictions.
    """
    return round((size - crop) / 2) if size >= crop else -((crop - size) // 2)


def _stored(pixels: np.ndarray, rule: Preprocessing, spec: TensorSpec) -> np.ndarray:
    """Pixels -> values as the input stores them."""
    import numpy as np

    if spec.dtype in {"float32", "float16"}:
        return normalise(pixels, rule).astype(spec.dtype)
    if spec.dtype == "uint8" and rule == rule.raw_pixels():
        return pixels
    if spec.dtype in {"uint8", "int8"} and spec.scale is not None and spec.zero_point is not None:
        codes = np.rint(normalise(pixels, rule) / np.float32(spec.scale)) + spec.zero_point
        limits = np.iinfo(spec.dtype)
        return codes.clip(limits.min, limits.max).astype(spec.dtype)
    if spec.dtype == "uint8":
        raise InputError(
            "the input takes raw pixels, the preprocessing normalises them",
            where=f"input {spec.name!r}",
            hint="Use the same preprocessing with mean 0 and std 1 (preset raw)",
        )
    quantized = "" if spec.scale is not None else " without a scale"
    raise InputError(
        f"an image cannot be given as {spec.dtype}{quantized}",
        where=f"input {spec.name!r}",
        hint="Supported: float32, float16, uint8 pixels, int8 and uint8 with scale and zero point",
    )


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
