"""Images with attributes that each hold or not, in a table: the form of CelebA (Liu et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage
from mobiledeploy.nearest import did_you_mean
from mobiledeploy.truth.rows import (
    FILE_COLUMNS,
    Row,
    find_columns,
    label_images,
    read_rows,
    read_text,
    some,
)

Attributes = tuple[bool | None, ...]
"""Whether each attribute holds; None: unknown."""

_WANTS = "1 or 0 for each attribute"
_VALUES = {"1": True, "0": False, "-1": False, "": None}


def list_attributes(
    folder: Path, labels: Path, *, names: Sequence[str] = (), classes: int | None = None
) -> tuple[LabelledImage[Attributes], ...]:
    """Images with their attributes, sorted by name.

    A CSV with a header: the file is in the column ``file``, ``filename``, ``path``, ``image`` or
    ``image_id``, else in the first one; every other column is an attribute, with 1, 0 or -1 (it does
    not hold), or nothing where it is unknown.  CelebA's own ``list_attr_celeba.txt`` is read, too.

    Args:
        folder: that files are relative to.
        labels: the table.
        names: attributes in the order wanted, the model's labels; empty: in the table's order.
        classes: how many attributes the model tells, where known.

    Raises:
        InputError: no images, a line that does not fit, other attributes than ``names``, or no
            attribute that holds for any image.
    """
    table = _read(labels)
    order = _order(table, names, labels)
    if classes is not None and classes != len(order):
        raise InputError(
            f"the table has {len(order)} attributes, the model tells {classes}",
            where=str(labels),
            hint="Take the table of the data set that the model was trained on",
        )

    def label(row: Row) -> Attributes:
        return tuple(_value(row, column, table.header.cells[column]) for column in order)

    images = label_images(
        folder, labels, table.rows, columns=(table.file, max(order)), wants=_WANTS, label=label
    )
    if not any(any(image.label) for image in images):
        raise InputError(
            "no attribute holds for any image", where=str(labels), hint="Write 1 where an attribute holds"
        )
    return images


def names_of(folder: Path, labels: Path) -> tuple[str, ...]:
    """The attributes in the table's order.

    Raises:
        InputError: the file is no such table.
    """
    del folder
    table = _read(labels)
    return tuple(table.header.cells[column] for column in table.attributes)


@dataclass(frozen=True, slots=True)
class _Table:
    header: Row
    rows: Sequence[Row]

    @property
    def file(self) -> int:
        """Column of the file."""
        return next(iter(find_columns(self.header, FILE_COLUMNS)), 0)

    @property
    def attributes(self) -> list[int]:
        """The other columns."""
        return [column for column in range(len(self.header.cells)) if column != self.file]


def _read(labels: Path) -> _Table:
    rows = _celeba(labels) or read_rows(labels, _WANTS)
    table = _Table(rows[0], rows[1:])
    names = [table.header.cells[column] for column in table.attributes]
    odd = [name for name in names if name in _VALUES]
    if odd:
        raise InputError(
            f"{odd[0]!r} is no name of an attribute",
            where=table.header.where,
            hint="The first line names the columns: file, and each attribute",
        )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(
            f"there are two columns {twice[0]}", where=table.header.where, hint="Remove one of them"
        )
    return table


def _celeba(labels: Path) -> list[Row]:
    """Rows of CelebA's own form (number of images, names, then blanks between cells); none: another form."""
    lines = read_text(labels, f"a CSV of files and {_WANTS}").splitlines()
    if len(lines) < 2 or not lines[0].strip().isdecimal():
        return []
    rows = [
        Row(f"{labels}, line {number}", tuple(line.split()))
        for number, line in enumerate(lines[1:], 2)
        if line.strip()
    ]
    return [Row(rows[0].where, ("file", *rows[0].cells)), *rows[1:]] if rows else []


def _order(table: _Table, names: Sequence[str], labels: Path) -> list[int]:
    """Columns of the attributes that are wanted."""
    if not names:
        return table.attributes
    columns = {table.header.cells[column]: column for column in table.attributes}
    missing = [name for name in names if name not in columns]
    strange = [name for name in columns if name not in names]
    if missing or strange:
        first, others = (missing[0], list(columns)) if missing else (strange[0], list(names))
        raise InputError(
            f"the table has no attribute {some(missing)}, which the model tells"
            if missing
            else f"the model does not tell the attribute {some(strange)}",
            where=str(labels),
            hint=did_you_mean(
                first, others, otherwise="Name the columns as the model's labels, which inspect shows", most=2
            ),
        )
    return [columns[name] for name in names]


def _value(row: Row, column: int, name: str) -> bool | None:
    text = row.cells[column]
    if text not in _VALUES:
        raise InputError(
            f"{name} is {text!r}", where=row.where, hint="Write 1, 0 or -1, or nothing where it is unknown"
        )
    return _VALUES[text]
