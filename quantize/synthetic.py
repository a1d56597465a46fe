"""Pictures for calibration where there are none: drawn, not photographed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Radii of the leaves relative to the picture's side.
_SMALLEST, _LARGEST = 0.01, 0.6
_LEAVES = 800


def dead_leaves(seed: int, height: int, width: int) -> np.ndarray:
    """A picture of discs of random size and colour that cover each other.

    It has the edges, flat areas and power spectrum of photographs: sizes follow a power law with
    exponent -3, each leaf has a colour gradient, and the picture some noise.

    Source: Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 41, 2001.

    Args:
        seed: equal seeds give equal pictures.
        height, width: pixels.

    Returns:
        (height, width, 3) uint8.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    side = min(height, width)
    picture = np.zeros((height, width, 3), np.float32)
    # Drawn from the back to the front.
    ends = _SMALLEST**-2.0, _LARGEST**-2.0
    radii = (ends[1] + (ends[0] - ends[1]) * random.random(_LEAVES)) ** -0.5 * side
    palette = random.random((8, 3)) ** random.uniform(0.5, 2)
    for radius in np.sort(radii)[::-1] if random.random() < 0.5 else radii:
        centre = random.random(2) * (height, width)
        low = np.maximum(centre - radius, 0).astype(int)
        high = np.minimum(centre + radius + 1, (height, width)).astype(int)
        area = np.s_[low[0] : high[0], low[1] : high[1]]
        down, right = rows[area] - centre[0], columns[area] - centre[1]
        inside = down**2 + right**2 <= radius**2
        colour = np.clip(palette[random.integers(8)] + random.normal(0, 0.08, 3), 0, 1)
        slope = random.normal(0, 0.15, 2) / radius
        shade = (colour + (slope[0] * down + slope[1] * right)[..., None]).astype(np.float32)
        picture[area] = np.where(inside[..., None], shade, picture[area])
    picture += random.normal(0, random.uniform(0, 0.04), picture.shape)
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
