"""Labelled images, and decoding them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mobiledeploy.contract import Preprocessing
from mobiledeploy.errors import InputError
from mobiledeploy.images import find_images, list_images, load_image
from mobiledeploy.preprocessing import prepare

EXIF_ORIENTATION = 0x112


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (4, 3), (10, 20, 30))
    exif = image.getexif()
    exif[EXIF_ORIENTATION] = 3
    image.save(path, exif=exif)
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
    with pytest.raises(InputError, match="no CSV text"):
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


def test_find_images_is_sorted_and_sees_every_suffix(flat: Path) -> None:
    assert [path.name for path in find_images(flat)] == ["a.jpg", "b.png", "c.JPEG"]


@pytest.mark.parametrize(
    "content", [b"", b"not an image at all", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"picture\.jpg: (this is no image|the image is damaged)"):
        load_image(path)
    with pytest.raises(InputError, match="no such image"):
        load_image(tmp_path / "absent.jpg")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_is_refused_while_the_file_is_known(tmp_path: Path) -> None:
    path = put(tmp_path / "x.webp")
    path.write_bytes(path.read_bytes().replace(b"MM\x00*", b"MM\x00#"))
    assert outcome(path).startswith(f"{path}: the image is damaged (")


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".jpg", ".png", ".ppm", ".tif", ".webp"])
def test_decodes_every_format_whole(tmp_path: Path, suffix: str) -> None:
    path = put(tmp_path / f"x{suffix}")
    image = load_image(path).convert("RGB")
    assert image.size == (4, 3)
    assert np.abs(np.asarray(image).astype(int) - [10, 20, 30]).max() <= 3


def outcome(path: Path) -> str:
    """How decoding and preparing ends: an empty text, or the refusal."""
    try:
        prepare(load_image(path), Preprocessing(4, 4, resize_to=4, mean=(0.0,) * 3, std=(1.0,) * 3))
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "gif", "webp", "bmp", "ppm"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_images_decode_or_are_refused(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    path = put(tmp_path / f"x.{suffix}")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    refusal = outcome(path)
    assert not refusal or (str(path) in refusal and "\n" not in refusal)


@pytest.mark.data
def test_real_images(data_dir: Path) -> None:
    images = data_dir / "images"
    listed = list_images(images / "imagenet1k_sample_1000", images / "imagenet1k_sample_1000.csv")
    assert sorted(image.label for image in listed) == list(range(1000))
    assert len(find_images(images / "calib_imagen_300")) == 300
