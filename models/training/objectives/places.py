"""The cell of a grid that a photo was taken in (arXiv 1602.05314)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from mobiledeploy.errors import InputError
from mobiledeploy.geolocation import Place, parse_place
from mobiledeploy.models.training.objectives.classes import classes
from mobiledeploy.models.training.objectives.objective import Objective
from mobiledeploy.models.training.settings import Settings
from mobiledeploy.models.training.views import View
from mobiledeploy.source import SourceModel


def places(source: SourceModel, settings: Settings) -> Objective:
    """That of classes: the cell whose centre is nearest to the photo's place.

    Raises:
        InputError: the model's labels are no places.
    """
    if not source.labels:
        raise InputError(
            "the model does not say where its cells are",
            where=source.provenance.model,
            hint="Give the cells' centres with --class-names, one latitude,longitude a line",
        )
    centres = _on_sphere(np.array([parse_place(label) for label in source.labels]))
    objective = classes(source, settings)
    return replace(objective, encode=partial(_nearest, centres=centres), figure="right cell")


def _nearest(label: Place, _view: View, centres: np.ndarray) -> int:
    return int((centres @ _on_sphere(np.array([label]))[0]).argmax())


def _on_sphere(places: np.ndarray) -> np.ndarray:
    """(n, 3) unit vectors of (n, 2) latitudes and longitudes in degrees."""
    latitude, longitude = np.radians(places).T
    flat = np.cos(latitude)
    return np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=1)
