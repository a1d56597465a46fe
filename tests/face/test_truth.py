"""Ground truth of every task: attributes, places, identities, boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.images import LabelledImage
from mobiledeploy.truth import read_truth, truth_names
from mobiledeploy.truth.attributes import list_attributes
from mobiledeploy.truth.boxes import list_boxes
from mobiledeploy.truth.identities import list_identities
from mobiledeploy.truth.places import list_places

NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in NAMES:
        Image.new("RGB", (40, 30)).save(tmp_path / "images" / name)
    return tmp_path / "images"


def write(folder: Path, text: str) -> Path:
    path = folder.parent / "labels"
    path.write_text(text, encoding="utf-8")
    return path


def truths(images: tuple[LabelledImage[Any], ...]) -> list[tuple[str, Any]]:
    return [(image.name, image.label) for image in images]


ATTRIBUTES = "file,Smiling,Hat\nb.png,1,0\na.png,-1,\n"


def test_attributes_in_the_order_of_the_table_or_of_the_model(images: Path) -> None:
    labels = write(images, ATTRIBUTES)
    found = list_attributes(images, labels)
    assert truths(found) == [
        ("a.png", (False, None)),
        ("b.png", (True, False)),
    ]
    turned = list_attributes(images, labels, names=["Hat", "Smiling"])
    assert [image.label for image in turned] == [(None, False), (False, True)]
    assert truth_names("multi-label-classification", images, labels) == ("Smiling", "Hat")


def test_attributes_as_celeba_has_them(images: Path) -> None:
    found = list_attributes(images, write(images, "2\nSmiling Hat\na.png -1  1\nb.png  1 -1\n"))
    assert [image.label for image in found] == [(False, True), (True, False)]


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        (ATTRIBUTES, ["Smiling", "Hats"], "no attribute Hats, which the model tells.*Did you mean Hat?"),
        (ATTRIBUTES, ["Smiling"], "the model does not tell the attribute Hat"),
        ("file,Hat\na.png,2\n", (), "line 2: Hat is '2'"),
        ("file,Hat\na.png\n", (), "line 2: 1 columns, too few"),
        ("file,Hat,Hat\na.png,1,0\n", (), "two columns Hat"),
        ("a.png,1\nb.png,0\n", (), "'1' is no name of an attribute"),
        ("file,Hat\na.png,0\nb.png,\n", (), "no attribute holds for any image"),
        ("file,Hat\nd.png,1\n", (), "1 of 1 images are not in"),
        ("file,Hat\n../a.png,1\n", (), "not a path inside"),
    ],
)
def test_attributes_that_do_not_fit(images: Path, text: str, names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_attributes(images, write(images, text), names=names)


def test_as_many_attributes_as_the_model_has(images: Path) -> None:
    with pytest.raises(InputError, match="2 attributes, the model tells 40"):
        read_truth("multi-label-classification", images, write(images, ATTRIBUTES), classes=40)


@pytest.mark.parametrize("header", ["file,latitude,longitude", "Image_ID,LAT,lon"])
def test_places(images: Path, header: str) -> None:
    found = list_places(images, write(images, f"{header}\nb.png,-33.9,151.2\na.png,48.85,2.35\n"))
    assert truths(found) == [
        ("a.png", (48.85, 2.35)),
        ("b.png", (-33.9, 151.2)),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,latitude\na.png,1\n", "no column longitude"),
        ("a.png,1,2\n", "no column latitude"),
        ("file,latitude,longitude\na.png,91,0\n", "line 2: the latitude '91' is no number from -90 to 90"),
        ("file,latitude,longitude\na.png,9,200\n", "the longitude '200'"),
        ("file,latitude,longitude\na.png,nan,0\n", "the latitude 'nan'"),
        ("file,latitude,longitude\na.png,north,0\n", "the latitude 'north'"),
        ("file,latitude,longitude\na.png,1\n", "line 2: 2 columns, too few"),
    ],
)
def test_places_that_do_not_fit(images: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_places(images, write(images, text))


def test_identities_by_folder_and_by_table(tmp_path: Path, images: Path) -> None:
    for place in ("7/x.png", "007/x.png", "7/deep/y.png"):
        (tmp_path / "people" / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "people" / place)
    folders = list_identities(tmp_path / "people")
    assert truths(folders) == [
        ("007/x.png", 0),
        ("7/deep/y.png", 1),
        ("7/x.png", 1),
    ]
    for header in ("file,identity\n", ""):
        table = list_identities(images, write(images, f"{header}a.png,Ann\nb.png,Al\nc.png,Ann\n"))
        assert [image.label for image in table] == [1, 0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png,Ann\nb.png,Ann\n", "all images are of one identity, Ann.*Add images of another one"),
        ("a.png,Ann\nb.png,Al\n", "each of 2 identities has one image"),
        ("file,identity\na.png,\n", "line 2: the line has no identity"),
    ],
)
def test_identities_that_nothing_can_be_compared_with(images: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_identities(images, write(images, text))


def test_one_folder_of_a_person_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Ann").mkdir()
    for name in NAMES:
        Image.new("RGB", (4, 4)).save(tmp_path / "Ann" / name)
    with pytest.raises(InputError, match="all images are of one identity, Ann"):
        read_truth("embedding", tmp_path, None)


def instances(**changes: Any) -> dict[str, Any]:
    """Three images, two objects on the first, none on the last."""
    data: dict[str, Any] = {
        "images": [
            {"id": 5 + i, "file_name": name, "width": 40, "height": 30} for i, name in enumerate(NAMES)
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 1, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 3, "bbox": [1, 2, 10, 20], "area": 150, "iscrowd": 0},
            {"id": 2, "image_id": 5, "category_id": 1, "bbox": [0.5, 0, 39.5, 30], "area": 9.5, "iscrowd": 1},
            {"id": 3, "image_id": 6, "category_id": 1, "bbox": [30, 20, 10.4, 10]},
        ],
    }
    return {**data, **changes}


def one_image(**changes: Any) -> dict[str, Any]:
    return instances(images=[instances()["images"][0] | changes], annotations=[])


def with_annotation(**changes: Any) -> dict[str, Any]:
    data = instances()
    data["annotations"][2] |= changes
    return data


def boxes(images: Path, data: object, **given: Any) -> Any:
    return list_boxes(images, write(images, json.dumps(data)), **given)


def test_boxes(images: Path) -> None:
    first, second, third = boxes(images, instances(), class_names=["bird", "cat", "dog"])
    np.testing.assert_array_equal(first.label.boxes, [[2, 1, 22, 11], [0, 0.5, 30, 40]])
    assert first.label.classes.tolist() == [1, 2]
    assert first.label.crowd.tolist() == [False, True]
    assert first.label.areas.tolist() == [150, 9.5]
    assert second.label.areas.tolist() == [pytest.approx(104)]
    assert (third.name, third.label.boxes.shape, third.label.size) == ("c.png", (0, 4), (40, 30))


def test_without_names_a_class_is_the_category_less_one(images: Path) -> None:
    assert boxes(images, instances(), classes=90)[0].label.classes.tolist() == [2, 0]
    labels = write(images, json.dumps(instances()))
    assert truth_names("object-detection", images, labels) == ("dog", "cat")
    with pytest.raises(InputError, match="the category id 3 is none of the model's classes, 1 to 2"):
        boxes(images, instances(), classes=2)
    with pytest.raises(InputError, match=r"no class called cat\. Did you mean cats\?"):
        boxes(images, instances(), class_names=["dog", "cats"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "no list 'images'"),
        (instances(annotations={}), "no list 'annotations'"),
        (instances(categories=[]), "a category has no id or name"),
        (instances(images=[{"id": 5, "file_name": "a.png"}]), "image 5: the image has no width and height"),
        (instances(images=[*instances()["images"], instances()["images"][0]]), "the image id 5 is no number"),
        (with_annotation(image_id=9), "annotation 3: there is no image 9"),
        (with_annotation(category_id=2), "annotation 3: there is no category 2"),
        (with_annotation(bbox=[1, 2, 0, 4]), "annotation 3: the box is empty, 0 x 4"),
        (with_annotation(bbox=[1, 2, -3, 4]), "annotation 3: the box is empty"),
        (with_annotation(bbox=[1, 2, 3]), "annotation 3: the box is"),
        (with_annotation(bbox=[1, 2, 3, None]), "annotation 3: the box is"),
        (with_annotation(bbox=[30, 20, 12, 10]), "annotation 3: .* reaches out of its image, 40 x 30"),
        (with_annotation(bbox=[-2, 20, 10, 10]), "annotation 3: .* reaches out"),
        (with_annotation(area=-1), "annotation 3: the area is -1"),
        (one_image(file_name="../a.png"), "not a path inside"),
        (one_image(file_name="d.png"), "1 of 1 images are not"),
        (
            one_image(width=80, height=60),
            "a.png has 40 x 30 pixels, the file says 80 x 60",
        ),
    ],
)
def test_boxes_that_do_not_fit(images: Path, data: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        boxes(images, data)


def test_an_instances_file_that_is_none(images: Path) -> None:
    with pytest.raises(InputError, match="this is no JSON"):
        list_boxes(images, write(images, "file,label\n"))


@pytest.mark.parametrize("task", ["multi-label-classification", "geolocation", "object-detection"])
def test_labels_are_asked_for(images: Path, task: Any) -> None:
    with pytest.raises(InputError, match=f"the task {task} needs labels.*--labels"):
        read_truth(task, images, None)


def test_a_task_without_truth(images: Path) -> None:
    with pytest.raises(UnsupportedError, match="no ground truth for the task image-segmentation"):
        read_truth("image-segmentation", images, None)


def test_what_is_no_image_is_found_first(images: Path) -> None:
    (images / "b.png").write_bytes(b"")
    labels = write(images, "".join(f"{name},0\n" for name in NAMES))
    with pytest.raises(InputError, match=r"b\.png: this is no image"):
        read_truth("image-classification", images, labels)
