"""The grid of places that a geolocating classifier tells apart.

PlaNet (arXiv 1602.05314) divides the earth into cells and classifies photos by cell.  Its own cells follow
its training photos and are not published; these are of nearly equal area, about 230 km wide, and as many
as a final layer of 10 million weights has rows (arXiv 1704.04861, section 4.4).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    import numpy as np

Place = tuple[float, float]
"""Latitude and longitude in degrees, north and east positive."""

# Gives 9640 cells: 1024 x 9640 is the nearest to the paper's 10 million.
BANDS = 87


@dataclass(frozen=True)
class Grid:
    """Bands of equal height from south to north, each cut into cells about as wide as high.

    A band whose middle lies at latitude ``a`` has ``round(2 * bands * cos(a))`` cells, at least one.
    Cells are numbered from the south pole northwards, and in a band from longitude -180 eastwards.

    Attributes:
        bands: number of bands; each is ``180 / bands`` degrees high.
    """

    bands: int = BANDS

    @cached_property
    def _widths(self) -> tuple[int, ...]:
        """Cells of each band."""
        middles = (math.radians(self._middle(band)) for band in range(self.bands))
        return tuple(max(1, round(2 * self.bands * math.cos(middle))) for middle in middles)

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        """First cell of each band, and the number of cells."""
        return tuple(accumulate(self._widths, initial=0))

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self._starts[-1]

    def cell(self, latitude: float, longitude: float) -> int:
        """The cell that a place lies in.

        Raises:
            InputError: a latitude beyond the poles, or no number.
        """
        if not (-90 <= latitude <= 90 and math.isfinite(longitude)):
            raise InputError(
                f"{latitude:g}, {longitude:g} is no place on earth",
                hint="Give latitude -90 to 90 and longitude in degrees",
            )
        band = min(int((latitude + 90) * self.bands / 180), self.bands - 1)
        turn = ((longitude + 180) % 360) / 360
        return self._starts[band] + min(int(turn * self._widths[band]), self._widths[band] - 1)

    def places(self) -> Iterator[Place]:
        """The centre of every cell, in order."""
        for band, cells in enumerate(self._widths):
            for index in range(cells):
                yield self._middle(band), -180 + 360 * (index + 0.5) / cells

    def _middle(self, band: int) -> float:
        return -90 + 180 * (band + 0.5) / self.bands


def place_labels(grid: Grid) -> tuple[str, ...]:
    """The centres as class names, ``48.62,2.14``: a file that carries them needs no grid to be decoded."""
    return tuple(f"{latitude:.2f},{longitude:.2f}" for latitude, longitude in grid.places())


def decode_places(scores: np.ndarray, labels: Sequence[str]) -> list[Place]:
    """Where each photo was most likely taken: the centre of its best cell.

    Args:
        scores: (photos, cells), logits or probabilities.
        labels: of the file's contract, from ``place_labels``.

    Raises:
        InputError: the labels are no places, or not as many as there are cells.
    """
    if scores.ndim != 2 or scores.shape[1] != len(labels):
        shape = "x".join(map(str, scores.shape))
        raise InputError(
            f"scores of shape {shape} do not fit {len(labels)} places", hint="Give (photos, cells)"
        )
    return [parse_place(labels[index]) for index in scores.argmax(axis=1)]


def parse_place(label: str) -> Place:
    """A label as ``place_labels`` makes them.

    Raises:
        InputError: it is no place on earth.
    """
    latitude, _, longitude = label.partition(",")
    try:
        place = float(latitude), float(longitude)
    except ValueError:
        place = math.nan, math.nan
    if not (abs(place[0]) <= 90 and abs(place[1]) <= 180):
        raise InputError(
            f"the label {label!r} is no place",
            hint="Labels of a geolocating file are like 48.62,2.14: latitude and longitude in degrees",
        )
    return place
