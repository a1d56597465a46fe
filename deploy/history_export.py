"""Stored runs as CSV (the columns) or JSON lines (everything)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from mobiledeploy.deploy.commands.outcome import to_json
from mobiledeploy.deploy.outputs import move_into_place, temporary_beside
from mobiledeploy.device_tests.history import Filter, History, Row
from mobiledeploy.errors import InputError
from mobiledeploy.writing import writing

Form = Literal["csv", "jsonl"]
_SUFFIXES: dict[str, Form] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def choose_form(wanted: Form | None, path: Path | None) -> Form:
    """What was asked for, else what the file's name says, else CSV.

    Raises:
        InputError: the file's name says nothing.
    """
    if wanted or path is None:
        return wanted or "csv"
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(
            "the name does not say which form to write",
            where=str(path),
            hint="End it in .csv or .jsonl, or give --format",
        )
    return _SUFFIXES[path.suffix.lower()]


def lines(history: History, wanted: Filter, form: Form) -> Iterator[str]:
    """Lines with their ends; whole runs are read a few at a time."""
    if form == "csv":
        return _csv(history.find(wanted))
    return (f"{to_json(document)}\n" for document in history.documents(wanted))


def write(text: Iterable[str], path: Path) -> None:
    """Write a file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with temporary_beside(path) as partial:
        with writing(path), partial.open("w", encoding="utf-8", newline="") as file:
            file.writelines(text)
        move_into_place(partial, path)


def plain(row: Row) -> dict[str, Any]:
    """A row for JSON, with its time as ISO 8601."""
    return {item.name: _plain(getattr(row, item.name)) for item in fields(Row)}


def _csv(rows: Iterable[Row]) -> Iterator[str]:
    yield _line([item.name for item in fields(Row)])
    for row in rows:
        yield _line(["" if value is None else value for value in plain(row).values()])


def _line(cells: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
