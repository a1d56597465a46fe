"""The grid of places."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.errors import InputError
from mobiledeploy.geolocation import Grid, decode_places, parse_place, place_labels

GRID = Grid()
PLACES = tuple(GRID.places())
CELLS = Counter(latitude for latitude, _ in PLACES)


def test_a_final_layer_of_ten_million_weights_has_a_row_per_cell() -> None:
    assert GRID.cells == 9640
    assert 1024 * GRID.cells == pytest.approx(10e6, rel=0.02)


@given(st.floats(-90, 90), st.floats(-540, 540))
def test_a_place_lies_within_half_a_cell_of_its_cells_centre(latitude: float, longitude: float) -> None:
    place = PLACES[GRID.cell(latitude, longitude)]
    assert abs(latitude - place[0]) <= 90 / GRID.bands + 1e-9
    turn = (longitude - place[1] + 180) % 360 - 180
    assert abs(turn) <= 180 / CELLS[place[0]] + 1e-9


def test_every_centre_is_in_its_own_cell() -> None:
    assert [GRID.cell(*place) for place in PLACES] == list(range(GRID.cells))


def test_cells_have_nearly_the_same_area() -> None:
    """Within a tenth of the mean, but for the bands around the poles."""
    half = math.radians(90 / GRID.bands)
    for latitude, cells in CELLS.items():
        if abs(latitude) > 80:
            continue
        middle = math.radians(latitude)
        area = (math.sin(middle + half) - math.sin(middle - half)) / 2 / cells
        assert area * GRID.cells == pytest.approx(1, rel=0.1)


def test_poles_and_the_date_line() -> None:
    assert GRID.cell(-90, 0) < GRID.cell(90, 0) < GRID.cells
    assert GRID.cell(0, 180) == GRID.cell(0, -180)


@pytest.mark.parametrize("place", [(90.1, 0.0), (math.nan, 0.0), (0.0, math.inf)])
def test_no_place_on_earth(place: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="no place on earth"):
        GRID.cell(*place)


def test_a_file_with_labels_is_decoded_without_a_grid() -> None:
    labels = place_labels(GRID)
    assert len(set(labels)) == GRID.cells
    scores = np.zeros((2, GRID.cells), np.float32)
    scores[0, GRID.cell(48.86, 2.35)] = scores[1, GRID.cell(-33.87, 151.21)] = 1
    paris, sydney = decode_places(scores, labels)
    assert math.dist(paris, (48.86, 2.35)) < 2.1
    assert math.dist(sydney, (-33.87, 151.21)) < 2.1


def test_scores_and_labels_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="shape 1x3 do not fit 2 places"):
        decode_places(np.zeros((1, 3)), ("1,2", "3,4"))
    with pytest.raises(InputError, match="'tench' is no place"):
        decode_places(np.ones((1, 1)), ("tench",))


@pytest.mark.parametrize("label", ["Paris", "48.62", "91,0", "0,181", "nan,0", "1,inf", ""])
def test_labels_that_are_no_places(label: str) -> None:
    assert parse_place("-33.91,151.25") == (-33.91, 151.25)
    with pytest.raises(InputError, match="is no place"):
        parse_place(label)
