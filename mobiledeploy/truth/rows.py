"""Tables that say something of images: one line each."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage, find_images

FILE_COLUMNS = ("file", "filename", "path", "image", "image_id")
_SHOWN = 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        where: file and line, for messages.
        cells: without blanks around them.
    """

    where: str
    cells: tuple[str, ...]


def read_rows(path: Path, wants: str) -> list[Row]:
    """Every line of a CSV that is not blank.

    Args:
        path: of the CSV.
        wants: what a line should have beside a file, for messages.

    Raises:
        InputError: no such file, no text, or no line.
    """
    reader = csv.reader(io.StringIO(read_text(path, f"a CSV of files and {wants}")))
    try:
        cells = [(reader.line_num, tuple(cell.strip() for cell in row)) for row in reader]
    except csv.Error as error:
        raise InputError(
            f"this is no CSV ({error})",
            where=str(path),
            hint=f"Write lines of a file and {wants}, with commas",
        ) from error
    rows = [Row(f"{path}, line {number}", row) for number, row in cells if any(row)]
    if not rows:
        raise InputError("the file is empty", where=str(path), hint=f"Add lines of a file and {wants}")
    if len(rows[0].cells) < 2:
        raise InputError(
            "the first line has one column",
            where=str(path),
            hint=f"Each line needs a file and {wants}, with a comma between",
        )
    return rows


def read_text(path: Path, wants: str) -> str:
    """A file of labels as text.

    Args:
        path: where it is.
        wants: what it should be, for messages.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"the labels cannot be read ({error.strerror})", where=str(path), hint="Check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"this is no text ({error.reason})", where=str(path), hint=f"Give {wants}, in UTF-8"
        ) from error


def find_columns(header: Row, names: Sequence[str]) -> list[int]:
    """Columns whose names, in any case, are among some."""
    return [index for index, cell in enumerate(header.cells) if cell.lower() in names]


def label_images(
    folder: Path,
    labels: Path,
    rows: Sequence[Row],
    *,
    columns: tuple[int, int],
    wants: str,
    label: Callable[[Row], T],
) -> tuple[LabelledImage[T], ...]:
    """One image for each line, sorted by name.

    Args:
        folder: that files are relative to.
        labels: file that the lines are from.
        rows: the lines, without a header.
        columns: of the file, and the last one that every line needs.
        wants: what a line should have beside a file, for messages.
        label: what a line says of its image; raises ``InputError`` where it does not fit.

    Raises:
        InputError: no images, a line that is too short, a path that leaves the folder, an image that
            is missing or listed twice, or no line at all.
    """
    find_images(folder)
    images: dict[str, LabelledImage[T]] = {}
    for row in rows:
        if len(row.cells) <= max(columns):
            raise InputError(
                f"{len(row.cells)} columns, too few",
                where=row.where,
                hint=f"Each line needs a file and {wants}",
            )
        name = safe_name(row.cells[columns[0]], row.where)
        if name in images:
            raise InputError(f"{name} is listed twice", where=row.where, hint="List each image once")
        images[name] = LabelledImage(folder / name, label(row), name)
    return present(images.values(), folder, labels)


def safe_name(text: str, where: str) -> str:
    """A relative path that stays below the folder, in its shortest form.

    Raises:
        InputError: it does not.
    """
    path = PurePosixPath(text)
    if not path.parts or path.is_absolute() or Path(text).is_absolute() or ".." in path.parts:
        raise InputError(
            f"{text!r} is not a path inside the image folder",
            where=where,
            hint="Write paths relative to the image folder, without '..'",
        )
    return str(path)


def present(images: Iterable[LabelledImage[T]], folder: Path, labels: Path) -> tuple[LabelledImage[T], ...]:
    """The images sorted by name.

    Raises:
        InputError: there are none, or some have no file.
    """
    found = in_order(images)
    missing = [image.name for image in found if not image.path.is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(found)} images are not in {folder}: {some(missing)}",
            where=str(labels),
            hint="Paths in it are relative to the image folder",
        )
    if not found:
        raise InputError("no line names an image", where=str(labels), hint="Add a line for each image")
    return found


def in_order(images: Iterable[LabelledImage[T]]) -> tuple[LabelledImage[T], ...]:
    """Sorted by name."""
    return tuple(sorted(images, key=lambda image: PurePosixPath(image.name).parts))


def some(names: Sequence[object]) -> str:
    """The first names, and how many there are beside."""
    shown = ", ".join(map(str, names[:_SHOWN]))
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
