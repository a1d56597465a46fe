"""What part of an image a network is shown in training, and where its boxes then are."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mobiledeploy.contract import Preprocessing
from mobiledeploy.preprocessing import prepare_upright, seen_region

if TYPE_CHECKING:
    from PIL import Image

# Of Inception's random crops (arXiv 1409.4842, section 6).
_ASPECTS = (3 / 4, 4 / 3)
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class View:
    """A part of an upright image.

    Attributes:
        left, top, right, bottom: pixels of the image; beyond its edges where it is filled up.
        mirrored: left and right exchanged.
    """

    left: float
    top: float
    right: float
    bottom: float
    mirrored: bool = False

    def place(self, boxes: np.ndarray) -> np.ndarray:
        """(n, 4) boxes of the image as shares of the view, cut to it.

        Args:
            boxes: (n, 4): top, left, bottom, right in pixels of the image.
        """
        begin = np.array([self.top, self.left] * 2)
        length = np.array([self.bottom - self.top, self.right - self.left] * 2)
        placed = np.clip((boxes - begin) / length, 0, 1)
        if self.mirrored:
            placed[:, [1, 3]] = 1 - placed[:, [3, 1]]
        result: np.ndarray = placed
        return result

    def shows(self, boxes: np.ndarray) -> np.ndarray:
        """(n,): whose centre lies in the view (as SSD keeps them: arXiv 1512.02325, section 2.2)."""
        y, x = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        result: np.ndarray = (self.left <= x) & (x <= self.right) & (self.top <= y) & (y <= self.bottom)
        return result


def deployed_view(rule: Preprocessing, size: tuple[int, int]) -> View:
    """What the preprocessing shows of an image.

    Args:
        rule: of the network.
        size: width and height of the image, pixels.
    """
    return View(*seen_region(rule, size))


def random_view(
    rule: Preprocessing, size: tuple[int, int], generator: np.random.Generator, smallest: float, flip: bool
) -> View:
    """A crop of random size, shape and place.

    Args:
        rule: what is seen where there are no crops.
        size: width and height of the image, pixels.
        generator: drawn from.
        smallest: least share of the image's area; 1: no crops.
        flip: whether half of the views are mirrored.
    """
    mirrored = flip and bool(generator.random() < 0.5)
    if smallest == 1:
        return replace(deployed_view(rule, size), mirrored=mirrored)
    width, height = size
    for _ in range(_ATTEMPTS):
        area = width * height * generator.uniform(smallest, 1)
        aspect = math.exp(generator.uniform(math.log(_ASPECTS[0]), math.log(_ASPECTS[1])))
        wide, high = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < high <= height:
            left, top = int(generator.integers(width - wide + 1)), int(generator.integers(height - high + 1))
            return View(left, top, left + wide, top + high, mirrored)
    return View(0, 0, width, height, mirrored)


def pixels_of(image: Image.Image, view: View, rule: Preprocessing) -> np.ndarray:
    """uint8 pixels (height, width, channels) of a view.

    Args:
        image: upright.
        view: of it.
        rule: size, interpolation and channel order.
    """
    if replace(view, mirrored=False) == deployed_view(rule, image.size):
        pixels = prepare_upright(image, rule)
    else:
        box = round(view.left), round(view.top), round(view.right), round(view.bottom)
        pixels = prepare_upright(image.crop(box), replace(rule, resize="stretch"))
    return pixels[:, ::-1] if view.mirrored else pixels
