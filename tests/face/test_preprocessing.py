"""From image to input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mobiledeploy.contract import Interpolation, Preprocessing, TensorSpec
from mobiledeploy.errors import InputError
from mobiledeploy.preprocessing import (
    identity,
    image_layout,
    image_size,
    normalise,
    prepare,
    to_input,
)
from mobiledeploy.presets import preset

RULE = Preprocessing(height=8, width=8, resize_to=8, mean=(127.5,) * 3, std=(127.5,) * 3)
GREY = replace(RULE, channels="L", mean=(0.0,), std=(1.0,))
EXIF_ORIENTATION = 0x112


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def spec(shape: tuple[int, ...] = (1, 8, 8, 3), dtype: str = "float32", **rest: Any) -> TensorSpec:
    return TensorSpec("input", shape, dtype, **rest)


@pytest.fixture(scope="module")
def transforms() -> Any:
    pytest.importorskip("torch")
    from mobiledeploy.models.torchvision_ops import declare_missing

    declare_missing()
    return pytest.importorskip("torchvision.transforms")


@pytest.mark.parametrize("size", [(341, 256), (257, 391), (40, 40), (33, 97), (211, 60)])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width", "resize_to"), [(64, 64, 73), (97, 97, 80), (31, 96, 90)])
def test_equals_torchvision(
    transforms: Any,
    size: tuple[int, int],
    interpolation: Interpolation,
    height: int,
    width: int,
    resize_to: int,
) -> None:
    rule = replace(preset("imagenet", height, width), resize="short-side", resize_to=resize_to)
    rule = replace(rule, interpolation=interpolation)
    image = noise(*size)
    resized = transforms.Resize(resize_to, interpolation=transforms.InterpolationMode(interpolation))(image)
    cropped = transforms.CenterCrop((height, width))(resized)
    pixels = prepare(image, rule)
    assert np.array_equal(pixels, np.asarray(cropped))
    tensor = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))(
        transforms.ToTensor()(cropped)
    )
    assert np.abs(normalise(pixels, rule) - tensor.permute(1, 2, 0).numpy()).max() < 1e-6


def test_stretch_uses_the_whole_image() -> None:
    image = noise(30, 11)
    rule = replace(RULE, resize="stretch")
    expected = np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR))
    assert np.array_equal(prepare(image, rule), expected)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "YCbCr", "1"])
def test_every_eight_bit_mode_becomes_rgb(mode: str) -> None:
    image = noise(8, 8).convert(mode)
    assert np.array_equal(prepare(image, RULE), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_deeper_images_are_refused_not_clipped(mode: str) -> None:
    with pytest.raises(InputError, match=f"more than 8 bits per channel.*{mode}"):
        prepare(Image.new(mode, (8, 8)), RULE)


def test_channel_orders() -> None:
    image = noise(8, 8)
    rgb = prepare(image, RULE)
    assert np.array_equal(prepare(image, replace(RULE, channels="BGR")), rgb[..., ::-1])
    assert np.array_equal(prepare(image, GREY)[..., 0], np.asarray(image.convert("L")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(orientation: int) -> None:
    image = noise(12, 9)
    image.getexif()[EXIF_ORIENTATION] = orientation
    shown = ImageOps.exif_transpose(image)
    assert (shown.size == image.size) == (orientation < 5)
    assert np.array_equal(prepare(image, RULE), prepare(shown, RULE))


def test_a_line_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(InputError, match="100000x1 would become 25600000x256"):
        prepare(Image.new("RGB", (100_000, 1)), replace(RULE, resize_to=256))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resize_to": 0}, "resize_to is 0"),
        ({"height": 0}, "not positive"),
        ({"mean": (0.0,)}, "3 numbers"),
        ({"channels": "L"}, "1 numbers"),
        ({"std": (1.0, 0.0, 1.0)}, "std has a 0"),
        ({"interpolation": "lanczos"}, "lanczos"),
        ({"resize": "long-side"}, "long-side"),
        ({"channels": "HSV"}, "HSV"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare(noise(8, 8), replace(RULE, **change))


def test_float_inputs_in_both_layouts() -> None:
    image = noise(8, 8)
    expected = np.asarray(image).astype(np.float32) / np.float32(127.5) - 1
    nhwc, nchw = to_input(image, RULE, spec()), to_input(image, RULE, spec((1, 3, 8, 8)))
    assert nhwc.dtype == nchw.dtype == np.float32
    assert np.allclose(nhwc[0], expected, atol=1e-6)
    assert np.array_equal(nchw, nhwc.transpose(0, 3, 1, 2))
    assert nchw.flags.c_contiguous
    assert to_input(image, RULE, spec(dtype="float16")).dtype == np.float16


def test_raw_pixels_ignore_the_scale_of_the_input() -> None:
    image = noise(8, 8)
    stored = to_input(image, RULE.raw_pixels(), spec(dtype="uint8", scale=1 / 128, zero_point=128))
    assert stored.dtype == np.uint8
    assert np.array_equal(stored[0], np.asarray(image))


def test_quantized_inputs_round_half_to_even_and_saturate() -> None:
    pixels = np.zeros((1, 4, 3), np.uint8)
    pixels[0, :, 0] = [1, 3, 5, 255]
    rule = Preprocessing(1, 4, resize="stretch", mean=(0.0,) * 3, std=(2.0,) * 3)
    stored = to_input(
        Image.fromarray(pixels), rule, spec((1, 1, 4, 3), "int8", layout="NHWC", scale=1.0, zero_point=-128)
    )
    assert stored[0, 0, :, 0].tolist() == [-128, -126, -126, 0]
    narrow = to_input(
        Image.fromarray(pixels), rule, spec((1, 1, 4, 3), "int8", layout="NHWC", scale=0.1, zero_point=0)
    )
    assert narrow[0, 0, :, 0].tolist() == [5, 15, 25, 127]


@given(st.integers(0, 255), st.sampled_from(["uint8", "int8"]))
def test_quantized_value_is_within_half_a_step(pixel: int, dtype: str) -> None:
    scale, zero_point = 1 / 127, 128 if dtype == "uint8" else 0
    rule = replace(RULE, resize="stretch", height=1, width=1)
    stored = to_input(
        Image.new("RGB", (1, 1), (pixel,) * 3),
        rule,
        spec((1, 1, 1, 3), dtype, layout="NHWC", scale=scale, zero_point=zero_point),
    )
    real = scale * (int(stored[0, 0, 0, 0]) - zero_point)
    assert abs(real - (pixel / 127.5 - 1)) <= scale / 2 + 1e-6


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (spec((1, 9, 9, 3)), "takes 1x9x9x3, the preprocessing gives 1x8x8x3"),
        (spec((4, 8, 8, 3)), "one image at a time"),
        (spec((1, 8, 8, 1)), "1x8x8x1"),
        (spec(dtype="uint8"), "takes raw pixels"),
        (spec(dtype="int8"), "int8 without a scale"),
        (spec(dtype="int64"), "int64"),
        (spec((1, 192)), "not that of one image"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(wanted: TensorSpec, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_input(noise(8, 8), RULE, wanted)


def test_open_axes_take_the_rule() -> None:
    assert to_input(noise(20, 30), RULE, spec((-1, -1, -1, 3))).shape == (1, 8, 8, 3)


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((1, 224, 192, 3), "", ("NHWC", (224, 192, 3))),
        ((1, 1, 28, 20), "", ("NCHW", (28, 20, 1))),
        ((1, 3, 3, 3), "NCHW", ("NCHW", (3, 3, 3))),
    ],
)
def test_layout_and_size(shape: tuple[int, ...], layout: Any, expected: tuple[str, Any]) -> None:
    wanted = spec(shape, layout=layout)
    assert (image_layout(wanted), image_size(wanted)) == expected


def test_ambiguous_layout_is_refused() -> None:
    with pytest.raises(InputError, match="1x3x3x3"):
        image_layout(spec((1, 3, 3, 3)))


def test_identity_changes_with_every_field() -> None:
    changed = [
        RULE,
        replace(RULE, height=9),
        replace(RULE, width=9),
        replace(RULE, resize="stretch"),
        replace(RULE, resize_to=9),
        replace(RULE, interpolation="bicubic"),
        replace(RULE, channels="BGR"),
        RULE.raw_pixels(),
    ]
    assert len({identity(rule) for rule in changed}) == len(changed)
    assert identity(replace(RULE)) == identity(RULE)
