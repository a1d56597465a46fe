"""Labelled images in class folders or under a CSV, and decoding them."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Pillow opens more than these, some (EPS) by starting other programs.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

_FILE_COLUMNS = ("file", "filename", "path", "image")
_LABEL_COLUMNS = ("label", "class", "class_index", "target")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image and its class.

    Attributes:
        path: where it is.
        label: class index, 0 or more.
        name: path relative to the folder that was listed, with forward slashes; results call the
            image by it, so that they compare between machines.
    """

    path: Path
    label: int
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


def list_images(
    folder: Path,
    labels: Path | None = None,
    *,
    class_names: Sequence[str] = (),
    classes: int | None = None,
) -> tuple[LabelledImage, ...]:
    """Images with their classes, sorted by name.

    With ``labels``, a CSV: the file names are in the column ``file``, ``filename``, ``path`` or
    ``image``, else in the first one, relative to ``folder``; the class index is in ``label``,
    ``class``, ``class_index``, ``class_index_*`` or ``target``, else in the second one.  A header
    is optional.  Images that the CSV does not name are left out.

    Without, every folder in ``folder`` is a class (images may lie deeper in it).  Its index is

    1. the place of the folder's name in ``class_names``, if every folder is in there;
    2. else the folder's name as a number, if every folder is one;
    3. else the place of the name among the sorted names.

    Args:
        folder: where the images are.
        labels: the CSV.
        class_names: the model's labels in output order.
        classes: how many classes the model has, where known.  Rule 3 is refused if the folders are
            not as many: the folders of a part of a data set would all be counted wrongly.

    Raises:
        InputError: no folder, no images, no labels, or labels that do not fit.
    """
    if labels is not None:
        return _from_csv(folder, labels)
    by_class: dict[str, list[Path]] = {
        path.name: []
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.is_dir() and not path.name.startswith((".", "__"))
    }
    for path in find_images(folder):
        parts = path.relative_to(folder).parts
        if len(parts) > 1:
            by_class[parts[0]].append(path)
    if not any(by_class.values()):
        raise InputError(
            "the images have no labels: they lie side by side, not in one folder per class",
            where=str(folder),
            hint="Pass --labels with a CSV of file names and class indices",
        )
    index = _class_indices(folder, sorted(by_class), class_names, classes)
    return _sorted(
        LabelledImage(path, index[name], path.relative_to(folder).as_posix())
        for name, paths in by_class.items()
        for path in paths
    )


def load_image(path: Path) -> Image.Image:
    """Decode an image at full size (no shortcut of the JPEG decoder, which would change pixels).

    Raises:
        InputError: not there, damaged, or not an image of a format in ``SUFFIXES``.
    """
    from PIL import Image, UnidentifiedImageError

    hint = "Remove the file or save it again as JPEG or PNG"
    try:
        with Image.open(path, formats=_FORMATS) as image:
            image.load()
            # Read here, kept in the image, so that a damaged one is found while the file is known.
            image.getexif()
            return image
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
        raise InputError(f"the image is damaged ({_one_line(error)})", where=str(path), hint=hint) from error


def _class_indices(
    folder: Path, names: list[str], class_names: Sequence[str], classes: int | None
) -> dict[str, int]:
    known = [name for name in names if name in class_names]
    if known and len(known) == len(names):
        twice = [name for name in names if list(class_names).count(name) > 1]
        if twice:
            raise InputError(
                f"the model has more than one class called {_some(twice)}",
                where=str(folder),
                hint="Name the folders by class index",
            )
        return {name: class_names.index(name) for name in names}
    if known:
        strange = [name for name in names if name not in class_names]
        near = difflib.get_close_matches(strange[0], class_names, n=2)
        raise InputError(
            f"{len(known)} of {len(names)} folders have the name of a class, but not {_some(strange)}",
            where=str(folder),
            hint=f"Did you mean {' or '.join(near)}?" if near else "Rename or remove the folder",
        )
    if all(name.isascii() and name.isdecimal() for name in names):
        return {name: int(name) for name in names}
    if classes is not None and classes != len(names):
        raise InputError(
            f"{len(names)} class folders, but the model has {classes} classes",
            where=str(folder),
            hint="Name the folders by class index, or pass --labels with a CSV",
        )
    return {name: index for index, name in enumerate(names)}


def _from_csv(folder: Path, labels: Path) -> tuple[LabelledImage, ...]:
    find_images(folder)
    rows = _read_rows(labels)
    file_column, label_column, has_header = _columns(rows[0][1], labels)
    images: dict[str, LabelledImage] = {}
    missing: list[str] = []
    for line, row in rows[has_header:]:
        where = f"{labels}, line {line}"
        if len(row) <= max(file_column, label_column):
            raise InputError(
                f"{len(row)} columns, too few", where=where, hint="Each line needs a file and a class index"
            )
        name = _safe_name(row[file_column].strip(), where)
        if name in images:
            raise InputError(
                f"{name} is listed twice", where=where, hint="List each image once, with one class"
            )
        path = folder / name
        if not path.is_file():
            missing.append(name)
        images[name] = LabelledImage(path, _index(row[label_column].strip(), where), name)
    if missing:
        raise InputError(
            f"{len(missing)} of {len(images)} images are not in {folder}: {_some(missing)}",
            where=str(labels),
            hint="Paths in the CSV are relative to the image folder",
        )
    if not images:
        raise InputError("no line names an image", where=str(labels), hint="Add lines of file,class index")
    return _sorted(images.values())


def _read_rows(labels: Path) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not blank."""
    try:
        with labels.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as error:
        raise InputError(
            f"the labels cannot be read ({error.strerror})", where=str(labels), hint="Check the path"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"this is no CSV text ({_one_line(error)})",
            where=str(labels),
            hint="Save the labels as CSV with commas, UTF-8",
        ) from error
    if not rows:
        raise InputError("the file is empty", where=str(labels), hint="Add lines of file,class index")
    return rows


def _columns(first: list[str], labels: Path) -> tuple[int, int, bool]:
    """Columns of file and label, and whether the first line is a header."""
    if len(first) < 2:
        raise InputError(
            "the first line has one column",
            where=str(labels),
            hint="Each line needs a file and a class index, with a comma between",
        )
    names = [cell.strip().lower() for cell in first]
    files = [i for i, name in enumerate(names) if name in _FILE_COLUMNS]
    indices = [i for i, name in enumerate(names) if name in _LABEL_COLUMNS or name.startswith("class_index_")]
    has_header = bool(files or indices) or not _is_index(names[1])
    return files[0] if files else 0, indices[0] if indices else 1, has_header


def _safe_name(text: str, where: str) -> str:
    """A relative path that stays below the folder, in its shortest form."""
    path = PurePosixPath(text)
    if not path.parts or path.is_absolute() or Path(text).is_absolute() or ".." in path.parts:
        raise InputError(
            f"{text!r} is not a path inside the image folder",
            where=where,
            hint="Write paths relative to the image folder, without '..'",
        )
    return str(path)


def _index(text: str, where: str) -> int:
    if not _is_index(text):
        raise InputError(
            f"the label {text!r} is not a class index",
            where=where,
            hint="Labels are whole numbers from 0; name their column 'label' if it is not the second",
        )
    return int(text)


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _sorted(images: Iterable[LabelledImage]) -> tuple[LabelledImage, ...]:
    return tuple(sorted(images, key=lambda image: PurePosixPath(image.name).parts))


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
