"""Where a photo was taken: shares of photos that are placed within some distance.

Distances as in Hays and Efros, IM2GPS (CVPR 2008), and Weyand et al., PlaNet (arXiv 1602.05314, table 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import Task
from mobiledeploy.device_tests.scores import ScoreOutput, find_score_output
from mobiledeploy.device_tests.statistics import wilson
from mobiledeploy.device_tests.tasks.metric import Asked, Figure, Given, Judge, Resampling
from mobiledeploy.errors import InputError
from mobiledeploy.geolocation import Place, parse_place
from mobiledeploy.images import LabelledImage

if TYPE_CHECKING:
    import numpy as np

# Kilometres.  Region stands first: a cell of PlaNet's size is as wide, so that it says how many photos
# were put into the right one or beside it; the smaller ones are beyond a centre of such cells.
REGION = 200
BANDS = {1: "street", 25: "city", REGION: "region", 750: "country", 2500: "continent"}
EARTH_RADIUS = 6371.0088


@dataclass(frozen=True, slots=True)
class PlacePrediction:
    """Where a model put one photo; degrees, north and east positive.

    Attributes:
        image: name of the photo.
        latitude, longitude: where it was taken.
        said_latitude, said_longitude: centre of the model's best cell.
    """

    image: str
    latitude: float
    longitude: float
    said_latitude: float
    said_longitude: float

    @property
    def truth(self) -> Place:
        """Where it should have been put."""
        return self.latitude, self.longitude

    @property
    def said(self) -> Place:
        """Where it was put."""
        return self.said_latitude, self.said_longitude

    @property
    def kilometres(self) -> float:
        """From one to the other, along the surface."""
        return great_circle(self.truth, self.said)


def great_circle(one: Place, other: Place) -> float:
    """Kilometres between two places on a sphere of the earth's mean radius, by the haversine formula."""
    latitude, longitude = map(math.radians, one)
    latitude2, longitude2 = map(math.radians, other)
    across = math.sin((latitude2 - latitude) / 2) ** 2
    along = math.cos(latitude) * math.cos(latitude2) * math.sin((longitude2 - longitude) / 2) ** 2
    return 2 * EARTH_RADIUS * math.asin(min(1.0, math.sqrt(across + along)))


class Geolocation:
    """See ``Metric``."""

    task: Task = "geolocation"

    def judge(self, given: Given) -> Judge:
        """By the output that scores cells, whose centres are the file's labels."""
        output = find_score_output(given.outputs)
        labels = given.contract.labels if given.contract else ()
        if len(labels) != output.size:
            raise InputError(
                f"the file scores {output.size} cells and has {len(labels)} labels, which are their places",
                hint="Convert it again with labels like 48.62,2.14, latitude and longitude",
            )
        return Judge(output.size, _Place(output, tuple(map(parse_place, labels))))

    def same(self, first: PlacePrediction, second: PlacePrediction) -> bool:
        """The same cell."""
        return first.said == second.said

    def figures(self, predictions: Sequence[PlacePrediction], asked: Asked) -> tuple[Figure, ...]:
        """The share within ``REGION`` first, then within the others, with Wilson's intervals."""
        del asked
        distances = [item.kilometres for item in predictions]

        def figure(band: int) -> Figure:
            right = sum(distance <= band for distance in distances)
            return Figure(f"within {band} km", right / len(distances), wilson(right, len(distances)))

        return tuple(figure(band) for band in (REGION, *(band for band in BANDS if band != REGION)))

    def details(self, predictions: Sequence[PlacePrediction], asked: Asked) -> dict[str, Any]:
        """The median distance, and what the field calls the bands."""
        from statistics import median

        del asked
        bands = [{"km": band, "name": name} for band, name in BANDS.items()]
        return {"median_km": median(item.kilometres for item in predictions), "bands": bands}

    def resampling(self, predictions: Sequence[PlacePrediction], asked: Asked) -> Resampling:
        """The share within ``REGION``."""
        del asked
        return Resampling.of_right([item.kilometres <= REGION for item in predictions])


@dataclass(frozen=True, slots=True)
class _Place:
    output: ScoreOutput
    places: Sequence[Place]

    def __call__(self, image: LabelledImage[Place], outputs: Sequence[np.ndarray]) -> PlacePrediction:
        best = int(self.output.values(outputs).argmax())
        return PlacePrediction(image.name, *image.label, *self.places[best])
