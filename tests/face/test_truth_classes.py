"""Classes of images: by folder, and by CSV."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mobiledeploy.errors import InputError
from mobiledeploy.images import find_images
from mobiledeploy.truth.classes import list_images, names_of


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3)).save(path)
    return path


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    for name in ("b.png", "a.jpg", "c.JPEG"):
        put(tmp_path / "images" / name)
    return tmp_path / "images"


def write(folder: Path, text: str) -> Path:
    path = folder.parent / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def found(*args: object, **kwargs: object) -> list[tuple[str, int]]:
    return [(image.name, image.label) for image in list_images(*args, **kwargs)]  # type: ignore[arg-type]


def folders(root: Path, *names: str) -> Path:
    for name in names:
        put(root / name / "x.png")
    return root


def test_folders_without_further_word_count_in_order(tmp_path: Path) -> None:
    root = folders(tmp_path, "zebra", "ant")
    put(root / "ant" / "deeper" / "y.jpg")
    (root / ".cache").mkdir()
    put(root / ".cache" / "z.png")
    (root / "notes.txt").write_text("no image")
    assert found(root) == [("ant/deeper/y.jpg", 0), ("ant/x.png", 0), ("zebra/x.png", 1)]


def test_an_empty_class_folder_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert found(folders(tmp_path, "b")) == [("b/x.png", 1)]


def test_folders_named_by_number_are_class_indices(tmp_path: Path) -> None:
    assert found(folders(tmp_path, "2", "10", "007"), classes=1000) == [
        ("007/x.png", 7),
        ("10/x.png", 10),
        ("2/x.png", 2),
    ]


def test_folders_named_by_label_take_its_index(tmp_path: Path) -> None:
    root = folders(tmp_path, "ant", "zebra")
    assert found(root, class_names=["zebra", "bee", "ant"]) == [("ant/x.png", 2), ("zebra/x.png", 0)]


def test_a_misspelt_class_folder_is_named_with_the_near_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 of 2 folders.*not zebro.*Did you mean zebra\?"):
        list_images(folders(tmp_path, "ant", "zebro"), class_names=["zebra", "bee", "ant"])


def test_a_label_that_names_two_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than one class called crane"):
        list_images(folders(tmp_path, "crane", "ant"), class_names=["crane", "ant", "crane"])


def test_some_folders_of_a_larger_data_set_are_refused(tmp_path: Path) -> None:
    root = folders(tmp_path, "n01440764", "n03888257")
    with pytest.raises(InputError, match="2 class folders, but the model has 1000 classes"):
        list_images(root, classes=1000)
    assert len(list_images(root, classes=2)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "file,class_index_1000,wnid\nb.png,7,n1\na.jpg,3,n2\n",
        "label,image\n7,b.png\n3,a.jpg\n",
        "b.png,7\na.jpg,3\n",
        "some,thing\nb.png,7\n\n./a.jpg, 3\n",
        "\ufefffilename,note,target\nb.png,yes,7\na.jpg,no,3\n",
    ],
)
def test_csv_columns(flat: Path, text: str) -> None:
    assert found(flat, write(flat, text)) == [("a.jpg", 3), ("b.png", 7)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("file,label\n", "no line names an image"),
        ("a.jpg\n", "one column"),
        ("file,label\na.jpg\n", r"line 2: 1 columns"),
        ("file,label\na.jpg,cat\n", "line 2: the label 'cat' is not a class index"),
        ("file,label\na.jpg,-1\n", "'-1' is not a class index"),
        ("file,label\na.jpg,1.0\n", "'1.0' is not a class index"),
        ("file,label\na.jpg,1\n./a.jpg,2\n", "line 3: a.jpg is listed twice"),
        ("file,label\n../labels.csv,1\n", "not a path inside"),
        ("file,label\n/etc/hostname,1\n", "not a path inside"),
        ("file,label\na/../../x.png,1\n", "not a path inside"),
        (",1\n", "not a path inside"),
        (
            "p.jpg,1\na.jpg,1\nq.jpg,1\nr.jpg,1\ns.jpg,1\n",
            r"4 of 5 images are not in .*p.jpg, q.jpg, r.jpg and 1 more",
        ),
    ],
)
def test_csv_problems(flat: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_images(flat, write(flat, text))


def test_csv_that_is_no_text(flat: Path) -> None:
    labels = flat.parent / "labels.csv"
    with pytest.raises(InputError, match=r"labels\.csv.*cannot be read"):
        list_images(flat, labels)
    labels.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="no text"):
        list_images(flat, labels)


def test_folder_problems(tmp_path: Path, flat: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is a file, not a folder"):
        list_images(flat / "a.jpg")
    with pytest.raises(InputError, match=r"no labels.*--labels"):
        list_images(flat)
    (tmp_path / "empty").mkdir()
    for labels in (None, write(flat, "a.jpg,1\n")):
        with pytest.raises(InputError, match="no images in this folder"):
            list_images(tmp_path / "empty", labels)


def test_the_names_that_a_data_set_has(tmp_path: Path, flat: Path) -> None:
    assert names_of(folders(tmp_path / "named", "zebra", "ant"), None) == ("ant", "zebra")
    assert names_of(folders(tmp_path / "numbered", "0", "1"), None) == ()
    assert names_of(flat, write(flat, "a.jpg,1\n")) == ()


@pytest.mark.data
def test_real_images(data_dir: Path) -> None:
    images = data_dir / "images"
    listed = list_images(images / "imagenet1k_sample_1000", images / "imagenet1k_sample_1000.csv")
    assert sorted(image.label for image in listed) == list(range(1000))
    assert len(find_images(images / "calib_imagen_300")) == 300
