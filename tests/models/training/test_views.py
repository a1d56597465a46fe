"""Parts of images, and where boxes are in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mobiledeploy.contract import Preprocessing
from mobiledeploy.models.training.views import View, deployed_view, pixels_of, random_view
from mobiledeploy.preprocessing import prepare

RULE = Preprocessing(32, 32, resize_to=37)


def picture(width: int = 60, height: int = 40) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def test_deployed_view_is_what_the_device_sees() -> None:
    image = picture()

    pixels = pixels_of(image, deployed_view(RULE, image.size), RULE)

    assert np.array_equal(pixels, prepare(image, RULE))


def test_mirrored_view_is_mirrored() -> None:
    image = picture()
    view = deployed_view(RULE, image.size)

    mirrored = pixels_of(image, View(view.left, view.top, view.right, view.bottom, True), RULE)

    assert np.array_equal(mirrored[:, ::-1], prepare(image, RULE))


@given(st.integers(0, 2**32 - 1), st.integers(8, 200), st.integers(8, 200), st.floats(0.05, 0.99))
def test_crops_lie_in_the_image_and_are_not_small(seed: int, width: int, height: int, least: float) -> None:
    view = random_view(RULE, (width, height), np.random.default_rng(seed), least, True)

    assert 0 <= view.left < view.right <= width
    assert 0 <= view.top < view.bottom <= height
    # Sides are rounded to pixels.
    area = (view.right - view.left + 1) * (view.bottom - view.top + 1)
    assert area >= least * width * height * 0.99


def test_no_crops_are_the_deployed_view() -> None:
    view = random_view(RULE, (60, 40), np.random.default_rng(0), 1, False)

    assert view == deployed_view(RULE, (60, 40))


def test_boxes_are_shares_of_the_view_and_mirrored_with_it() -> None:
    boxes = np.array([[10.0, 20.0, 30.0, 40.0]])

    plain = View(10, 0, 50, 40).place(boxes)
    mirrored = View(10, 0, 50, 40, True).place(boxes)

    assert plain == pytest.approx(np.array([[0.25, 0.25, 0.75, 0.75]]))
    assert mirrored == pytest.approx(np.array([[0.25, 0.25, 0.75, 0.75]]))
    assert View(20, 0, 60, 40, True).place(boxes) == pytest.approx(np.array([[0.25, 0.5, 0.75, 1.0]]))


def test_boxes_are_cut_to_the_view_and_shown_by_their_centre() -> None:
    boxes = np.array([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 50.0, 50.0]])
    view = View(20, 20, 60, 60)

    assert view.shows(boxes).tolist() == [False, True]
    assert view.place(boxes)[1] == pytest.approx([0, 0, 0.75, 0.75])
