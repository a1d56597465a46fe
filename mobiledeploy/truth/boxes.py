"""Images with objects in boxes: the instances file of COCO (Lin et al. 2014, arXiv 1405.0312)."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage, find_images, upright_size
from mobiledeploy.nearest import did_you_mean
from mobiledeploy.truth.rows import present, read_text, safe_name, some

if TYPE_CHECKING:
    import numpy as np

_WANTS = "the instances file of a data set in COCO's form"
# What a box may reach beyond its image, pixels: some of COCO's own do by a part of one.
_SLACK = 1.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Boxes:
    """The objects on one image.

    Attributes:
        boxes: (objects, 4) float64: top, left, bottom, right in pixels of the upright image.
        classes: (objects,) int64: index of the class, the background not counted.
        crowd: (objects,) bool: one box around many objects, which detections may lie in unpunished.
        areas: (objects,) float64: of the objects themselves, square pixels, as the file has them.
        size: width and height of the image, pixels.
    """

    boxes: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray
    size: tuple[int, int]

    def __repr__(self) -> str:
        """Everything, where an array's own text would leave out digits and rows."""
        parts = (self.boxes, self.classes, self.crowd, self.areas)
        return f"Boxes({', '.join(str(part.tolist()) for part in parts)}, {self.size})"


def list_boxes(
    folder: Path, labels: Path, *, class_names: Sequence[str] = (), classes: int | None = None
) -> tuple[LabelledImage[Boxes], ...]:
    """Images of an instances file with their objects, sorted by name; images without any count, too.

    Args:
        folder: that ``file_name`` is relative to.
        labels: JSON with ``images``, ``annotations`` and ``categories``.
        class_names: the model's labels in output order.  A category's class is the place of its name
            there; without labels it is its id less 1, as released COCO models number their 90.
        classes: how many classes the model has, where known.

    Raises:
        InputError: no images, images of another size than the file says, categories that the model
            does not have, or boxes that are empty, outside their image or of an unknown one; says which.
    """
    find_images(folder)
    data = _read(labels)
    where = str(labels)
    index = _class_indices(data, class_names, classes, where)
    sizes = _sizes(data, where)
    rows: dict[int, list[_Object]] = defaultdict(list)
    for annotation in data["annotations"]:
        image, found = _object(annotation, sizes, index, where)
        rows[image].append(found)
    names: dict[int, str] = {
        image["id"]: safe_name(str(image.get("file_name", "")), f"{where}: image {image['id']}")
        for image in data["images"]
    }
    if len(set(names.values())) < len(names):
        twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
        raise InputError(f"{twice} is listed twice", where=where, hint="List each image once")
    images = present(
        (LabelledImage(folder / name, _boxes(rows[key], sizes[key]), name) for key, name in names.items()),
        folder,
        labels,
    )
    for labelled in images:
        _check_size(labelled, where)
    return images


def names_of(folder: Path, labels: Path) -> tuple[str, ...]:
    """The categories, by their ids.

    Raises:
        InputError: the file is no instances file.
    """
    del folder
    return tuple(_categories(_read(labels), str(labels)).values())


_Object = tuple[tuple[float, ...], int, bool, float]


def _read(labels: Path) -> Mapping[str, Any]:
    text = read_text(labels, _WANTS)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is no JSON ({error})", where=str(labels), hint=f"Give {_WANTS}") from error
    for part in ("images", "annotations", "categories"):
        rows = data.get(part) if isinstance(data, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError(f"it has no list {part!r}", where=str(labels), hint=f"Give {_WANTS}")
    parsed: Mapping[str, Any] = data
    return parsed


def _categories(data: Mapping[str, Any], where: str) -> dict[int, str]:
    """Names by id, in order of id."""
    named = {
        row["id"]: row["name"]
        for row in data["categories"]
        if isinstance(row.get("id"), int) and isinstance(row.get("name"), str)
    }
    if not named or len(set(named.values())) < len(data["categories"]):
        raise InputError(
            "a category has no id or name of its own, or there are none", where=where, hint=f"Give {_WANTS}"
        )
    return dict(sorted(named.items()))


def _class_indices(
    data: Mapping[str, Any], class_names: Sequence[str], classes: int | None, where: str
) -> dict[int, int]:
    """Class of each category id."""
    categories = _categories(data, where)
    if class_names:
        strange = [name for name in categories.values() if name not in class_names]
        if strange:
            raise InputError(
                f"the model has no class called {some(strange)}",
                where=where,
                hint=did_you_mean(
                    strange[0], class_names, otherwise="Remove these categories from the file", most=2
                ),
            )
        return {key: list(class_names).index(name) for key, name in categories.items()}
    outside = [key for key in categories if key < 1 or (classes is not None and key > classes)]
    if outside:
        raise InputError(
            f"the category id {some(outside)} is none of the model's classes"
            + (f", 1 to {classes}" if classes else ", which count from 1"),
            where=where,
            hint="Convert the model with --class-names to match categories by name",
        )
    return {key: key - 1 for key in categories}


def _sizes(data: Mapping[str, Any], where: str) -> dict[int, tuple[int, int]]:
    """Width and height by image id."""
    sizes: dict[int, tuple[int, int]] = {}
    for image in data["images"]:
        key, size = image.get("id"), (image.get("width"), image.get("height"))
        if not isinstance(key, int) or key in sizes:
            raise InputError(
                f"the image id {key!r} is no number of its own", where=where, hint=f"Give {_WANTS}"
            )
        if not all(isinstance(side, int) and side > 0 for side in size):
            raise InputError(
                "the image has no width and height",
                where=f"{where}: image {key}",
                hint="Give them in pixels: the boxes are relative to them",
            )
        sizes[key] = size
    return sizes


def _object(
    annotation: Mapping[str, Any],
    sizes: Mapping[int, tuple[int, int]],
    index: Mapping[int, int],
    where: str,
) -> tuple[int, _Object]:
    """Image id, and box, class, crowd and area of an annotation."""
    key = annotation.get("id", "without an id")
    place = f"{where}: annotation {key}"
    image, category, box = (annotation.get(name) for name in ("image_id", "category_id", "bbox"))
    if not isinstance(image, int) or image not in sizes:
        raise InputError(f"there is no image {image!r}", where=place, hint="Remove it, or add its image")
    if not isinstance(category, int) or category not in index:
        raise InputError(
            f"there is no category {category!r}", where=place, hint="Remove it, or add its category"
        )
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise InputError(
            f"the box is {box!r}", where=place, hint="Give left, top, width and height in pixels"
        )
    left, top, width, height = box
    if width <= 0 or height <= 0:
        raise InputError(
            f"the box is empty, {width:g} x {height:g} pixels", where=place, hint="Remove it, or mend it"
        )
    most = sizes[image]
    if min(left, top) < -_SLACK or left + width > most[0] + _SLACK or top + height > most[1] + _SLACK:
        raise InputError(
            f"the box {box} reaches out of its image, {most[0]} x {most[1]}",
            where=place,
            hint="Boxes are left, top, width and height in pixels",
        )
    area = annotation.get("area", width * height)
    if not _is_number(area) or area < 0:
        raise InputError(f"the area is {area!r}", where=place, hint="Give square pixels")
    corners = (float(top), float(left), float(top + height), float(left + width))
    return image, (corners, index[category], bool(annotation.get("iscrowd", 0)), float(area))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _boxes(objects: Sequence[_Object], size: tuple[int, int]) -> Boxes:
    import numpy as np

    corners, classes, crowd, areas = zip(*objects, strict=True) if objects else ((), (), (), ())
    return Boxes(
        np.array(corners, float).reshape(-1, 4),
        np.array(classes, np.int64),
        np.array(crowd, bool),
        np.array(areas, float),
        size,
    )


def _check_size(image: LabelledImage[Boxes], where: str) -> None:
    found = upright_size(image.path)
    if found != image.label.size:
        width, height = image.label.size
        raise InputError(
            f"{image.name} has {found[0]} x {found[1]} pixels, the file says {width} x {height}",
            where=where,
            hint="Take the images that the boxes were drawn on",
        )
