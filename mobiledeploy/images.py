"""Images: finding them, what one is labelled with, and decoding them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Pillow opens more than these, some (EPS) by starting other programs.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# EXIF: the orientation, and those of its values that stand an image on its side.
_ORIENTATION, _SIDEWAYS = 0x112, (5, 6, 7, 8)

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class LabelledImage(Generic[T_co]):
    """One image and the truth about it.

    Attributes:
        path: where it is.
        label: what a model should say of it: a class index from 0, or another thing that
            ``mobiledeploy.truth`` reads.
        name: path relative to the folder that was listed, with forward slashes; results call the
            image by it, so that they compare between machines.
    """

    path: Path
    label: T_co
    name: str


def find_images(folder: Path) -> tuple[Path, ...]:
    """All images below a folder, by suffix, sorted by path; hidden files and folders left out.

    Raises:
        InputError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        problem = "is a file, not a folder" if folder.exists() else "no such folder"
        raise InputError(problem, where=str(folder), hint="Give the folder that holds the images")
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not found:
        raise InputError(
            "no images in this folder", where=str(folder), hint=f"Images end in {', '.join(sorted(SUFFIXES))}"
        )
    return tuple(sorted(found, key=lambda path: path.relative_to(folder).parts))


def spread(images: tuple[Path, ...], most: int) -> tuple[Path, ...]:
    """At most so many images, evenly spread over all of them."""
    return images[:: max(1, len(images) // most)][:most]


def load_image(path: Path) -> Image.Image:
    """Decode an image at full size (no shortcut of the JPEG decoder, which would change pixels).

    Raises:
        InputError: not there, damaged, or not an image of a format in ``SUFFIXES``.
    """
    with _opened(path) as image:
        image.load()
        # Read here, kept in the image, so that a damaged one is found while the file is known.
        image.getexif()
        return image


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as it is shown, from its head alone.

    Raises:
        InputError: as ``load_image``, as far as the head tells.
    """
    with _opened(path) as image:
        width, height = image.size
        return (height, width) if image.getexif().get(_ORIENTATION) in _SIDEWAYS else (width, height)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image; whatever its bytes make Pillow raise is said in words."""
    from PIL import Image, UnidentifiedImageError

    hint = "Remove the file or save it again as JPEG or PNG"
    try:
        with Image.open(path, formats=_FORMATS) as image:
            yield image
    except FileNotFoundError as error:
        raise InputError("no such image", where=str(path), hint="Check the path") from error
    except PermissionError as error:
        raise InputError(
            "the image may not be read", where=str(path), hint="Check its permissions"
        ) from error
    except UnidentifiedImageError as error:
        raise InputError("this is no image", where=str(path), hint=hint) from error
    # Damaged bytes make Pillow's decoders raise almost anything (OSError, SyntaxError, struct.error, ...).
    except Exception as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"the image is damaged ({problem})", where=str(path), hint=hint) from error
