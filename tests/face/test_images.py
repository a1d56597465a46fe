"""Finding images, and decoding them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mobiledeploy.contract import Preprocessing
from mobiledeploy.errors import InputError
from mobiledeploy.images import find_images, load_image, upright_size
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


def test_folder_problems(tmp_path: Path, flat: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is a file, not a folder"):
        find_images(flat / "a.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images in this folder"):
        find_images(tmp_path / "empty")


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


@pytest.mark.parametrize(("orientation", "size"), [(1, (4, 3)), (3, (4, 3)), (6, (3, 4)), (8, (3, 4))])
def test_size_of_an_image_as_it_is_shown(tmp_path: Path, orientation: int, size: tuple[int, int]) -> None:
    image = Image.new("RGB", (4, 3))
    exif = image.getexif()
    exif[EXIF_ORIENTATION] = orientation
    image.save(tmp_path / "x.jpg", exif=exif)
    assert upright_size(tmp_path / "x.jpg") == size
    (tmp_path / "y.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"y\.jpg: this is no image"):
        upright_size(tmp_path / "y.jpg")
