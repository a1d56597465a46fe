"""Images of one class each: in class folders, or under a CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage
from mobiledeploy.nearest import did_you_mean
from mobiledeploy.truth.folders import images_by_folder
from mobiledeploy.truth.rows import (
    FILE_COLUMNS,
    Row,
    find_columns,
    in_order,
    label_images,
    read_rows,
    some,
)

LABEL_COLUMNS = ("label", "class", "class_index", "target")
_WANTS = "a class index"
_HINT = "Put them in one folder per class, or pass --labels with a CSV of file names and class indices"


def list_images(
    folder: Path,
    labels: Path | None = None,
    *,
    class_names: Sequence[str] = (),
    classes: int | None = None,
) -> tuple[LabelledImage[int], ...]:
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
    by_class = images_by_folder(folder, _HINT)
    index = _class_indices(folder, list(by_class), class_names, classes)
    return in_order(
        LabelledImage(path, index[name], path.relative_to(folder).as_posix())
        for name, paths in by_class.items()
        for path in paths
    )


def check_classes(images: Sequence[LabelledImage[int]], classes: int, where: Path, hint: str) -> None:
    """Refuse an image whose class a model does not have.

    Args:
        images: with their classes.
        classes: of the model, counted from 0.
        where: the labels, for the message.
        hint: what to do.

    Raises:
        InputError: names the first such image.
    """
    for image in images:
        if not 0 <= image.label < classes:
            raise InputError(
                f"{image.name} is of class {image.label}, the model has {classes} from 0",
                where=str(where),
                hint=hint,
            )


def names_of(folder: Path, labels: Path | None) -> tuple[str, ...]:
    """Names of the class folders in order; none under a CSV, or where folders are numbered.

    Raises:
        InputError: as ``list_images``.
    """
    if labels is not None:
        return ()
    names = tuple(images_by_folder(folder, _HINT))
    return () if all(map(_is_index, names)) else names


def _class_indices(
    folder: Path, names: list[str], class_names: Sequence[str], classes: int | None
) -> dict[str, int]:
    known = [name for name in names if name in class_names]
    if known and len(known) == len(names):
        twice = [name for name in names if list(class_names).count(name) > 1]
        if twice:
            raise InputError(
                f"the model has more than one class called {some(twice)}",
                where=str(folder),
                hint="Name the folders by class index",
            )
        return {name: class_names.index(name) for name in names}
    if known:
        strange = [name for name in names if name not in class_names]
        raise InputError(
            f"{len(known)} of {len(names)} folders have the name of a class, but not {some(strange)}",
            where=str(folder),
            hint=did_you_mean(strange[0], class_names, otherwise="Rename or remove the folder", most=2),
        )
    if all(map(_is_index, names)):
        return {name: int(name) for name in names}
    if classes is not None and classes != len(names):
        raise InputError(
            f"{len(names)} class folders, but the model has {classes} classes",
            where=str(folder),
            hint="Name the folders by class index, or pass --labels with a CSV",
        )
    return {name: index for index, name in enumerate(names)}


def _from_csv(folder: Path, labels: Path) -> tuple[LabelledImage[int], ...]:
    rows = read_rows(labels, _WANTS)
    first = rows[0]
    files = find_columns(first, FILE_COLUMNS)
    indices = [
        index
        for index, cell in enumerate(first.cells)
        if cell.lower() in LABEL_COLUMNS or cell.lower().startswith("class_index_")
    ]
    has_header = bool(files or indices) or not _is_index(first.cells[1])
    file, column = files[0] if files else 0, indices[0] if indices else 1

    def label(row: Row) -> int:
        text = row.cells[column]
        if not _is_index(text):
            raise InputError(
                f"the label {text!r} is not a class index",
                where=row.where,
                hint="Labels are whole numbers from 0; name their column 'label' if it is not the second",
            )
        return int(text)

    return label_images(folder, labels, rows[has_header:], columns=(file, column), wants=_WANTS, label=label)


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdecimal()
