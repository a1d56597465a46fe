"""Photos and where they were taken, in a CSV."""

from __future__ import annotations

import math
from pathlib import Path

from mobiledeploy.errors import InputError
from mobiledeploy.geolocation import Place
from mobiledeploy.images import LabelledImage
from mobiledeploy.truth.rows import FILE_COLUMNS, Row, find_columns, label_images, read_rows

_WANTS = "latitude and longitude"
_LATITUDE, _LONGITUDE = ("latitude", "lat"), ("longitude", "lon", "lng")


def list_places(folder: Path, labels: Path) -> tuple[LabelledImage[Place], ...]:
    """Photos with their places, sorted by name.

    A CSV with a header: the file is in the column ``file``, ``filename``, ``path``, ``image`` or
    ``image_id``, else in the first one; ``latitude`` (or ``lat``) and ``longitude`` (``lon``, ``lng``)
    are degrees, north and east positive.

    Args:
        folder: that files are relative to.
        labels: the CSV.

    Raises:
        InputError: no images, no such columns, or a line that does not fit.
    """
    rows = read_rows(labels, _WANTS)
    header = rows[0]
    columns = find_columns(header, _LATITUDE), find_columns(header, _LONGITUDE)
    if not all(columns):
        raise InputError(
            f"there is no column {'longitude' if columns[0] else 'latitude'}",
            where=header.where,
            hint="The first line names the columns: file,latitude,longitude",
        )
    latitude, longitude = columns[0][0], columns[1][0]
    others = [column for column in range(len(header.cells)) if column not in (latitude, longitude)]
    file = next(iter([*find_columns(header, FILE_COLUMNS), *others]), 0)

    def label(row: Row) -> Place:
        return _degrees(row, latitude, 90, "latitude"), _degrees(row, longitude, 180, "longitude")

    return label_images(
        folder,
        labels,
        rows[1:],
        columns=(file, max(latitude, longitude)),
        wants=_WANTS,
        label=label,
    )


def _degrees(row: Row, column: int, most: float, name: str) -> float:
    text = row.cells[column]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= most:
        raise InputError(
            f"the {name} {text!r} is no number from -{most:g} to {most:g}",
            where=row.where,
            hint="Give degrees, north and east positive",
        )
    return value
