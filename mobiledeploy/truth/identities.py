"""Images by whom or what they show, for models that tell the same from different."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage
from mobiledeploy.truth.classes import LABEL_COLUMNS
from mobiledeploy.truth.folders import images_by_folder
from mobiledeploy.truth.rows import FILE_COLUMNS, Row, find_columns, in_order, label_images, read_rows

_COLUMNS = ("identity", "person", *LABEL_COLUMNS)
_WANTS = "an identity"
_HINT = "Put them in one folder per identity, or pass --labels with a CSV of file names and identities"


def list_identities(folder: Path, labels: Path | None = None) -> tuple[LabelledImage[int], ...]:
    """Images with the place of their identity among all, sorted by name.

    Without ``labels`` every folder in ``folder`` is an identity.  With it, a CSV: the file is in the
    column ``file``, ``filename``, ``path``, ``image`` or ``image_id``, else in the first one; the
    identity, any text, in ``identity``, ``person``, ``label``, ``class`` or ``target``, else in the
    second one.  A header is optional.

    Args:
        folder: where the images are.
        labels: the CSV.

    Raises:
        InputError: no images, a line that does not fit, fewer than two identities, or none with two
            images: nothing could be compared.
    """
    named = _from_folders(folder) if labels is None else _from_csv(folder, labels)
    counts = Counter(image.label for image in named)
    where = str(labels or folder)
    if len(counts) < 2:
        raise InputError(
            f"all images are of one identity, {next(iter(counts))}",
            where=where,
            hint="Add images of another one: same and different are told apart",
        )
    if max(counts.values()) < 2:
        raise InputError(
            f"each of {len(counts)} identities has one image",
            where=where,
            hint="Add a second image of some: same and different are told apart",
        )
    index = {name: place for place, name in enumerate(sorted(counts))}
    return tuple(LabelledImage(image.path, index[image.label], image.name) for image in named)


def _from_folders(folder: Path) -> tuple[LabelledImage[str], ...]:
    return in_order(
        LabelledImage(path, name, path.relative_to(folder).as_posix())
        for name, paths in images_by_folder(folder, _HINT).items()
        for path in paths
    )


def _from_csv(folder: Path, labels: Path) -> tuple[LabelledImage[str], ...]:
    rows = read_rows(labels, _WANTS)
    files, identities = find_columns(rows[0], FILE_COLUMNS), find_columns(rows[0], _COLUMNS)
    file, column = files[0] if files else 0, identities[0] if identities else 1

    def label(row: Row) -> str:
        if not row.cells[column]:
            raise InputError("the line has no identity", where=row.where, hint="Say whom the image shows")
        return row.cells[column]

    return label_images(
        folder,
        labels,
        rows[bool(files or identities) :],
        columns=(file, column),
        wants=_WANTS,
        label=label,
    )
