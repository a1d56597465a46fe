"""Anchors, decoding and suppression."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mobiledeploy.contract import AnchorGrid, Anchors, Preprocessing
from mobiledeploy.detection import anchor_boxes, decode, decode_boxes, encode_boxes, suppress, to_image
from mobiledeploy.errors import InputError
from mobiledeploy.preprocessing import prepare

ANCHORS = Anchors((AnchorGrid(2, 3, ((0.5, 0.25), (0.2, 0.4))), AnchorGrid(1, 1, ((1.0, 1.0),))))
COUNT = 13


def test_anchors_lie_around_the_cells_row_by_row() -> None:
    found = anchor_boxes(ANCHORS)
    assert found.shape == (COUNT, 4)
    np.testing.assert_allclose(found[0], (0.25, 1 / 6, 0.5, 0.25))
    np.testing.assert_allclose(found[1], (0.25, 1 / 6, 0.2, 0.4))
    np.testing.assert_allclose(found[2], (0.25, 3 / 6, 0.5, 0.25))
    np.testing.assert_allclose(found[6], (0.75, 1 / 6, 0.5, 0.25))
    np.testing.assert_allclose(found[-1], (0.5, 0.5, 1.0, 1.0))


@given(st.integers(0, 2**32 - 1))
def test_decoding_undoes_encoding(seed: int) -> None:
    corners = np.random.default_rng(seed).uniform(0, 1, (COUNT, 2, 2))
    corners.sort(axis=1)
    boxes = corners.reshape(COUNT, 4) + np.array([0, 0, 0.01, 0.01])
    np.testing.assert_allclose(decode_boxes(encode_boxes(boxes, ANCHORS), ANCHORS), boxes, atol=1e-9)


def test_an_offset_by_hand() -> None:
    """10 in y moves by one height of the anchor, 5 ln 2 doubles it."""
    coded = np.zeros((COUNT, 4))
    coded[0] = (10, 0, 5 * np.log(2), 0)
    np.testing.assert_allclose(decode_boxes(coded, ANCHORS)[0], (0.25, 1 / 6 - 0.125, 1.25, 1 / 6 + 0.125))


def test_the_less_certain_of_two_that_overlap_is_left_out() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.9], [0, 0, 0.3, 0.3], [0, 0, 1, 0.95]])
    scores = np.array([0.8, 0.9, 0.5, 0.1])
    assert suppress(boxes, scores, 0.3, 0.6) == [1, 2]
    assert suppress(boxes, scores, 0.3, 0.95) == [1, 0, 2]
    assert suppress(boxes, scores, 0.05, 1.0) == [1, 0, 2, 3]
    assert suppress(boxes, scores, 0.05, 1.0, 3) == [1, 0, 2]


def test_objects_of_an_image() -> None:
    logits = np.full((COUNT, 3), -9.0)
    logits[:, 0] = 9  # background
    logits[4, 1], logits[5, 1], logits[12, 2] = 2, 1, 3
    found = decode(np.zeros((COUNT, 4)), logits, ANCHORS)
    assert found.classes.tolist() == [1, 0, 0]
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp([-3, -2, -1])))
    np.testing.assert_allclose(found.boxes[0], (0, 0, 1, 1))
    one = decode(np.zeros((COUNT, 4)), logits, ANCHORS, largest=1)
    assert one.classes.tolist() == [1]
    none = decode(np.zeros((COUNT, 4)), logits, ANCHORS, threshold=0.99)
    assert none.boxes.shape == (0, 4)


def test_wild_numbers_stay_in_the_image() -> None:
    found = decode(np.full((COUNT, 4), 1e6), np.full((COUNT, 2), 1e6), ANCHORS)
    assert np.isfinite(found.boxes).all()
    assert ((found.boxes >= 0) & (found.boxes <= 1)).all()


def test_arrays_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="shape 5x4 do not fit 13 anchors"):
        decode(np.zeros((5, 4)), np.zeros((5, 2)), ANCHORS)
    with pytest.raises(InputError, match="5 rows of logits"):
        decode(np.zeros((COUNT, 4)), np.zeros((5, 2)), ANCHORS)


@pytest.mark.parametrize(
    "rule",
    [
        Preprocessing(96, 96, resize_to=110),
        Preprocessing(96, 64, resize="stretch"),
        Preprocessing(64, 128, resize_to=80),
        # Larger than the resized image: black is around it.
        Preprocessing(150, 140, resize_to=100),
    ],
)
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (160, 160), (95, 97)])
def test_boxes_find_their_way_back_through_resize_and_crop(
    rule: Preprocessing, size: tuple[int, int]
) -> None:
    """A bright rectangle is looked for in what the model sees, and found where it was drawn."""
    drawn = zip((0.4, 0.35, 0.6, 0.7), size * 2, strict=True)
    left, top, right, bottom = (round(share * side) for share, side in drawn)
    image = Image.new("RGB", size)
    image.paste((255, 255, 255), (left, top, right, bottom))
    bright = prepare(image, rule)[:, :, 0] > 127
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    box = np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], float)
    shares = box / np.array([rule.height, rule.width] * 2)
    found = to_image(shares[None], rule, size)[0]
    np.testing.assert_allclose(found, [top, left, bottom, right], atol=max(size) / 64)


def test_boxes_in_an_image_stay_in_it() -> None:
    rule = Preprocessing(150, 140, resize_to=100)
    whole = to_image(np.array([[0.0, 0, 1, 1]]), rule, (200, 100))
    # The height is filled up with black, of the width the middle is seen.
    np.testing.assert_allclose(whole, [[0, 30, 100, 170]])
    assert to_image(np.empty((0, 4)), rule, (1, 1)).shape == (0, 4)
    with pytest.raises(InputError, match="empty"):
        to_image(whole, rule, (0, 5))
