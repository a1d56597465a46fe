"""A new project: ``deploy.toml``, and the schema for editors."""

from __future__ import annotations

import json
from pathlib import Path

from mobiledeploy.deploy.outputs import move_into_place, temporary_beside
from mobiledeploy.deploy.project import FILE
from mobiledeploy.deploy.project.loading import parse
from mobiledeploy.deploy.project.template import SCHEMA_FILE, Beginning, render
from mobiledeploy.errors import OutputError
from mobiledeploy.writing import writing


def create(folder: Path, known: Beginning) -> Path:
    """Write a commented ``deploy.toml``.

    Args:
        folder: of the project.
        known: what it says from the beginning.

    Returns:
        The file.

    Raises:
        InputError: what is known is wrong; nothing is written.
        OutputError: the file is there already, or cannot be written.
    """
    file, text = folder / FILE, render(known)
    parse(file, text)
    if file.exists():
        raise OutputError("is there already", where=str(file), hint="Edit it, or remove it first")
    write_schema(folder)
    _write(file, text)
    return file


def write_schema(root: Path) -> None:
    """The JSON schema where ``deploy.toml`` tells editors to look, in a folder that git leaves alone.

    Raises:
        OutputError: it cannot be written.
    """
    from mobiledeploy.deploy.project.schema import json_schema

    file = root / SCHEMA_FILE
    text = json.dumps(json_schema(), indent=2) + "\n"
    with writing(file):
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            return
    _write(file.parent / ".gitignore", "*\n")
    _write(file, text)


def _write(file: Path, text: str) -> None:
    with temporary_beside(file) as partial:
        with writing(file):
            partial.write_text(text, encoding="utf-8", newline="\n")
        move_into_place(partial, file)
